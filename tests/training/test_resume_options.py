"""A checkpoint belongs to a network with the same options of its layers, and to one precision."""

import functools

import pytest

from fastscratch import losses, nn, optim
from fastscratch.data.augment import Compose, HorizontalFlip, Rotation
from fastscratch.data.normalization import Normalization
from fastscratch.training import CheckpointError, Trainer
from fastscratch.training.settings import describe
from fastscratch_kernels import backends, get_num_threads, set_num_threads, use_backend, use_precision
from tiny_training import make_data, make_trainer


def fit(trainer):
    trainer.fit(make_data(), make_data(20, seed=1), epochs=1)


def network(change=lambda model: None, *, fuse=True, momentum=0.1, factor=1 / 9, include=True):
    layers = [
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, momentum=momentum),
        nn.ReLU(),
        nn.AvgPool2d(2, padding=1, count_include_pad=include),
        nn.Flatten(),
        nn.Linear(64, 3),
        nn.Multiply(factor),
    ]
    model = nn.Sequential(*layers, seed=1, fuse=fuse)
    change(model)
    return model


def slow_bias(model):
    model[0].bias.lr_scale = 0.5


OPTIONS = {
    "momentum of batch norm": ({"momentum": 0.4}, r"momentum=0\.4"),
    "last digits of a factor": ({"factor": 0.111111}, r"Multiply\(0\.1111111111111111\), .* Multiply\(0\.111111\)"),
    "padding of a mean": ({"include": False}, "count_include_pad=False"),
    "fusion": ({"fuse": False}, r"model: checkpoint has Sequential, this run has Sequential\(fuse=False\)"),
    "a rate of its own": ({"change": slow_bias}, r"model\.0\.bias\.lr_scale: checkpoint has None, this run has 0\.5"),
}


@pytest.mark.parametrize(("options", "message"), OPTIONS.values(), ids=OPTIONS)
def test_layers_with_other_options_are_another_run(tmp_path, options, message):
    fit(make_trainer(model=network(), checkpoint=tmp_path))
    with pytest.raises(CheckpointError, match=message):
        make_trainer(model=network(**options)).resume(tmp_path)


def test_other_views_are_another_run(tmp_path):
    def mirrored(shift):
        return nn.Mirrored(nn.Flatten(), nn.Linear(192, 3), shift=shift, seed=1)

    fit(make_trainer(model=mirrored(0), checkpoint=tmp_path))
    with pytest.raises(CheckpointError, match=r"model: checkpoint has Mirrored, this run has Mirrored\(shift=1\)"):
        make_trainer(model=mirrored(1)).resume(tmp_path)


def test_another_precision_is_another_run(tmp_path):
    fit(make_trainer(checkpoint=tmp_path))
    message = "precision: checkpoint has standard, this run has fast"
    with use_precision("fast"), pytest.raises(CheckpointError, match=message):
        make_trainer().resume(tmp_path)


def test_numpy_adds_up_in_another_order_on_other_threads(tmp_path):
    """As BLAS does; of compiled kernels the number of threads is free."""
    before = get_num_threads()
    try:
        with use_backend("numpy"):
            set_num_threads(1)
            fit(make_trainer(checkpoint=tmp_path / "numpy"))
            set_num_threads(2)
            with pytest.raises(CheckpointError, match="threads: checkpoint has 1, this run has 2"):
                make_trainer().resume(tmp_path / "numpy")
        for backend in (name for name in ("numba", "cython") if backends()[name] is None):
            with use_backend(backend):
                set_num_threads(1)
                fit(make_trainer(checkpoint=tmp_path / backend))
                set_num_threads(2)
                make_trainer().resume(tmp_path / backend)
    finally:
        set_num_threads(before)


def brighter(images, rng):
    return images


def flipped(images, rng):
    return images[:, :, ::-1]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (HorizontalFlip(0.25), Rotation(30), r"augment: .*HorizontalFlip\(p=0\.25\), <function brighter>.*Rotation"),
        (functools.partial(brighter), functools.partial(flipped), "augment: .*function brighter.*function flipped"),
    ],
)
def test_another_augmentation_beside_a_function_is_another_run(tmp_path, first, second, message):
    def trainer(part, **options):
        augment = part if isinstance(part, functools.partial) else Compose((part, brighter))
        assert "0x" not in describe(augment)
        model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3), seed=0)
        return Trainer(model, losses.CrossEntropyLoss(), optim.Adam(model.parameters()), augment=augment, **options)

    fit(trainer(first, checkpoint=tmp_path))
    with pytest.raises(CheckpointError, match=message):
        trainer(second).resume(tmp_path)


def test_an_optimizer_with_its_parameters_in_another_order_is_another_run(tmp_path):
    def trainer(turn, **options):
        model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3), seed=0)
        return Trainer(model, losses.CrossEntropyLoss(), optim.Adam(turn(model.parameters())), **options)

    fit(trainer(list, checkpoint=tmp_path))
    with pytest.raises(CheckpointError, match=r"optimizer\.parameters: .*\['1\.bias', '1\.weight'\]"):
        trainer(lambda parameters: parameters[::-1]).resume(tmp_path)


def test_another_normalization_of_ones_own_is_another_run(tmp_path):
    fit(make_trainer(checkpoint=tmp_path))
    with pytest.raises(CheckpointError, match="normalization: checkpoint has"):
        make_trainer(normalization=Normalization([0.0] * 3, [1.0] * 3)).resume(tmp_path)


def test_a_run_keeps_its_config_when_it_is_resumed_without_one(tmp_path):
    fit(make_trainer(config={"a": 1}, checkpoint=tmp_path))
    without = make_trainer(checkpoint=tmp_path)
    without.resume(tmp_path)
    without.fit(make_data(), make_data(20, seed=1), epochs=2)
    make_trainer(config={"a": 1}).resume(tmp_path)
    with pytest.raises(CheckpointError, match="a: checkpoint has 1, this run has 2"):
        make_trainer(config={"a": 2}).resume(tmp_path)
