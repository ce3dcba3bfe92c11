"""Paths as a user writes them, in words and in files."""

from small_run import call, make_pictures


def test_paths_may_begin_at_the_users_home(tmp_path, monkeypatch):
    """A shell expands ~ in its words; in a file, in quotes and behind = it does not."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    pictures = make_pictures(tmp_path / "home" / "pictures")
    (tmp_path / "home" / "run.toml").write_text(
        'data = "~/pictures"\nepochs = 1\nbatch-size = 12\nthreads = 1\nout = "~/run"\n'
    )
    picture = next((pictures / "test" / "red").iterdir())
    (tmp_path / "home" / "a.png").write_bytes(picture.read_bytes())
    for words in (
        ("train", "--config", "~/run.toml"),
        ("train", "--resume", "~/run", "--epochs", "2"),
        ("evaluate", "~/run"),
        ("predict", "~/run", "~/a.png"),
        ("data", "--name", "~/pictures", "--contact-sheet", "~/sheet.png"),
    ):
        code, _, err = call(*words)
        assert (code, err) == (0, ""), words
    assert (tmp_path / "home" / "sheet.png").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert len((tmp_path / "home" / "run" / "history.jsonl").read_text().splitlines()) == 2
