"""Runs of experiments: what is kept, that a stop changes nothing, that two processes do not disturb each other."""

import json
import subprocess

import outcome
import pytest
import runner
import store
import study

import made_up
from fastscratch.training import Callback


def without_times(result):
    kept = json.loads(json.dumps(result))
    kept["history"].pop("seconds")
    return kept


class Killed(BaseException):
    """As sudden as a SIGKILL to the code that is running."""


class Kill(Callback):
    """Kill the run within its second epoch, once."""

    def on_batch_end(self, trainer, loss, lr, epoch, batch):
        if (epoch, batch) == (2, 4):
            raise Killed


@pytest.fixture
def whole_result(make_job, tmp_path):
    """Return a run and its undisturbed result."""
    job = make_job(validation=0.2, augment="flip-crop", schedule="cosine")
    return job, study.perform(job, tmp_path / "undisturbed", threads=1)


def test_what_is_kept_of_a_run(whole_result):
    job, result = whole_result
    assert result["engine"] == "fastscratch"
    assert result["config"]["lr"] == job.config.lr
    assert "threads" not in result["config"]
    history, batches, final = result["history"], result["batches"], result["final"]
    assert [len(column) for column in history.values()] == [3] * len(history)
    assert history["images"] == [48, 48, 48]
    assert batches["per_epoch"] == 6
    assert [len(row) for row in batches["curve"]] == [6, 6, 6]
    assert len(batches["first"]) == 18
    assert batches["mean"] == pytest.approx(history["train_loss"])  # batches of equal size
    assert final["train"]["images"] == 48
    assert final["valid"]["images"] == 12
    assert final["test"]["images"] == 24
    assert final["valid"]["loss"] == history["valid_loss"][-1]
    assert set(final["test"]["class_accuracy"]) == {"blue", "green", "red"}
    best = history["valid_loss"].index(min(history["valid_loss"])) + 1
    assert result["best"]["epoch"] == best
    assert result["best"]["test"]["images"] == 24
    assert result["made"]["threads"] == 1
    assert result["made"]["versions"]["numpy"]


def test_a_run_that_was_killed_gives_the_bits_of_an_undisturbed_one(whole_result, tmp_path, monkeypatch):
    job, undisturbed = whole_result
    folder, results = tmp_path / "work" / job.name, tmp_path / "results"
    monkeypatch.setattr(runner, "ProgressBar", Kill)
    with pytest.raises(Killed):
        study.do([job], results, tmp_path / "work", threads=1)
    assert not list(results.rglob("*.json"))
    assert (folder / runner.BEST_FILE).exists()
    monkeypatch.undo()
    assert study.do([job], results, tmp_path / "work", threads=1) == []
    assert without_times(store.read(store.path_of(results, job.name))) == without_times(undisturbed)
    assert not folder.exists()
    assert study.is_done(job, results)


def test_bits_do_not_depend_on_the_number_of_threads(whole_result, tmp_path):
    job, one_thread = whole_result
    two_threads = study.perform(job, tmp_path / "two", threads=2)
    assert two_threads.pop("made")["threads"] == 2
    one_thread.pop("made")
    assert without_times(two_threads) == without_times(one_thread)


def test_a_run_that_another_process_has_is_passed_over(make_job, tmp_path):
    job = make_job()
    with study.claimed(tmp_path / "work" / job.name) as first:
        assert first
        assert study.do([job], tmp_path / "results", tmp_path / "work") == []
    assert not study.is_done(job, tmp_path / "results")


def test_numbers_that_are_not_finite_end_one_run_and_not_the_others(make_job, tmp_path):
    jobs = [make_job(setting="wild", lr=1e30, epochs=1), make_job(setting="tame", epochs=1)]
    (failure,) = study.do(jobs, tmp_path / "results", tmp_path / "work", threads=1)
    assert failure.startswith("trial/wild-seed-0: ")
    assert [study.is_done(job, tmp_path / "results") for job in jobs] == [False, True]


def test_time_left_follows_what_runs_took(make_job, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(study.time, "monotonic", lambda: now[0])
    jobs = [make_job(setting=str(number), subsample=1.0, epochs=400) for number in range(3)]  # of about 78 minutes
    clock = study.Clock(jobs)
    expected = sum(job.seconds for job in jobs) / 60
    assert clock.left() == f"about {int(expected) // 60}:{round(expected) % 60:02} hours left for all"
    now[0] = 3600.0
    clock.finish(jobs[0])
    assert clock.left() == "about 2:00 hours left for all"
    now[0] = 3700.0
    clock.skip(jobs[1])
    assert clock.left() == "about 1:00 hours left for all"


def test_without_pytorch_its_runs_are_left_out(monkeypatch, capsys):
    assert study.usable(["fastscratch", "torch"]) == ["fastscratch", "torch"]
    monkeypatch.setattr(study.importlib.util, "find_spec", lambda name: None)
    assert study.usable(["fastscratch", "torch"]) == ["fastscratch"]
    assert capsys.readouterr().err == "PyTorch is not installed: its runs are left out\n"
    assert study.usable(["torch"]) == ["torch"]  # each of its runs says what is missing


def test_results_of_other_images_are_not_gone_on_with(make_job, tmp_path):
    job = make_job(epochs=1)
    results = tmp_path / "results"
    assert study.do([job], results, tmp_path / "work", threads=1) == []
    study.check_images([job], results)
    path = store.path_of(results, job.name)
    result = store.read(path)
    result["final"]["test"]["fingerprint"] = "another"
    store.write(path, result)
    with pytest.raises(ValueError, match=r"fingerprint another, here it is \w+; .* a folder of their own"):
        study.check_images([job], results)


def test_images_are_those_of_the_experiments_left_out_too(make_job, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "do", lambda *args: [])
    checked = []
    monkeypatch.setattr(study, "check_images", lambda jobs, results: checked.extend(jobs))
    options = study.Options(data="shapes10", only="losses", engines="fastscratch", results=str(tmp_path))
    other = options.plan().ordered(["augmentation"])[0]
    store.write(store.path_of(tmp_path, other.name), made_up.result(other))
    assert study.run(options) == 0
    assert checked == [other]


def test_the_commit_is_told_with_changes(tmp_path, monkeypatch, capfd):
    def git(*arguments):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    monkeypatch.setattr(outcome, "RESULTS", tmp_path / "results")
    assert outcome.commit() is None
    assert capfd.readouterr() == ("", "")  # git says at length what it does without a repository
    for name in ("code.py", "results/a.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    git("init", "-q")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a", "commit", "-q", "-m", "a")
    name = outcome.commit()
    assert len(name) == 9
    (tmp_path / "results" / "a.json").write_text("2")
    assert outcome.commit() == name, "results are no code"
    (tmp_path / "code.py").write_text("2")
    assert outcome.commit() == f"{name}+"
    monkeypatch.setenv("PATH", "")
    assert outcome.commit() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "speed"], "only must be some of agreement, subsampled, "),
        (["--engines", "jax"], "engines must be some of fastscratch, torch, got 'jax'"),
        (["--seeds", "0"], "seeds must be at least 1, got 0"),
        (["--share", "2"], "share must be above 0 and at most 1, got 2.0"),
        (["--speed", "2"], "--speed"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message, capsys):
    assert study.main(study.Options, study.run, ["--data", "shapes10", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_the_list_does_nothing(tmp_path, capsys):
    options = study.Options(data="shapes10", only="learning_rate", seeds=1, results=str(tmp_path / "none"), list=True)
    assert study.run(options) == 0
    assert "learning_rate/1e-3-seed-0-torch" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
