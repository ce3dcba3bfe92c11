"""The command line, from a first run to a prediction."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastscratch.cli import COMMANDS
from fastscratch.cli.parsing import one_line
from fastscratch.cli.train import Options
from fastscratch.config import TrainConfig, field_types
from fastscratch.training import checkpoint
from small_run import CLASSES, SIDE, TEST, TRAIN, call, make_pictures, words_of_train

ROW_KEYS = {"epoch", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "lr", "seconds", "images"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return make_pictures(tmp_path_factory.mktemp("pictures") / "shades")


@pytest.fixture(scope="module")
def finished(pictures, tmp_path_factory):
    """A run of six epochs and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    code, out, err = call(*words_of_train(pictures, folder), "--epochs", "6")
    assert (code, err) == (0, "")
    return folder, out


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def weights(folder):
    arrays, _ = checkpoint.load(folder)
    return {name: array for name, array in arrays.items() if name.startswith("model.")}


def process(*words, **options):
    command = [sys.executable, "-m", "fastscratch", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


# -- help ------------------------------------------------------------------------------------------------------------


def test_help_lists_the_commands_and_is_quick():
    before = os.times()
    result = process("--help")
    after = os.times()
    # Time of the processor, not of the clock: other tests may run beside this one.
    seconds = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    assert (result.returncode, result.stderr) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\w", result.stdout, re.MULTILINE)
    assert seconds < 0.8  # 0.2 s on an idle machine; a busy one shares its cores' halves


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command):
    code, out, err = call(command, "--help")
    assert (code, err) == (0, "")
    assert f"usage: fastscratch {command}" in out


def test_help_of_train_lists_every_field():
    _, out, _ = call("train", "--help")
    for field in field_types(TrainConfig):
        assert f"--{field.replace('_', '-')} " in out.replace(",", " ")
    assert "--config" in out


def test_the_page_on_the_command_line_names_every_command_and_option():
    page = (Path(__file__).parent.parent / "docs" / "command-line.md").read_text()
    for command in COMMANDS:
        assert f"fastscratch {command}" in page
    for field in field_types(Options):
        assert f"--{field.replace('_', '-')}" in page


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from fastscratch.cli import main; main(['train', '--help'])\n"
        "print([name for name in ('matplotlib', 'numba', 'torch', 'PIL', 'pooch') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_version():
    code, out, _ = call("--version")
    assert code == 0
    assert re.fullmatch(r"fastscratch \d+\.\d+\.\d+\n", out)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("╭─ Value error ─╮\n│ must be │\n│ positive │\n│ ───── │\n│ see help │\n╰─╯\n", "must be positive"),
        (" Value error\n -----\n  must be\n  positive\n  --------\n  see help\n", "must be positive"),
        ("plain words\nin two lines", "plain words in two lines"),
        ("", ""),
    ],
)
def test_boxes_become_one_line(text, line):
    assert one_line(text) == line


# -- train -----------------------------------------------------------------------------------------------------------


def test_a_run_leaves_its_files(finished, pictures):
    folder, _ = finished
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "history.jsonl", "metrics.json", "checkpoint.safetensors", "curves.png"} <= names
    config = json.loads((folder / "config.json").read_text())
    assert (config["data"], config["epochs"], config["lr"]) == (str(pictures.resolve()), 6, 1e-3)
    rows = history(folder)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(set(row) == ROW_KEYS and row["images"] == TRAIN * len(CLASSES) for row in rows)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["classes"] == list(CLASSES)
    assert np.sum(metrics["valid"]["confusion"]) == TEST * len(CLASSES)
    assert metrics["valid"]["accuracy"] > 0.9  # three colours are soon told apart
    with Image.open(folder / "curves.png") as image:
        assert image.size == (1500, 630)


def test_what_train_prints(finished):
    folder, out = finished
    assert "36 images of 24 x 24 x 3 in 3 classes (fingerprint " in out
    assert re.search(r"validation: +12 images of the test set", out)
    assert re.search(r"model: +baseline, [\d,]+ parameters", out)
    assert re.search(r"kernels: +\w+, threads: 1", out)
    for name in CLASSES:
        assert re.search(rf"^{name} +\d+\.\d\d % +\d+\.\d\d %$", out, re.MULTILINE)
    assert re.search(r"^all +", out, re.MULTILINE)
    assert str(folder) in out.splitlines()[-1]
    assert "\x1b" not in out  # plain in a pipe


def test_a_tenth_and_a_validation_split(pictures, tmp_path):
    options = ("--subsample", "0.5", "--validation", "0.5", "--augment", "hflip")
    code, out, err = call(*words_of_train(pictures, tmp_path / "run"), *options)
    assert (code, err) == (0, "")
    assert "9 images of 24 x 24 x 3" in out
    assert re.search(r"validation: +9 images of the training set", out)
    assert history(tmp_path / "run")[0]["images"] == 9


@pytest.mark.parametrize(
    "options",
    [
        ("--model", "improved", "--optimizer", "adamw", "--weight-decay", "0.1", "--loss", "kl-divergence"),
        ("--optimizer", "sgd", "--momentum", "0.9", "--nesterov", "--schedule", "multistep", "--milestones", "1"),
        ("--schedule", "cosine", "--warmup-epochs", "0.5", "--final-lr", "1e-5", "--label-smoothing", "0.1"),
        ("--schedule", "onecycle", "--init", "kaiming_normal", "--early-stopping", "1"),
        ("--schedule", "step", "--gamma", "0.5", "--augment", "flip-crop-cutout"),
    ],
)
def test_every_kind_of_setting_trains(options, pictures, tmp_path):
    code, _, err = call(*words_of_train(pictures, tmp_path / "run"), *options)
    assert (code, err) == (0, "")
    assert len(history(tmp_path / "run")) == 1


def test_the_schedule_counts_epochs_or_steps(pictures, tmp_path):
    words = [*words_of_train(pictures, tmp_path / "a"), "--epochs", "3", "--schedule", "step", "--gamma", "0.5"]
    assert call(*words)[0] == 0
    np.testing.assert_allclose([row["lr"] for row in history(tmp_path / "a")], [1e-3, 5e-4, 2.5e-4])
    words = [*words_of_train(pictures, tmp_path / "b"), "--epochs", "2", "--schedule", "cosine"]
    assert call(*words)[0] == 0
    lrs = [row["lr"] for row in history(tmp_path / "b")]
    assert 1e-3 > lrs[0] > lrs[1] > 0


def test_early_stopping_is_said(pictures, tmp_path):
    words = [*words_of_train(pictures, tmp_path / "run"), "--epochs", "9", "--lr", "1e-20", "--early-stopping", "2"]
    code, out, _ = call(*words)
    assert code == 0
    assert "has not improved" in out
    assert len(history(tmp_path / "run")) < 9


def test_config_file_and_options(pictures, tmp_path):
    (tmp_path / "run.toml").write_text(f"data = '{pictures}'\nepochs = 2\nbatch-size = 12\nthreads = 1\nseed = 5\n")
    code, _, err = call("train", "--config", tmp_path / "run.toml", "--epochs", "1", "--out", tmp_path / "a")
    assert (code, err) == (0, "")
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert (config["epochs"], config["batch_size"], config["seed"]) == (1, 12, 5)
    code, _, err = call("train", "--config", tmp_path / "a" / "config.json", "--out", tmp_path / "b")
    assert (code, err) == (0, "")
    again, first = weights(tmp_path / "b"), weights(tmp_path / "a")
    assert all(np.array_equal(again[name], first[name]) for name in first)


def test_default_folder_is_named_after_time_model_and_data(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = words_of_train(pictures, "")[:-2]
    assert call(*words)[0] == 0
    assert call(*words)[0] == 0
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(names) == 2  # also when both begin in one second
    assert all(re.fullmatch(r"\d{8}-\d{6}-baseline-shades(-2)?", name) for name in names)


def test_auto_is_stored_by_the_name_it_took(pictures, tmp_path, monkeypatch):
    from fastscratch import data

    load = data.load
    monkeypatch.setattr(data, "load", lambda name, *rest: load(str(pictures), *rest))
    words = words_of_train("auto", tmp_path / "run")
    assert call(*words)[0] == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"] == "shades"


def test_a_loss_that_is_not_finite_ends_in_one_line(pictures, tmp_path):
    options = ("--optimizer", "sgd", "--lr", "1e30", "--epochs", "3")
    code, _, err = call(*words_of_train(pictures, tmp_path / "run"), *options)
    assert code == 2
    assert err.count("\n") == 1
    assert re.search(r"epoch \d.*1e\+30", err)


# -- stopping and going on -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_in_one_line_that_says_how_to_resume(number, code, pictures, tmp_path):
    folder = tmp_path / "run"
    words = [*words_of_train(pictures, folder), "--epochs", "100000"]
    command = [sys.executable, "-m", "fastscratch", *words]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not (folder / "history.jsonl").exists() or not history(folder):
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(number)
        _, err = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == code
    assert err.count("\n") == 1
    assert f"fastscratch train --resume {folder}" in err
    done = len(history(folder))
    result, out, err = call("train", "--resume", folder, "--epochs", str(done + 2))
    assert (result, err) == (0, "")
    assert len(history(folder)) == done + 2
    assert re.search(rf"resumed: +after {done} of {done + 2} epochs( and \d batch(es)?)?$", out, re.MULTILINE)


def test_a_resumed_run_has_the_bits_of_an_undisturbed_one(pictures, tmp_path):
    words = [*words_of_train(pictures, tmp_path / "halves"), "--augment", "report"]
    assert call(*words)[0] == 0
    assert call("train", "--resume", tmp_path / "halves", "--epochs", "2")[0] == 0
    words = [*words_of_train(pictures, tmp_path / "whole"), "--augment", "report", "--epochs", "2"]
    assert call(*words)[0] == 0
    whole, halves = weights(tmp_path / "whole"), weights(tmp_path / "halves")
    assert all(np.array_equal(whole[name], halves[name]) for name in whole)
    losses = [[row["train_loss"] for row in history(tmp_path / name)] for name in ("whole", "halves")]
    assert losses[0] == losses[1]


def test_a_run_killed_before_its_first_checkpoint_starts_again(pictures, tmp_path, finished):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_bytes((finished[0] / "config.json").read_bytes())
    code, out, err = call("train", "--resume", folder, "--threads", "1")
    assert (code, err) == (0, "")
    assert "from the beginning" in out
    first, again = weights(finished[0]), weights(folder)
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_resume_may_repeat_the_runs_own_options(finished, pictures):
    code, _, err = call("train", "--resume", finished[0], "--data", pictures, "--lr", "1e-3", "--seed", "0")
    assert (code, err) == (0, "")
    assert len(history(finished[0])) == 6


# -- what a run is good for ------------------------------------------------------------------------------------------


def test_evaluate_repeats_the_numbers_of_the_run(finished):
    folder, _ = finished
    metrics = json.loads((folder / "metrics.json").read_text())
    for part, count in (("valid", TEST), ("train", TRAIN)):
        code, out, err = call("evaluate", folder, "--part", part, "--threads", "1")
        assert (code, err) == (0, "")
        assert f"{count * len(CLASSES)} images (fingerprint {metrics[part]['fingerprint']})" in out
        assert f"loss {metrics[part]['loss']:.4f}, accuracy {100 * metrics[part]['accuracy']:.2f} %" in out
        for name in CLASSES:
            assert re.search(rf"^{name} +{count} +\d+\.\d\d %$", out, re.MULTILINE)


def test_evaluate_does_not_take_changed_images_for_those_of_the_run(tmp_path):
    pictures, folder = make_pictures(tmp_path / "pictures"), tmp_path / "run"
    assert call(*words_of_train(pictures, folder))[0] == 0
    changed = pictures / "test" / "red" / "0.png"
    changed.write_bytes((pictures / "test" / "red" / "1.png").read_bytes())
    code, out, err = call("evaluate", folder)
    assert (code, out) == (2, "")
    assert err.startswith(f"fastscratch evaluate: the images are not those of {folder}: validation data: the run has ")
    assert call("evaluate", folder, "--data", pictures)[0] == 0


def test_evaluate_on_other_images_of_the_same_classes(finished, tmp_path):
    other = make_pictures(tmp_path / "other")
    for path in other.rglob("test/*/*.png"):
        Image.new("RGB", (SIDE, SIDE), "black").save(path)
    code, out, err = call("evaluate", finished[0], "--data", other)
    assert (code, err) == (0, "")
    assert "accuracy 33.33 %" in out  # the network calls every black image the same


def test_predict(finished, pictures, tmp_path):
    folder, _ = finished
    Image.new("RGB", (90, 50), (60, 190, 60)).save(tmp_path / "meadow.jpg")
    red = pictures / "test" / "red" / "0.png"
    code, out, err = call("predict", folder, tmp_path / "meadow.jpg", red, "--top", "2")
    assert (code, err) == (0, "")
    tables = re.findall(r"^(\S+) +(\d+\.\d\d) %$", out, re.MULTILINE)
    assert len(tables) == 4
    assert tables[0][0] == "green"
    assert tables[2][0] == "red"
    assert float(tables[0][1]) > float(tables[1][1])
    assert "meadow.jpg" in out
    assert "0.png" in out


def test_predict_from_a_checkpoint_file(finished, pictures):
    folder, _ = finished
    red = pictures / "test" / "red" / "0.png"
    _, whole, _ = call("predict", folder, red)
    code, out, err = call("predict", folder / "checkpoint.safetensors", red)
    assert (code, err) == (0, "")
    assert out == whole


# -- data ------------------------------------------------------------------------------------------------------------


def test_data_lists_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSCRATCH_DATA", str(tmp_path))
    code, out, err = call("data")
    assert (code, err) == (0, "")
    for name in ("cifar10", "fashion-mnist", "shapes10"):
        assert re.search(rf"^{name}: .*not", out, re.MULTILINE)
    assert f"kept in {tmp_path}" in out
    assert "\x1b" not in out


def test_contact_sheet(pictures, tmp_path):
    code, out, err = call("data", "--name", pictures, "--contact-sheet", tmp_path / "sheet.png")
    assert (code, err) == (0, "")
    assert re.search(r"^shades +train +36 +24 x 24 x 3 +3 +[0-9a-f]{16}$", out, re.MULTILINE)
    assert re.search(r"^ +test +12 +24 x 24 x 3 +3 +[0-9a-f]{16}$", out, re.MULTILINE)
    assert "3 classes: blue, green, red" in out
    with Image.open(tmp_path / "sheet.png") as image:
        assert min(image.size) > 100
        colors = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    for channel in range(3):  # every class is on it
        others = [other for other in range(3) if other != channel]
        assert (colors[:, channel] > 40 + colors[:, others].max(axis=1)).sum() > 100


# -- as a process ----------------------------------------------------------------------------------------------------


def test_a_reader_that_leaves_is_no_error():
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, "-m", "fastscratch", "doctor"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert "Traceback" not in result.stderr


def test_the_installed_program_is_the_same():
    program = os.path.join(os.path.dirname(sys.executable), "fastscratch")
    result = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == call("--version")[1]
