"""Every mistake a user can make on the command line: exit code 2 and one clear line, never a traceback."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fastscratch import data
from fastscratch.cli import COMMANDS
from fastscratch.config import TrainConfig
from fastscratch.pictures import read_picture
from fastscratch.run import start
from fastscratch.trained import load
from small_run import call, make_pictures, words_of_train


class Malice:
    """Unpickled without care, this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Make a folder of good and bad things: pictures, a finished run, broken copies of both."""
    place = tmp_path_factory.mktemp("place")
    pictures = make_pictures(place / "pictures")
    assert call(*words_of_train(pictures, place / "run"))[0] == 0

    # Runs
    (place / "empty").mkdir()
    for name in ("truncated", "zeros", "other_model", "bad_json", "unknown_key", "wrong_type", "no_checkpoint"):
        shutil.copytree(place / "run", place / name)
    checkpoint = (place / "run" / "checkpoint.safetensors").read_bytes()
    (place / "truncated" / "checkpoint.safetensors").write_bytes(checkpoint[: len(checkpoint) // 2])
    (place / "zeros" / "checkpoint.safetensors").write_bytes(bytes(len(checkpoint)))
    (place / "no_checkpoint" / "checkpoint.safetensors").unlink()
    config = json.loads((place / "run" / "config.json").read_text())
    for name, changed in (
        ("other_model", config | {"model": "improved"}),
        ("unknown_key", config | {"speed": 11}),
        ("wrong_type", config | {"epochs": "many"}),
    ):
        (place / name / "config.json").write_text(json.dumps(changed))
    shutil.copytree(place / "run", place / "homeless")
    (place / "homeless" / "config.json").write_text(json.dumps(config | {"data": str(place / "gone")}))
    (place / "bad_json" / "config.json").write_text('{"lr": ')
    (place / "list.json").write_text("[1, 2, 3]")
    (place / "huge.json").write_text('{"lr": 1' + 400 * "0" + "}")
    (place / "deep.json").write_text(100_000 * "[")

    shutil.copytree(place / "run", place / "two_epochs")
    assert call("train", "--resume", place / "two_epochs", "--epochs", "2")[0] == 0
    (place / "sheet.png").mkdir()
    (place / "curves").mkdir()
    (place / "curves" / "curves.png").write_text("a picture")

    # Config files
    (place / "broken.toml").write_text("epochs = \n")
    (place / "unknown.toml").write_text("epoch = 3\n")
    (place / "text.toml").write_text('epochs = "three"\n')
    (place / "negative.toml").write_text("epochs = -3\n")

    # Pictures
    (place / "note.txt").write_text("not a picture")
    (place / "half.png").write_bytes((pictures / "train" / "red" / "0.png").read_bytes()[:300])
    for name in ("no_classes", "unreadable", "one_sided"):
        (place / name / "train").mkdir(parents=True)
        (place / name / "test").mkdir()
    for part in ("train", "test"):
        (place / "unreadable" / part / "red").mkdir()
        (place / "unreadable" / part / "red" / "0.png").write_text("not a picture")
    shutil.copytree(pictures / "train", place / "one_sided" / "train", dirs_exist_ok=True)
    make_pictures(place / "tiny", side=8)

    # CIFAR-10
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]
    good = {b"data": np.zeros((10000, 3072), np.uint8), b"labels": [0] * 10000, b"label_names": [b"x"] * 10}
    for name, content in (
        ("cifar_truncated", pickle.dumps(good, protocol=2)[:1000]),
        ("cifar_malicious", pickle.dumps(Malice(place / "made_by_malice"), protocol=2)),
        ("cifar_misshapen", pickle.dumps({b"data": [1, 2], b"labels": [1]}, protocol=2)),
    ):
        folder = place / name / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        for file in names:
            (folder / file).write_bytes(content)
    return place


# name -> (the words, with {place} for the folder above; what the line must say)
BAD_COMMAND_LINES = {
    # what is typed
    "no command": ("", r"a command is missing: train, evaluate, predict, data, doctor, profile"),
    "unknown command": ("trian", r"unknown command 'trian'; did you mean 'train'\?"),
    "option before command": ("--epochs 3", r"unknown option '--epochs'"),
    "unknown option": ("train --epoch 3", r"unknown option --epoch; did you mean --epochs\?"),
    "option of another command": ("doctor --lr 3", r"unknown option --lr; fastscratch doctor --help lists"),
    "stray word": ("train cifar10", r"[Uu]nrecognized .*cifar10"),
    "missing value": ("train --lr", r"--lr needs a value"),
    "missing argument": ("evaluate", r"missing RUN"),
    "missing images": ("predict {place}/run", r"name at least one image|missing"),
    "word for a number": ("train --epochs many", r"--epochs must be a whole number, got 'many'"),
    "fraction for a whole number": ("train --batch-size 2.5", r"--batch-size must be a whole number, got '2.5'"),
    "word in a list": ("train --milestones 3 x", r"--milestones must be a whole number, got 'x'"),
    # numbers
    "negative rate": ("train --lr -1e-3", r"lr must be a positive, finite number, got -0.001"),
    "rate is no number": ("train --lr nan", r"lr must be a positive, finite number, got nan"),
    "infinite rate": ("train --lr inf", r"lr must be a positive, finite number, got inf"),
    "no epochs": ("train --epochs 0", r"epochs must be at least 1, got 0"),
    "empty batches": ("train --batch-size 0", r"batch_size must be at least 1, got 0"),
    "no threads": ("train --threads 0", r"threads must be at least 1, got 0"),
    "too many threads": ("train --threads 99999999999", r"number of threads must be from 1 to 4096, got 99999999999"),
    "too large images": ("profile --image-size 100000", r"not enough memory: Unable to allocate"),
    "too large a number": ("train --config {place}/huge.json", r"a number is too large: int too large to convert"),
    "too deep a file": ("train --config {place}/deep.json", r"something is nested too deeply"),
    "negative seed": ("train --seed -1", r"seed must be at least 0, got -1"),
    "subsample nothing": ("train --subsample 0", r"subsample must be above 0 and at most 1, got 0.0"),
    "subsample twice": ("train --subsample 2", r"subsample must be above 0 and at most 1, got 2.0"),
    "validate on everything": ("train --validation 1", r"validation must be at least 0 and below 1, got 1.0"),
    "validate on nothing": ("train --data {place}/pictures --validation 1e-6", r"leaves 36 for training and 0 for"),
    "smooth everything": ("train --label-smoothing 1", r"label_smoothing must be at least 0 and below 1, got 1.0"),
    "negative decay": ("train --weight-decay -1", r"weight_decay must be a finite number of at least 0, got -1.0"),
    "no patience": ("train --early-stopping 0", r"early_stopping must be at least 1, got 0"),
    "no repeats": ("profile --repeats 0", r"repeats must be at least 1, got 0"),
    # names
    "unknown model": ("train --model resnet", r"unknown model 'resnet'; known: baseline, improved"),
    "unknown data": (
        "train --data cifar11",
        r"unknown data 'cifar11'; known: auto, .*cifar10.*, or a folder of images",
    ),
    "unknown loss": ("train --loss hinge", r"unknown loss 'hinge'; known: cross-entropy, kl-divergence"),
    "unknown optimizer": ("train --optimizer adma", r"unknown optimizer 'adma'; known: sgd, adam, adamw"),
    "unknown schedule": ("train --schedule linear", r"unknown schedule 'linear'; known: constant, step, "),
    "unknown augmentation": ("train --augment flip", r"unknown augment 'flip'; known: none, report, "),
    "unknown initialization": ("train --init he", r"unknown init 'he'; known: torch, "),
    "unknown backend": ("train --backend cuda", r"unknown backend 'cuda'; known: auto, cython, numba, numpy"),
    "unknown part": ("evaluate {place}/run --part test", r"unknown part 'test'; known: train, valid"),
    # contradictions
    "momentum of Adam": ("train --momentum 0.9", r"momentum belongs to optimizer sgd; optimizer is adam"),
    "Nesterov without momentum": ("train --optimizer sgd --nesterov", r"nesterov needs momentum above 0"),
    "multistep without steps": ("train --schedule multistep", r"schedule multistep needs milestones"),
    "warm-up only": (
        "train --schedule cosine --warmup-epochs 20",
        r"warmup_epochs must be below epochs, got 20.0 of 20",
    ),
    "resume and config": ("train --resume {place}/run --config {place}/run", r"give --resume or --config, not both"),
    # config files
    "missing config": ("train --config {place}/none.toml", r"cannot read config .*none.toml: No such file"),
    "broken TOML": ("train --config {place}/broken.toml", r"broken.toml: not valid TOML: .*line 1"),
    "unknown key": (
        "train --config {place}/unknown.toml",
        r"unknown.toml: unknown key 'epoch'; did you mean 'epochs'\?",
    ),
    "text for a number": ("train --config {place}/text.toml", r"text.toml: epochs must be a whole number, got 'three'"),
    "bad value in a file": ("train --config {place}/negative.toml", r"epochs must be at least 1, got -3"),
    "list for a config": ("train --config {place}/list.json", r"list.json: must hold names and values, got a list"),
    "picture for a config": ("train --config {place}/half.png", r"must be a .toml or .json file"),
    # folders to write into
    "out below a file": ("train --data {place}/pictures --out {place}/note.txt/run", r"cannot write to .*note.txt"),
    "out is a file": ("train --data {place}/pictures --out {place}/note.txt", r"cannot write to .*note.txt is not a"),
    "out holds a run": ("train --data {place}/pictures --out {place}/run", r"run holds a run already .*--resume"),
    "out holds curves": (
        "train --data {place}/pictures --out {place}/curves",
        r"curves holds a run already \(curves.png\)",
    ),
    # runs
    "no run to resume": ("train --resume {place}/none", r"there is no run .*none"),
    "checkpoint to resume": (
        "train --resume {place}/run/checkpoint.safetensors",
        r"there is no run .*checkpoint.safetensors: it is a file; name its folder, .*run$",
    ),
    "home of nobody": ("evaluate ~no-such-user/run", r"there is no run ~no-such-user/run: no such folder"),
    "pictures have gone": ("evaluate {place}/homeless", r"there is no folder of images .*gone"),
    "empty folder to resume": ("train --resume {place}/empty", r"empty is not the folder of a run: .* no config.json"),
    "resume without checkpoint": ("train --resume {place}/no_checkpoint", r"epochs in history.jsonl but no checkpoint"),
    "resume with other settings": (
        "train --resume {place}/run --lr 0.5 --seed 3",
        r"cannot resume .*run with other settings: lr is 0.001 there, 0.5 here; seed is 0 there, 3 here",
    ),
    "resume elsewhere": ("train --resume {place}/run --out {place}/other", r"a resumed run stays in its folder"),
    "resume to fewer epochs": (
        "train --resume {place}/two_epochs --epochs 1",
        r"epochs must be at least 2, those that .*two_epochs has, got 1",
    ),
    "resume truncated": (
        "train --resume {place}/truncated",
        r"checkpoint .* cannot be read: it is truncated or damaged",
    ),
    "resume other model": ("train --resume {place}/other_model", r"model"),
    "no run to evaluate": ("evaluate {place}/none", r"there is no run .*none"),
    "evaluate zeros": ("evaluate {place}/zeros", r"checkpoint .* cannot be read"),
    "evaluate other model": ("evaluate {place}/other_model", r"does not fit the model"),
    "config of a run is broken": ("evaluate {place}/bad_json", r"config.json: not valid JSON"),
    "config of a run has more": ("evaluate {place}/unknown_key", r"config.json: unknown key 'speed'"),
    "config of a run is wrong": (
        "evaluate {place}/wrong_type",
        r"config.json: epochs must be a whole number, got 'many'",
    ),
    "evaluate on other images": (
        "evaluate {place}/run --data {place}/tiny",
        r"takes images of 24 x 24 x 3, .* 8 x 8 x 3",
    ),
    # pictures
    "sheet of nothing": ("data --contact-sheet {place}/never.png", r"--contact-sheet needs --name"),
    "sheet below a file": (
        "data --name {place}/pictures --contact-sheet {place}/note.txt/sheet.png",
        r"cannot write .*note.txt/sheet.png: .*note.txt is not a folder",
    ),
    "sheet in no folder": (
        "data --name {place}/never --contact-sheet {place}/none/sheet.png",
        r"cannot write .*none/sheet.png: .*none is not a folder",
    ),
    "folder for a sheet": (
        "data --name {place}/never --contact-sheet {place}/sheet.png",
        r"cannot write .*sheet.png: it is a folder",
    ),
    "sheet of another kind": (
        "data --name {place}/never --contact-sheet {place}/sheet.jpg",
        r"--contact-sheet must name a .png file, got .*sheet.jpg'",
    ),
    "sheet without a name": ("data --name {place}/never --contact-sheet .png", r"must name a .png file, got '.png'"),
    "no folder of images": ("train --data {place}/none/", r"there is no folder of images .*none"),
    "no classes": ("train --data {place}/no_classes", r"no_classes/train holds no class folders"),
    "unreadable training image": ("train --data {place}/unreadable", r"unreadable.*0.png"),
    "no test images": ("train --data {place}/one_sided", r"one_sided: train and test must hold the same classes"),
    "images too small": (
        "train --data {place}/tiny",
        r"images of 8 x 8 are too small .* smallest that fits is 22 x 22",
    ),
    "missing picture": ("predict {place}/run {place}/none.png", r"none.png: No such file"),
    "text for a picture": ("predict {place}/run {place}/note.txt", r"note.txt is not a picture"),
    "half a picture": ("predict {place}/run {place}/half.png", r"half.png cannot be read: .*truncated"),
    "folder for a picture": ("predict {place}/run {place}/pictures", r"pictures: Is a directory"),
    "no top classes": ("predict {place}/run {place}/half.png --top 0", r"top must be at least 1, got 0"),
}

BAD_CIFAR = {
    "cifar_truncated": r"data_batch_1",
    "cifar_malicious": r"(not allowed|refused|forbidden|must not|admits|only)",
    "cifar_misshapen": r"data_batch_1",
}


def check_one_line(code, out, err, words, message):
    assert code == 2, err
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    command = words[0] if words and words[0] in COMMANDS else ""
    assert err.startswith(f"fastscratch {command}".rstrip() + ": ")
    assert "Traceback" not in out + err
    assert re.search(message, err), err


def test_the_table_is_long_enough():
    assert len(BAD_COMMAND_LINES) + len(BAD_CIFAR) >= 70


@pytest.mark.parametrize("name", BAD_COMMAND_LINES)
def test_one_line_and_exit_code_2(name, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line, message = BAD_COMMAND_LINES[name]
    words = line.format(place=place).split()
    check_one_line(*call(*words), words, message)
    assert not list(tmp_path.iterdir()), "a refused command must leave nothing behind"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", ""], "data must not be empty; the current folder is '.'"),
        (["--data", "shapes10", "--out", ""], "out must not be empty"),
    ],
)
def test_a_folder_has_a_name(words, message, tmp_path, monkeypatch):
    """An empty path would be the current folder, as where a shell's variable is not set."""
    monkeypatch.chdir(tmp_path)
    words = ["train", *words, "--epochs", "1"]
    check_one_line(*call(*words), words, message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", BAD_CIFAR)
def test_bad_cifar10_files(name, place, monkeypatch):
    monkeypatch.setenv("FASTSCRATCH_DATA", str(place / name))
    words = ["train", "--data", "cifar10", "--out", str(place / "never")]
    check_one_line(*call(*words), words, BAD_CIFAR[name])
    with pytest.raises(ValueError, match=BAD_CIFAR[name]):
        data.load("cifar10", root=place / name)
    assert not (place / "made_by_malice").exists()
    assert not (place / "never").exists()


def test_bad_backend_in_the_environment(place):
    environment = os.environ | {"FASTSCRATCH_BACKEND": "cuda"}
    words = [sys.executable, "-m", "fastscratch", *words_of_train(place / "pictures", place / "never")]
    result = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    check_one_line(result.returncode, result.stdout, result.stderr, words[3:], "FASTSCRATCH_BACKEND must be one of")
    assert not (place / "never").exists()


def test_a_data_root_that_is_a_file(place, monkeypatch):
    monkeypatch.setenv("FASTSCRATCH_DATA", str(place / "note.txt"))
    for words in (["train", "--out", place / "never"], ["data"]):
        check_one_line(*call(*words), words, "the data root must be a folder, .*note.txt is a file")
    assert not (place / "never").exists()


def test_a_real_process_writes_one_line_too(place):
    words = [sys.executable, "-m", "fastscratch", "evaluate", str(place / "truncated")]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    check_one_line(result.returncode, result.stdout, result.stderr, words[3:], "truncated or damaged")


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda place: start(TrainConfig(epochs=0)), ValueError, "epochs must be at least 1"),
        (lambda place: start(TrainConfig(lr="high")), TypeError, "lr must be a number, got 'high'"),
        (lambda place: start(TrainConfig(data=str(place / "run"), out=str(place / "run"))), OSError, "holds a run"),
        (lambda place: start(TrainConfig(resume=str(place / "none"))), OSError, "there is no run"),
        (lambda place: start(TrainConfig(data=str(place / "tiny"))), ValueError, "too small"),
        (lambda place: load(place / "truncated"), ValueError, "truncated or damaged"),
        (lambda place: load(place / "empty"), OSError, r"holds no config\.json"),
        (lambda place: load(place / "run").predict(np.zeros((1, 8, 8, 3), np.uint8)), ValueError, "24 x 24 x 3, got"),
        (lambda place: load(place / "run").predict([[1]]), TypeError, "images must be an ndarray .* got list"),
        (lambda place: load(place / "run").evaluate(([], [])), TypeError, "takes an ImageDataset .* got tuple"),
        (lambda place: read_picture(place / "note.txt", (24, 24, 3)), ValueError, "is not a picture"),
        (lambda place: read_picture(place / "half.png", (24, 24, 2)), ValueError, "1 or 3 channels"),
    ],
)
def test_the_same_from_python(place, act, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as raised:
        act(place)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    Image.new("1", (400, 400)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    with pytest.raises(ValueError, match=r"huge\.png cannot be read: .*pixels"):
        read_picture(tmp_path / "huge.png", (24, 24, 3))


def test_a_last_batch_that_cannot_be_trained_on_leaves_no_folder(place):
    # 36 images make a batch of one after one of 35, in which batch norm sees one pixel.
    pictures = make_pictures(place / "of_81_pixels", side=9)
    words = "train", "--data", pictures, "--model", "improved", "--epochs", 1, "--batch-size", 35
    code, _, err = call(*words, "--out", place / "refused")
    assert code == 2
    assert "the last batch of an epoch has one image" in err
    assert not (place / "refused").exists()


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_process_without_an_output_works(closed, place):
    program = f"import sys; sys.{closed} = None; from fastscratch.cli import main; sys.exit(main(sys.argv[1:]))"
    words = words_of_train(place / "pictures", place / f"without_{closed}")
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (place / f"without_{closed}" / "metrics.json").is_file()
