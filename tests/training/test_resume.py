"""A run that was stopped, however, and taken up again has the bits of one that never was."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest

import tiny_training
from fastscratch import nn
from fastscratch.data.augment import AUGMENTATIONS
from fastscratch.losses import CrossEntropyLoss
from fastscratch.training import BestCheckpoint, CheckpointError, EarlyStopping, History, checkpoint, read_model
from tiny_training import BATCHES, StopAfter, make_data, make_trainer, state_of

EPOCHS = 3


def fit(trainer, epochs=EPOCHS):
    trainer.fit(make_data(), make_data(20, seed=1), epochs=epochs)
    return state_of(trainer)


@pytest.fixture(scope="module")
def undisturbed():
    """Return the final states of undisturbed runs, by schedule."""
    return {schedule: fit(make_trainer(schedule=schedule)) for schedule in ("cosine", "step", None)}


@pytest.mark.parametrize("schedule", ["cosine", "step", None])
@pytest.mark.parametrize("steps", [1, 4, BATCHES, BATCHES + 1, 2 * BATCHES + 5, 3 * BATCHES])
def test_a_run_stopped_anywhere_goes_on_with_the_same_bits(tmp_path, undisturbed, schedule, steps):
    """The checkpoint is of step 3 of every 3, or of an epoch's end: mid-epoch positions included."""
    first = make_trainer(schedule=schedule, checkpoint=tmp_path, checkpoint_every=3, callbacks=[StopAfter(steps)])
    with pytest.raises(KeyboardInterrupt):
        fit(first)
    second = make_trainer(schedule=schedule, checkpoint=tmp_path)
    second.resume(tmp_path)
    assert second.state.step == (steps - 1) // 3 * 3
    assert fit(second) == undisturbed[schedule]


def test_a_run_stopped_again_and_again_does_too(tmp_path, undisturbed):
    for steps in range(2, 3 * BATCHES, 2):
        trainer = make_trainer(checkpoint=tmp_path, checkpoint_every=1, callbacks=[StopAfter(steps)])
        if steps > 2:
            trainer.resume(tmp_path)
        with pytest.raises(KeyboardInterrupt):
            fit(trainer)
    trainer = make_trainer()
    trainer.resume(tmp_path)
    assert fit(trainer) == undisturbed["cosine"]


class OneLess(CrossEntropyLoss):
    """A loss that may be negative."""

    def forward(self, logits, targets):
        return super().forward(logits, targets) - 10.0


def test_a_loss_below_zero_is_taken_up_too(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(make_trainer(criterion=OneLess(), checkpoint=tmp_path, checkpoint_every=1, callbacks=[StopAfter(12)]))
    resumed = make_trainer(criterion=OneLess())
    resumed.resume(tmp_path)
    assert resumed.state.loss_sum < 0
    fit(resumed)
    assert resumed.history["train_loss"][-1] < 0


def test_the_seconds_of_an_epoch_are_those_before_the_stop_too(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(make_trainer(checkpoint=tmp_path, checkpoint_every=1, callbacks=[StopAfter(12)]))
    resumed = make_trainer()
    resumed.resume(tmp_path)
    resumed.state.seconds += 1000
    fit(resumed)
    assert [seconds > 1000 for seconds in resumed.history["seconds"]] == [False, True, False]


def test_float64_and_other_bit_generators_come_back_too(tmp_path):
    def make(**options):
        layers = [nn.Dropout(0.5, seed=np.random.Generator(np.random.MT19937(5))), nn.Flatten(), nn.Linear(192, 3)]
        return make_trainer(model=nn.Sequential(*layers, seed=0).astype(np.float64), **options)

    with pytest.raises(KeyboardInterrupt):
        fit(make(checkpoint=tmp_path, checkpoint_every=1, callbacks=[StopAfter(12)]))
    resumed = make()
    resumed.resume(tmp_path)
    assert fit(resumed) == fit(make())


def test_the_file_of_another_folder_can_be_taken_up(tmp_path, undisturbed):
    fit(make_trainer(checkpoint=tmp_path / "a"), epochs=1)
    resumed = make_trainer(checkpoint=tmp_path / "b")
    resumed.resume(tmp_path / "a" / "checkpoint.safetensors")
    assert fit(resumed) == undisturbed["cosine"]
    assert read_model(tmp_path / "a").epoch == 1
    assert read_model(tmp_path / "b").epoch == EPOCHS


def test_the_best_checkpoint_can_be_taken_up(tmp_path):
    def make(**options):
        best = BestCheckpoint(tmp_path / "best.safetensors", "train_loss")
        return make_trainer(callbacks=[EarlyStopping("train_loss", patience=9), best], **options)

    whole = make()
    fit(whole)
    resumed = make()
    resumed.resume(tmp_path / "best.safetensors")
    assert resumed.state.epoch == np.argmin(whole.history["train_loss"]) + 1
    assert fit(resumed) == state_of(whole)


def spawn(folder, every):
    script = [sys.executable, tiny_training.__file__, str(folder), str(EPOCHS), str(every)]
    return subprocess.Popen(script, stdout=subprocess.PIPE)


@pytest.mark.parametrize("every", [1, 4])
def test_killed_at_random_moments_a_run_ends_with_the_same_bits(tmp_path, undisturbed, every):
    """SIGKILL, which no process can catch; with a checkpoint after every step it often falls into the writing."""
    rng = np.random.default_rng(every)
    kills = 0
    while kills < 3:
        process = spawn(tmp_path, every)
        process.stdout.readline()  # the first batch is done
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        kills += process.wait() != 0
        process.stdout.close()
        if process.returncode == 0:
            break  # too late, it was done
    assert kills > 0
    with spawn(tmp_path, every) as process:
        process.stdout.read()
    assert process.returncode == 0

    trainer = make_trainer(callbacks=[EarlyStopping(patience=1000)])
    trainer.resume(tmp_path)
    assert trainer.state.epoch == EPOCHS
    got, expected = state_of(trainer), undisturbed["cosine"]
    memory = json.loads(got.pop("meta"))
    remembered = memory.pop("callbacks")
    assert remembered["EarlyStopping.1"]["best"] == min(trainer.history["valid_loss"])
    assert memory == {key: value for key, value in json.loads(expected["meta"]).items() if key != "callbacks"}
    assert got == {name: value for name, value in expected.items() if name != "meta"}
    assert History.from_jsonl(tmp_path / "history.jsonl").rows == trainer.history.rows
    left = {path.name for path in tmp_path.iterdir()} - {"history.jsonl"}
    assert left <= {f"checkpoint{middle}.safetensors{end}" for middle in ("", ".previous") for end in ("", ".tmp")}


def test_a_truncated_checkpoint_names_the_one_before_which_is_taken_up(tmp_path, undisturbed):
    fit(make_trainer(checkpoint=tmp_path), epochs=2)
    newest, before = tmp_path / "checkpoint.safetensors", tmp_path / "checkpoint.previous.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    trainer = make_trainer(checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match=re.escape(f"; the checkpoint before it is {before}")):
        trainer.resume(tmp_path)
    assert trainer.state.step == 0
    trainer.resume(before)
    assert trainer.state.epoch == 1
    trainer.checkpoint.open(trainer)  # replaces the damaged file, which must not become the previous one
    assert read_model(before).epoch == 1
    assert fit(trainer) == undisturbed["cosine"]


def test_an_older_checkpoint_that_is_taken_up_does_not_destroy_the_newest(tmp_path):
    fit(make_trainer(checkpoint=tmp_path), epochs=2)
    trainer = make_trainer(checkpoint=tmp_path)
    trainer.resume(tmp_path / "checkpoint.previous.safetensors")
    trainer.checkpoint.open(trainer)
    assert [read_model(path).epoch for path in sorted(tmp_path.iterdir())] == [2, 1]


CHANGES = {
    "lr": ({"lr": 0.02}, "lr: checkpoint has 0.01, this run has 0.02"),
    "batch size": ({"batch_size": 8}, "batch_size: checkpoint has 7, this run has 8"),
    "seed": ({"seed": 4}, "seed: checkpoint has 3, this run has 4"),
    "augmentation": (
        {"augment": "vflip"},
        r"augment: checkpoint has Compose\(.*, this run has VerticalFlip\(p=0\.25\)",
    ),
    "schedule": (
        {"schedule": "step"},
        "schedule: checkpoint has CosineLR, this run has StepLR; schedule.total_steps: ",
    ),
    "no schedule": ({"schedule": None}, "schedule: checkpoint has CosineLR, this run has None"),
    "dtype": ({"dtype": np.float64}, "dtype: checkpoint has float32, this run has float64"),
    "evaluation": ({"eval_batch_size": 9}, "eval_batch_size: checkpoint has 250, this run has 9"),
    "config": ({"config": {"a": 2, "b": [1]}}, "another run: a: checkpoint has 1, this run has 2$"),
    "more config": ({"config": {"a": 1}}, r"another run: b: checkpoint has \[1\], this run has None$"),
    "two": (
        {"lr": 0.02, "seed": 4},
        "seed: checkpoint has 3, this run has 4; lr: checkpoint has 0.01, this run has 0.02",
    ),
    "config and setting of one name": (
        {"batch_size": 8, "config": {"a": 1, "b": [1], "batch_size": 8}},
        "another run: batch_size: checkpoint has None, this run has 8$",
    ),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return the checkpoint of a run with a config."""
    folder = tmp_path_factory.mktemp("saved")
    fit(make_trainer(checkpoint=folder, config={"a": 1, "b": (1,)}), epochs=1)
    return folder / "checkpoint.safetensors"


@pytest.mark.parametrize(("changes", "message"), CHANGES.values(), ids=CHANGES.keys())
def test_a_run_made_otherwise_is_refused_with_the_differences(saved, changes, message):
    trainer = make_trainer(**{"config": {"a": 1, "b": (1,)}, **changes})
    before = trainer.model.state_dict()
    with pytest.raises(CheckpointError, match=message):
        trainer.resume(saved)
    assert all(np.array_equal(before[name], value) for name, value in trainer.model.state_dict().items())


def test_another_network_is_refused_layer_by_layer(saved):
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.4)]
    with pytest.raises(CheckpointError) as caught:
        make_trainer(model=nn.Sequential(*layers, nn.Linear(36, 3), seed=1)).resume(saved)
    difference = "model.5: checkpoint has Dropout(p=0.3), this run has Dropout(p=0.4)"
    assert str(caught.value) == f"checkpoint {saved} belongs to another run: {difference}"


def test_what_may_differ_does(saved, tmp_path):
    free = {"prefetch": False, "checkpoint": tmp_path, "checkpoint_every": 2, "callbacks": [EarlyStopping()]}
    trainer = make_trainer(config=None, **free)
    trainer.resume(saved)
    fit(trainer, epochs=2)
    assert trainer.state.epoch == 2


@pytest.mark.parametrize(
    ("train", "valid", "message"),
    [
        (make_data(seed=9), make_data(20, seed=1), "training data: checkpoint has arrays .*, this run has arrays"),
        (make_data(), make_data(20, seed=9), "run: validation data: checkpoint has arrays .*, this run has arrays"),
        (make_data(), None, "validation data: checkpoint has arrays .*, this run has none$"),
    ],
)
def test_other_data_is_refused(saved, train, valid, message):
    trainer = make_trainer()
    trainer.resume(saved)
    with pytest.raises(ValueError, match=message):
        trainer.fit(train, valid, epochs=2)
    assert trainer.state.step == BATCHES


def test_the_network_alone_can_be_read(saved):
    read = read_model(saved.parent)
    trainer = make_trainer()
    trainer.model.load_state_dict(read.weights)
    assert (read.classes, read.image_shape, read.epoch) == (("red", "green", "blue"), (8, 8, 3), 1)
    resumed = make_trainer(normalization=read.normalization)
    resumed.resume(saved)
    assert resumed.evaluate(make_data()).loss == trainer_loss(trainer, read.normalization)


def trainer_loss(trainer, normalization):
    trainer.normalization = normalization
    return trainer.evaluate(make_data()).loss


def rewrite(saved, target, change):
    """Write a checkpoint with valid sums that says something else; return its path."""
    arrays, meta = checkpoint.load(saved)
    change(arrays, meta)
    checkpoint.save(target / "a.safetensors", arrays, meta)
    return target / "a.safetensors"


def put(array, value):
    array.flat[0] = value


MALICIOUS = {
    "missing weight": (lambda a, m: a.pop("model.0.weight"), "does not fit this run: .*missing 0.weight"),
    "extra weight": (lambda a, m: a.update({"model.x": a["model.0.bias"]}), "does not fit this run: .*unknown x"),
    "weight of another shape": (
        lambda a, m: a.update({"model.0.bias": np.zeros(5, np.float32)}),
        r"does not fit this run: .*0\.bias has shape \(5,\), the model's has \(4,\)",
    ),
    "NaN weight": (lambda a, m: put(a["model.0.weight"], np.nan), "not finite: 0.weight"),
    "infinite running mean": (lambda a, m: put(a["model.1.running_var"], np.inf), "not finite: 1.running_var"),
    "missing moment": (lambda a, m: a.pop("optimizer.m"), r"does not fit this run: the optimizer's arrays"),
    "moment of another shape": (
        lambda a, m: a.update({"optimizer.m": np.zeros(3, np.float32)}),
        r"does not fit this run: the optimizer's arrays have the shapes .*\(3,\)",
    ),
    "missing losses": (lambda a, m: a.pop("history.batch_losses"), "no valid array 'history.batch_losses'"),
    "losses too many": (
        lambda a, m: a.update({"history.batch_losses": np.zeros(999)}),
        "its history is of 1 epochs and 999 steps, its position of 1 and 9",
    ),
    "no position": (lambda a, m: m.pop("position"), "is not one of a training: no valid 'position'"),
    "position of text": (lambda a, m: m["position"].update(batch="3"), "its position is"),
    "position before the start": (lambda a, m: m["position"].update(batch=-3), "its position is"),
    "no learning rate": (lambda a, m: m["optimizer"].pop("lr"), "does not fit this run: .*lr"),
    "no schedule": (lambda a, m: m.update(schedule=None), "does not fit this run"),
    "no generator": (lambda a, m: m["generators"].clear(), "does not fit this run: no '5'"),
    "generator of another kind": (
        lambda a, m: m["generators"].update({"5": np.random.MT19937(0).state | {"state": 1}}),
        "does not fit this run",
    ),
    "history with a gap": (
        lambda a, m: m["history"][0].update(epoch=2),
        "the next row is that of epoch 1, got epoch 2",
    ),
    "history without a row": (lambda a, m: m["history"].clear(), "its history is of 0 epochs and 9 steps"),
    "no normalization": (lambda a, m: m["normalization"].clear(), "does not fit this run: .*keys mean and std"),
    "config a list": (lambda a, m: m.update(config=[1]), "no valid 'config'"),
    "data without sets": (lambda a, m: m["data"].clear(), "no description of its data"),
    "data set of text": (lambda a, m: m["data"].update(train="cifar10"), "no description of its data"),
    "flat images": (lambda a, m: m["data"].update(image_shape=[8, 8]), r"no description .* shape of \(8, 8\)"),
}


@pytest.mark.parametrize(("change", "message"), MALICIOUS.values(), ids=MALICIOUS.keys())
def test_a_checkpoint_that_makes_no_sense_is_one_clear_error(saved, tmp_path, change, message):
    def jsonable(arrays, meta):
        change(arrays, meta)
        meta["generators"] = json.loads(json.dumps(meta["generators"], default=lambda value: value.tolist()))

    path = rewrite(saved, tmp_path, jsonable)
    trainer = make_trainer()
    with pytest.raises(CheckpointError, match=message) as caught:
        trainer.resume(path)
    assert str(caught.value).startswith(f"checkpoint {path} ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["classes", "image_shape"])
def test_a_network_without_its_classes_or_size_is_one_clear_error(saved, tmp_path, key):
    path = rewrite(saved, tmp_path, lambda arrays, meta: meta["data"].pop(key))
    with pytest.raises(CheckpointError, match=f"a.safetensors does not fit this run: no description .*'{key}'"):
        read_model(path)


def test_a_description_does_not_depend_on_the_process():
    from fastscratch.training.settings import describe

    def function(images, rng):
        return images

    class Thing:
        pass

    assert describe(function) == f"{__name__}.{function.__qualname__}"
    assert describe(Thing()) == f"{__name__}.{Thing.__qualname__}"
    assert describe(AUGMENTATIONS["hflip"]()) == "HorizontalFlip(p=0.25)"
    assert describe(None) is None
