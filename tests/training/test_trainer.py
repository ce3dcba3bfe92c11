"""The loop: it learns, it measures what it says, it refuses what does not fit."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from fastscratch import losses, nn, optim, schedules
from fastscratch.data.augment import AUGMENTATIONS, GaussianBlur
from fastscratch.data.dataset import ImageDataset
from fastscratch.data.loader import Loader
from fastscratch.data.normalization import Normalization
from fastscratch.training import Callback, CheckpointError, EarlyStopping, Trainer
from tiny_training import BATCHES, make_data, make_trainer, state_of


def test_fit_is_the_loop_written_out():
    """The rows of a history against forward, backward and step by hand."""
    data, valid = make_data(), make_data(20, seed=1)
    trainer = make_trainer(schedule="step", augment="report")
    history = trainer.fit(data, valid, epochs=2)

    twin = make_trainer(schedule="step")
    model, criterion, optimizer = twin.model, twin.criterion, twin.optimizer
    normalization = Normalization.from_images(data.images)
    loader = Loader(data, 7, seed=3, augment=AUGMENTATIONS["report"](), normalization=normalization)
    every_loss = []
    for epoch in range(2):
        losses_, hits, sizes = [], [], []
        model.train()
        for images, labels in loader.epoch(epoch):
            logits = model.forward(images)
            losses_.append(criterion.forward(logits, labels))
            hits.append((logits.argmax(axis=1) == labels).sum())
            sizes.append(len(labels))
            model.backward(criterion.backward(), input_grad=False)
            optimizer.step()
        model.eval()
        logits = model.forward(normalization.apply(valid.images))
        row = history.rows[epoch]
        assert row["epoch"] == epoch + 1
        assert row["train_loss"] == pytest.approx(np.average(losses_, weights=sizes), rel=1e-12)
        assert row["train_accuracy"] == sum(hits) / 60
        assert row["valid_loss"] == pytest.approx(criterion.forward(logits, valid.labels), rel=1e-6)
        assert row["valid_accuracy"] == (logits.argmax(axis=1) == valid.labels).mean()
        assert row["lr"] == 1e-2 * 0.7**epoch
        assert row["images"] == sum(sizes) == 60
        assert row["seconds"] > 0
        optimizer.lr *= 0.7
        every_loss += losses_
    assert history.batch_losses == every_loss
    assert all(np.array_equal(value, trainer.model.state_dict()[name]) for name, value in model.state_dict().items())


def test_it_learns():
    trainer = make_trainer(schedule=None, augment="none", batch_size=15)
    history = trainer.fit(make_data(), epochs=60)
    evaluation = trainer.evaluate(make_data())
    assert evaluation.accuracy > 0.95
    assert history["train_loss"][-1] < history["train_loss"][0] / 2
    probabilities = trainer.predict(make_data().images)
    assert (probabilities.argmax(axis=1) == make_data().labels).mean() == evaluation.accuracy


@pytest.mark.parametrize("other", [{"prefetch": False}, {"prefetch": True}, {}], ids=str)
def test_equal_seeds_give_equal_bits(other):
    trainers = [make_trainer(), make_trainer(**other)]
    for trainer in trainers:
        trainer.fit(make_data(), make_data(20, seed=1), epochs=2)
    assert state_of(trainers[0]) == state_of(trainers[1])


def test_another_seed_gives_another_run():
    first, second = make_trainer(), make_trainer(seed=4)
    first.fit(make_data(), epochs=1)
    second.fit(make_data(), epochs=1)
    assert first.history.batch_losses != second.history.batch_losses


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_inputs_have_the_models_dtype(dtype):
    trainer = make_trainer(dtype=dtype)
    trainer.fit(make_data(), make_data(20, seed=1), epochs=1)
    assert trainer.model.state_dict()["0.weight"].dtype == dtype
    assert trainer.predict(make_data().images).dtype == dtype


def test_a_schedule_of_steps_is_stepped_after_every_batch():
    rates = []

    class Look(Callback):
        def on_batch_end(self, trainer, loss, lr, epoch, batch):
            rates.append(lr)

    trainer = make_trainer(schedule="cosine", callbacks=[Look()])
    history = trainer.fit(make_data(), epochs=2)
    assert rates == [trainer.schedule.lr_at(step) for step in range(2 * BATCHES)]
    assert history["lr"] == [rates[BATCHES - 1], rates[-1]]


def test_modes_are_as_they_should_be_in_the_loop_and_as_before_after_it():
    trainer = make_trainer()
    seen = set()
    real = trainer.model.layers[0].forward
    trainer.model.layers[0].forward = lambda x: (seen.add((trainer.model.training, len(x))), real(x))[1]
    trainer.model._steps[0].forward = trainer.model.layers[0].forward
    trainer.model.eval()
    trainer.model.layers[1].train()
    trainer.fit(make_data(), make_data(20, seed=1), epochs=2)
    assert seen == {(True, 7), (True, 4), (False, 20)}
    assert not trainer.model.training
    assert trainer.model.layers[1].training


def test_a_second_fit_trains_the_epochs_that_are_missing():
    in_parts, at_once = make_trainer(), make_trainer()
    for epochs in (1, 3, 2):
        in_parts.fit(make_data(), epochs=epochs)
    at_once.fit(make_data(), epochs=3)
    assert state_of(in_parts) == state_of(at_once)


def test_a_second_fit_on_other_data_is_refused():
    trainer = make_trainer()
    trainer.fit(make_data(), epochs=1)
    message = r"training data: the fit before has arrays \(60 images, fingerprint \w{16}\), this run has arrays \(61 i"
    with pytest.raises(ValueError, match=message):
        trainer.fit(make_data(61), epochs=2)


def test_a_refused_fit_can_be_made_up_for_with_other_data():
    trainer = make_trainer(callbacks=[EarlyStopping()])
    with pytest.raises(ValueError, match="no validation data"):
        trainer.fit(make_data(61), epochs=1)
    trainer.fit(make_data(), make_data(20, seed=1), epochs=1)
    undisturbed = make_trainer(callbacks=[EarlyStopping()])
    undisturbed.fit(make_data(), make_data(20, seed=1), epochs=1)
    assert state_of(trainer) == state_of(undisturbed)


@pytest.mark.parametrize(
    ("layers", "count", "batch_size", "is_refused"),
    [
        ([nn.Conv2d(3, 3, 8), nn.BatchNorm2d(3), nn.Flatten()], 61, 4, True),
        ([nn.Conv2d(3, 3, 8), nn.Residual(nn.BatchNorm2d(3)), nn.Flatten()], 61, 4, True),
        ([nn.Conv2d(3, 3, 8), nn.BatchNorm2d(3), nn.Flatten()], 62, 4, False),
        ([nn.Conv2d(3, 3, 8), nn.BatchNorm2d(3), nn.Flatten()], 4, 1, True),
        ([nn.Conv2d(3, 3, 7), nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.Flatten()], 61, 4, False),
    ],
)
def test_a_last_batch_of_one_image_is_refused_where_batch_norm_sees_one_pixel(layers, count, batch_size, is_refused):
    model = nn.Sequential(*layers, seed=0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, losses.CrossEntropyLoss(), optimizer, batch_size=batch_size)
    if is_refused:
        message = rf"has one image \({count} images, batch_size {batch_size}\), and of that BatchNorm2d"
        with pytest.raises(ValueError, match=message):
            trainer.fit(make_data(count), epochs=1)
        assert trainer.state.step == 0
    else:
        assert len(trainer.fit(make_data(count), epochs=1)) == 1


def test_another_name_is_not_other_data():
    trainer, data = make_trainer(), make_data()
    trainer.fit(data, epochs=1)
    assert len(trainer.fit(ImageDataset(data.images, data.labels, data.classes, "renamed"), epochs=2)) == 2


def test_no_thread_outlives_a_fit():
    before = threading.active_count()
    make_trainer().fit(make_data(), epochs=2)
    assert threading.active_count() == before


def test_the_folder_is_tried_before_the_first_batch(tmp_path):
    (tmp_path / "file").write_text("")
    trainer = make_trainer(checkpoint=tmp_path / "file" / "run")
    with pytest.raises(CheckpointError, match="cannot be written: Not a directory"):
        trainer.fit(make_data(), epochs=1)
    assert trainer.state.step == 0


def test_the_checkpoint_of_another_run_is_not_overwritten(tmp_path):
    make_trainer(checkpoint=tmp_path).fit(make_data(), epochs=1)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match="belongs to another run: resume from it, or choose another folder"):
        make_trainer(checkpoint=tmp_path).fit(make_data(), epochs=1)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def parts(**changes):
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3), seed=0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    given = {"model": model, "criterion": losses.CrossEntropyLoss(), "optimizer": optimizer}
    return {**given, **changes}


def other_model():
    return nn.Sequential(nn.Linear(2, 2), seed=0)


BAD_PARTS = {
    "model": (lambda: parts(model="baseline"), TypeError, "model must be an instance of Module, got 'baseline'"),
    "criterion": (
        lambda: parts(criterion=losses.CrossEntropyLoss),
        TypeError,
        "criterion must be an instance of Loss, got <class",
    ),
    "optimizer": (lambda: parts(optimizer=None), TypeError, "optimizer must be an instance of Optimizer, got None"),
    "schedule": (lambda: parts(schedule=0.1), TypeError, "schedule must be an instance of Schedule, got 0.1"),
    "callbacks": (
        lambda: parts(callbacks=[print]),
        TypeError,
        "each callback must be an instance of Callback, got <built-in",
    ),
    "foreign optimizer": (
        lambda: parts(model=other_model()),
        ValueError,
        "the optimizer holds parameters that are not the model's: 1.weight, 1.bias",
    ),
    "foreign schedule": (
        lambda: parts(schedule=schedules.ConstantLR(optim.SGD(other_model().parameters(), lr=1.0))),
        ValueError,
        "the schedule must be made with the optimizer that the trainer gets",
    ),
    "batch_size": (lambda: parts(batch_size=0), ValueError, "batch_size must be at least 1, got 0"),
    "batch_size float": (lambda: parts(batch_size=3.0), TypeError, "batch_size must be an int, got 3.0"),
    "eval_batch_size": (lambda: parts(eval_batch_size=-1), ValueError, "eval_batch_size must be at least 1, got -1"),
    "seed": (lambda: parts(seed=-1), ValueError, "seed must be at least 0, got -1"),
    "checkpoint_every": (
        lambda: parts(checkpoint="a", checkpoint_every=0),
        ValueError,
        "checkpoint_every must be at least 1",
    ),
    "no folder": (lambda: parts(checkpoint_every=5), ValueError, "checkpoint_every=5 needs a folder: pass checkpoint"),
    "config": (lambda: parts(config={"a": object()}), TypeError, "config must hold what JSON can, got .*object"),
    "config with NaN": (lambda: parts(config={"a": float("nan")}), ValueError, "config must hold what JSON can, .*nan"),
    "no config": (lambda: parts(config=5), TypeError, "config must be a mapping, got 5"),
    "normalization": (
        lambda: parts(normalization="x"),
        TypeError,
        "normalization must be an instance of Normalization, got 'x'",
    ),
    "name of an augmentation": (
        lambda: parts(augment="report"),
        TypeError,
        r"augment must be callable as \(images, rng\), got 'report'$",
    ),
    "augmentation not made": (
        lambda: parts(augment=AUGMENTATIONS["report"]),
        TypeError,
        r"augment must be callable as \(images, rng\), got <function .*; make it first, by calling it",
    ),
    "class of an augmentation": (
        lambda: parts(augment=GaussianBlur),
        TypeError,
        "augment must be callable as .*; make it first, by calling it",
    ),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD_PARTS.values(), ids=BAD_PARTS.keys())
def test_parts_that_do_not_fit_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        Trainer(**make())


def many_classes():
    data = make_data()
    return ImageDataset(data.images, data.labels, (*data.classes, "white"), "four")


BAD_DATA = {
    "no data set": (lambda: (make_data().images,), TypeError, "train must be an ImageDataset, got ndarray"),
    "no validation set": (lambda: (make_data(), 5), TypeError, "valid must be an ImageDataset, got int"),
    "image size": (
        lambda: (make_data(), ImageDataset.from_arrays(np.zeros((3, 8, 9, 3), np.uint8), [0, 1, 2])),
        ValueError,
        r"training images are \(8, 8, 3\), validation images \(8, 9, 3\)",
    ),
    "class names": (lambda: (make_data(), many_classes()), ValueError, r"training classes are \('red', .* \('red', "),
    "too many classes": (
        lambda: (many_classes(),),
        ValueError,
        r"the model returns \(3,\) for an image of \(8, 8, 3\), it must return a score for each of 4 classes",
    ),
    "images too large": (
        lambda: (ImageDataset.from_arrays(np.zeros((3, 9, 9, 3), np.uint8), [0, 1, 2]),),
        ValueError,
        "Linear",
    ),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD_DATA.values(), ids=BAD_DATA.keys())
def test_data_that_does_not_fit_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        Trainer(**parts()).fit(*make(), epochs=1)


def whitened(*before, adapted=False):
    model = nn.Sequential(*before, nn.PatchWhitening(3, 3), nn.Flatten(), nn.Linear(54 * 36, 3), seed=0)
    if adapted:
        model[len(before)].adapt(np.random.default_rng(0).standard_normal((9, 8, 8, 3), dtype=np.float32))
    return parts(model=model, optimizer=optim.SGD(model.parameters(), lr=1e-3))


def test_a_whitening_layer_that_saw_no_images_is_refused():
    trainer = Trainer(**whitened(nn.Dropout(0.1)))
    with pytest.raises(ValueError, match=r"PatchWhitening\(3, .*\) at '1' was shown no images, only a first layer is"):
        trainer.fit(make_data(), epochs=1)
    assert trainer.state.step == 0
    for fits in (whitened(), whitened(nn.Dropout(0.1), adapted=True)):
        assert len(Trainer(**fits).fit(make_data(), epochs=1)) == 1


@pytest.mark.parametrize(("epochs", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_epochs_must_be_a_count(epochs, error):
    with pytest.raises(error, match="epochs must be"):
        Trainer(**parts()).fit(make_data(), epochs=epochs)


def test_a_new_trainer_has_nothing_to_evaluate_with_or_to_save(tmp_path):
    trainer = Trainer(**parts())
    with pytest.raises(ValueError, match="no normalization yet: fit or resume first, or pass normalization"):
        trainer.evaluate(make_data())
    with pytest.raises(ValueError, match="there is no run to save yet: fit or resume first"):
        trainer.save(tmp_path / "a.safetensors")
    given = Trainer(**parts(normalization=Normalization([0.5] * 3, [0.25] * 3)))
    assert given.evaluate(make_data()).images == 60
    given.fit(make_data(), epochs=1)
    assert given.normalization == Normalization([0.5] * 3, [0.25] * 3)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda trainer: trainer.predict([[1, 2]]), r"images must be an ndarray of shape \(N, H, W, C\), got list"),
        (lambda trainer: trainer.predict(np.zeros((1, 8, 8, 3))), "uint8"),
        (lambda trainer: trainer.evaluate(make_data().images), "dataset must be an ImageDataset, got ndarray"),
    ],
)
def test_what_a_trained_network_is_not_asked_for(use, message):
    trainer = Trainer(**parts(normalization=Normalization([0.5] * 3, [0.25] * 3)))
    with pytest.raises(TypeError, match=message):
        use(trainer)
