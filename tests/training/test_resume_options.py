"""A checkpoint belongs to a network with the same options of its layers, and to one precision."""

import pytest

from fastscratch import nn
from fastscratch.training import CheckpointError
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
