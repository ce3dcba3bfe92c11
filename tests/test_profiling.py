"""The profiler: it times what a training step does, and leaves the model as it was."""

import numpy as np
import pytest

from fastscratch import models, nn
from fastscratch.profiling import matmul_peak, profile
from small_run import call


@pytest.fixture
def images(rng):
    return rng.standard_normal((2, 22, 22, 3), dtype=np.float32)


def test_every_layer_is_timed_both_ways(images):
    model = models.baseline((22, 22, 3), fuse=False)
    times = profile(model, images, repeats=2)
    assert [one.layer for one in times] == [repr(layer) for layer in model.layers]
    assert [one.name for one in times] == [str(index) for index in range(len(model))]
    assert all(one.forward > 0 and one.backward > 0 for one in times)
    assert sum(one.parameters for one in times) == sum(parameter.size for parameter in model.parameters())
    assert sum(one.forward_flops for one in times) == 2 * model.flops((22, 22, 3))


def test_backward_flops_of_products_only(images):
    times = profile(models.baseline((22, 22, 3), fuse=False), images, repeats=1)
    first, relu, second = times[0], times[1], times[3]
    assert first.backward_flops == first.forward_flops  # the images need no gradient
    assert second.backward_flops == 2 * second.forward_flops
    assert relu.backward_flops == 0


def test_layers_inside_a_residual_are_timed_alone(images):
    body = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), fuse=False)
    model = nn.Sequential(nn.Residual(body), nn.Flatten(), nn.Linear(22 * 22 * 3, 2), seed=0, fuse=False)
    names = [one.name for one in profile(model, images, repeats=1)]
    assert names == ["0.body.0", "0.body.1", "1", "2"]


def test_a_fused_container_is_refused(images):
    """Its kernels stand for several layers, which would be left out of the table."""
    fused = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    model = nn.Sequential(nn.Residual(nn.Conv2d(3, 4, 3), fused), nn.Flatten(), nn.Linear(1600, 2), seed=0)
    with pytest.raises(ValueError, match=r"make the container at '0\.shortcut' with fuse=False"):
        profile(model, images)
    with pytest.raises(ValueError, match=r"make the model with fuse=False"):
        profile(models.baseline((22, 22, 3)), images)
    nothing_to_fuse = nn.Sequential(nn.Flatten(), nn.Linear(22 * 22 * 3, 2), seed=0)
    assert len(profile(nothing_to_fuse, images, repeats=1)) == 2


def test_the_model_is_left_as_it_was(images):
    model = models.baseline((22, 22, 3), fuse=False).eval()
    model.layers[1].train()
    before = model.state_dict()
    profile(model, images, repeats=1)
    assert not model.training
    assert model.layers[1].training
    assert all("forward" not in vars(layer) and "backward" not in vars(layer) for layer in model.layers)
    after = model.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_failing_layer_leaves_no_clock_behind(images):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(3, 2), seed=0, fuse=False)
    with pytest.raises(ValueError, match=r"."):
        profile(model, images)
    assert all("forward" not in vars(layer) for layer in model.layers)


def test_peak_of_a_matrix_product():
    rate = matmul_peak(size=64, repeats=2)
    assert 1e6 < rate < 1e14  # flops a second: between a pocket calculator and a supercomputer


def test_table_of_the_command():
    words = ("profile", "--repeats", "1", "--batch-size", "2", "--image-size", "22", "--threads", "1")
    code, out, err = call(*words)
    assert (code, err) == (0, "")
    assert out.count("Conv2d") == 3
    assert out.count("Linear") == 2
    assert "images a second" in out
    assert "\x1b" not in out


def test_what_multiplies_has_a_rate_whether_its_filters_are_trained_or_not():
    class Own(nn.Linear):
        """A layer of a user's own."""

    model = nn.Sequential(nn.PatchWhitening(3, 2), nn.ReLU(), nn.Flatten(), Own(24 * 49, 5), seed=0)
    images = np.random.default_rng(0).standard_normal((16, 8, 8, 3), dtype=np.float32)
    model.adapt(images)
    whitening, relu, _, own = profile(model, images, repeats=2)
    assert whitening.backward_flops > 0
    assert own.backward_flops > 0
    assert relu.backward_flops == 0
