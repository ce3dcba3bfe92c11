"""Every layer against PyTorch's: output, input gradient, parameter gradients, state, and what is refused."""

import numpy as np
import pytest
import torch

import cases
import fastscratch_kernels as kernels
from fastscratch import nn
from fastscratch.interop.torch import (
    images_from_torch,
    images_to_torch,
    state_dict_from_torch,
    state_dict_to_torch,
    to_torch,
)
from fastscratch.nn.fuse import ConvReLUMaxPool
from tolerances import EXACT, LAYERS, assert_close

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_torch_thread")]

TORCH_DTYPES = {"float32": torch.float32, "float64": torch.float64}
BACKENDS = [name for name, reason in kernels.backends().items() if reason is None]


def gradients_of(twin, layer):
    """Return PyTorch's parameter gradients under the names and in the layout of `layer`."""
    gradients = {name: parameter.grad for name, parameter in twin.named_parameters()}
    return state_dict_from_torch(gradients | dict(twin.named_buffers()), layer)


def filled_parameters(layer, fill, dtype, rng):
    """Convert `layer`, and give its parameters random values."""
    layer.astype(dtype)
    for parameter in layer.parameters():
        parameter.value[...] = cases.filled(parameter.shape, fill, dtype, rng)


def assert_same(layer, twin, x, fill="normal", multiple=1):
    """Compare forward and backward on `x`, with a random upstream gradient that is a multiple of `multiple`."""
    dtype = str(x.dtype)
    name = type(layer).__name__
    tolerance = EXACT if fill in ("integers", "ties") else LAYERS[name, dtype]
    twin.to(TORCH_DTYPES[dtype]).load_state_dict(state_dict_to_torch(layer.state_dict(), layer))
    tensor = images_to_torch(x).requires_grad_()
    with np.errstate(invalid="ignore"):
        y = layer.forward(x)
    theirs = twin(tensor)
    assert_close(y, images_from_torch(theirs), tolerance, f"{layer!r} output")
    upstream = "integers" if tolerance is EXACT else "normal"
    dy = cases.filled(y.shape, upstream, dtype, np.random.default_rng(8)) * y.dtype.type(multiple)
    with np.errstate(invalid="ignore"):
        dx = layer.backward(dy)
    twin.zero_grad()
    theirs.backward(images_to_torch(dy))
    assert_close(dx, images_from_torch(tensor.grad), tolerance, f"{layer!r} dx")
    wanted = gradients_of(twin, layer)
    for parameter in layer.parameters():
        assert_close(parameter.grad, wanted[parameter.name], tolerance, f"{layer!r} gradient of {parameter.name}")
    assert_states_match(layer, twin, tolerance)
    return y


def assert_states_match(layer, twin, tolerance):
    for key, array in state_dict_from_torch(twin.state_dict(), layer).items():
        assert_close(layer.state_dict()[key], array, tolerance, f"{layer!r} state {key}")


# -- windowed layers: the kernels' table -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", cases.CONVOLUTIONS, ids=str)
def test_conv2d(case, backend, dtype):
    how = {**case.windows, "groups": case.groups, "bias": case.bias}
    for fill in ("normal", "integers"):
        rng = np.random.default_rng(1)
        layer = nn.Conv2d(case.x[3], case.filters, case.kernel, **how)
        filled_parameters(layer, fill, dtype, rng)
        twin = torch.nn.Conv2d(case.x[3], case.filters, case.kernel, **how)
        with kernels.use_backend(backend):
            assert_same(layer, twin, cases.filled(case.x, fill, dtype, rng), fill)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", cases.FUSED, ids=str)
def test_conv2d_relu_maxpool2d_fused(case, backend, dtype):
    how = {**case.windows, "groups": case.groups, "bias": case.bias}
    pool = case.pool.get("pool_kernel_size", (2, 2)), case.pool.get("pool_stride"), case.pool.get("pool_padding", 0)
    for fill in ("normal", "integers", "ties"):
        rng = np.random.default_rng(2)
        conv = nn.Conv2d(case.x[3], case.filters, case.kernel, **how)
        layer = nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(*pool))
        layer._steps = [ConvReLUMaxPool(*layer.layers)]  # whether or not it is faster
        filled_parameters(layer, "integers" if fill == "ties" else fill, dtype, rng)
        twin = torch.nn.Sequential(
            torch.nn.Conv2d(case.x[3], case.filters, case.kernel, **how), torch.nn.ReLU(), torch.nn.MaxPool2d(*pool)
        )
        with kernels.use_backend(backend):
            assert_same(layer, twin, cases.filled(case.x, fill, dtype, rng), fill)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", cases.POOLINGS, ids=str)
def test_maxpool2d(case, backend, dtype):
    """Ties, NaN, infinities, and a border that never wins: as PyTorch has them."""
    for fill in cases.FILLS:
        x = cases.filled(case.x, fill, dtype, np.random.default_rng(3))
        twin = torch.nn.MaxPool2d(case.kernel, case.stride, case.padding)
        with kernels.use_backend(backend):
            assert_same(nn.MaxPool2d(case.kernel, case.stride, case.padding), twin, x, fill)


def test_maxpool2d_of_minus_infinity_alone():
    x = np.full((1, 5, 5, 2), -np.inf, np.float32)
    assert_same(nn.MaxPool2d(3, 2, 1), torch.nn.MaxPool2d(3, 2, 1), x)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("case", cases.POOLINGS, ids=str)
def test_avgpool2d(case, count_include_pad, backend, dtype):
    how = {"count_include_pad": count_include_pad}
    size = case.kernel[0] * case.kernel[1]
    # whole numbers are exact where each is a multiple of all that it may be divided by
    multiple = size if case.padding == (0, 0) else 2520
    for fill in ("normal", "integers", "special"):
        layer = nn.AvgPool2d(case.kernel, case.stride, case.padding, **how)
        twin = torch.nn.AvgPool2d(case.kernel, case.stride, case.padding, **how)
        x = cases.filled(case.x, fill, dtype, np.random.default_rng(4))
        with kernels.use_backend(backend):
            assert_same(layer, twin, x, fill, multiple if fill == "integers" else 1)


# -- the other layers --------------------------------------------------------------------------------------------------


def residual(body, shortcut=None):
    return to_torch(nn.Residual(body, shortcut))


PLAIN = {
    "linear": (lambda: nn.Linear(5, 7), lambda: torch.nn.Linear(5, 7), (4, 5)),
    "linear_no_bias": (lambda: nn.Linear(5, 7, bias=False), lambda: torch.nn.Linear(5, 7, bias=False), (4, 5)),
    "linear_one": (lambda: nn.Linear(1, 1), lambda: torch.nn.Linear(1, 1), (1, 1)),
    "linear_no_images": (lambda: nn.Linear(5, 3), lambda: torch.nn.Linear(5, 3), (0, 5)),
    "relu": (nn.ReLU, torch.nn.ReLU, (3, 4, 5, 2)),
    "relu_of_vectors": (nn.ReLU, torch.nn.ReLU, (3, 4)),
    "global_mean": (
        nn.GlobalAvgPool2d,
        lambda: torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
        (3, 4, 8, 2),
    ),
    "batchnorm": (lambda: nn.BatchNorm2d(3), lambda: torch.nn.BatchNorm2d(3), (4, 5, 6, 3)),
    "batchnorm_one_image": (lambda: nn.BatchNorm2d(2), lambda: torch.nn.BatchNorm2d(2), (1, 2, 1, 2)),
    "batchnorm_settings": (
        lambda: nn.BatchNorm2d(3, eps=0.1, momentum=0.7),
        lambda: torch.nn.BatchNorm2d(3, eps=0.1, momentum=0.7),
        (2, 3, 4, 3),
    ),
    "residual": (
        lambda: nn.Residual(nn.Conv2d(3, 3, 3, padding=1)),
        lambda: residual(nn.Conv2d(3, 3, 3, padding=1)),
        (2, 4, 5, 3),
    ),
    "residual_projection": (
        lambda: nn.Residual(
            nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU()), nn.Conv2d(3, 5, 1)
        ),
        lambda: residual(
            nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU()), nn.Conv2d(3, 5, 1)
        ),
        (2, 4, 5, 3),
    ),
}


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("name", PLAIN)
def test_other_layers(name, dtype, rng):
    ours, theirs, shape = PLAIN[name]
    layer = ours()
    filled_parameters(layer, "normal", dtype, rng)
    assert_same(layer, theirs(), cases.filled(shape, "normal", dtype, rng))


@pytest.mark.parametrize("name", ["linear", "linear_no_bias", "relu", "global_mean"])
def test_other_layers_are_exact_on_whole_numbers(name, rng):
    ours, theirs, shape = PLAIN[name]
    layer = ours()
    filled_parameters(layer, "integers", "float32", rng)
    assert_same(layer, theirs(), cases.filled(shape, "integers", "float32", rng), "integers", multiple=32)


@pytest.mark.parametrize("name", ["relu", "relu_of_vectors"])
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_relu_passes_nan_and_stops_at_zero(name, dtype, rng):
    ours, theirs, shape = PLAIN[name]
    assert_same(ours(), theirs(), cases.filled(shape, "special", dtype, rng))


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("settings", [{}, {"eps": 1e-2, "momentum": 0.3}, {"momentum": 0.0}, {"momentum": 1.0}])
def test_batchnorm_over_several_steps_and_in_evaluation(settings, dtype, rng):
    layer, twin = nn.BatchNorm2d(3, **settings), torch.nn.BatchNorm2d(3, **settings)
    filled_parameters(layer, "normal", dtype, rng)
    for step in range(4):
        x = (cases.filled((5, 3, 4, 3), "normal", dtype, rng) * (step + 1) + 2 * step).astype(dtype)
        assert_same(layer, twin, x)
        assert layer.num_batches_tracked == twin.num_batches_tracked == step + 1
        for parameter in layer.parameters():
            parameter.value -= parameter.value.dtype.type(0.1) * parameter.grad
    layer.eval()
    twin.eval()
    before = layer.state_dict()
    assert_same(layer, twin, x)
    for key, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[key], f"evaluation changed {key}")


def test_batchnorm_of_a_large_batch_is_as_accurate_as_pytorchs(rng):
    """Means over many numbers far from zero: float32 sums must not lose them one after the other."""
    x = (rng.standard_normal((64, 32, 32, 4)) + 100).astype(np.float32)
    layer, twin = nn.BatchNorm2d(4), torch.nn.BatchNorm2d(4)
    ours = layer.forward(x)
    exact = nn.BatchNorm2d(4).astype(np.float64).forward(x.astype(np.float64))
    theirs = images_from_torch(twin(images_to_torch(x)))
    assert np.abs(ours - exact).max() < 3 * max(np.abs(theirs - exact).max(), 1e-5)


def test_bias_gradients_of_a_large_batch_keep_their_digits(rng):
    layer = nn.Conv2d(1, 4, 1)
    dy = (rng.standard_normal((64, 32, 32, 4)) + 100).astype(np.float32)
    layer.forward(np.ones((64, 32, 32, 1), np.float32))
    layer.backward(dy)
    exact = dy.astype(np.float64).sum(axis=(0, 1, 2))
    assert np.abs(layer.bias.grad / exact - 1).max() < 1e-6


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_flatten_has_the_numbers_of_pytorchs_in_this_projects_order(dtype, rng):
    x = cases.filled((2, 3, 4, 5), "normal", dtype, rng)
    ours = nn.Flatten().forward(x)
    theirs = torch.nn.Flatten()(images_to_torch(x)).numpy()
    assert ours.shape == theirs.shape == (2, 60)
    turned = theirs.reshape(2, 5, 12).transpose(0, 2, 1).reshape(2, 60)  # (N, C, H W) -> (N, H W, C)
    np.testing.assert_array_equal(ours, turned)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_in_distribution(p):
    n = 200_000
    x = np.ones((n,), np.float32)
    ours = nn.Dropout(p, seed=1).forward(x)
    torch.manual_seed(1)
    theirs = torch.nn.Dropout(p)(torch.ones(n)).numpy()
    deviation = np.sqrt(p * (1 - p) / n)
    for y in (ours, theirs):
        assert abs(np.mean(y == 0) - p) < 5 * deviation
    np.testing.assert_allclose(np.unique(ours), np.unique(theirs), rtol=1e-6)
    assert nn.Dropout(p).eval().forward(x) is x


# -- what is refused ---------------------------------------------------------------------------------------------------


def images(*shape, dtype="float32"):
    return np.ones(shape, dtype)


REFUSED = {
    "groups do not divide the input": ("Conv2d", (3, 4, 3), {"groups": 2}, None),
    "groups do not divide the output": ("Conv2d", (4, 3, 3), {"groups": 2}, None),
    "no groups": ("Conv2d", (4, 4, 3), {"groups": 0}, None),
    "kernel larger than the image": ("Conv2d", (3, 4, 5), {}, images(1, 4, 6, 3)),
    "dilated kernel larger than the image": ("Conv2d", (3, 4, 3), {"dilation": 2}, images(1, 4, 6, 3)),
    "other channels": ("Conv2d", (3, 4, 3), {}, images(1, 4, 6, 2)),
    "other dtype": ("Conv2d", (3, 4, 3), {}, images(1, 4, 6, 3, dtype="float64")),
    "whole numbers": ("Conv2d", (3, 4, 3), {}, images(1, 4, 6, 3, dtype="int64")),
    "five axes": ("Conv2d", (3, 4, 3), {}, images(1, 1, 4, 6, 3)),
    "no pixels": ("Conv2d", (3, 4, 1), {"padding": 1}, images(1, 0, 6, 3)),
    "stride 0": ("Conv2d", (3, 4, 3), {"stride": 0}, images(1, 4, 6, 3)),
    "negative padding": ("Conv2d", (3, 4, 3), {"padding": -1}, images(1, 6, 6, 3)),
    "dilation 0": ("Conv2d", (3, 4, 3), {"dilation": 0}, images(1, 4, 6, 3)),
    "stride of three axes": ("Conv2d", (3, 4, 3), {"stride": (1, 1, 1)}, images(1, 4, 6, 3)),
    "half a stride": ("Conv2d", (3, 4, 3), {"stride": 1.5}, images(1, 4, 6, 3)),
    "max window larger than the image": ("MaxPool2d", (5,), {}, images(1, 4, 6, 3)),
    "max padding over half the window": ("MaxPool2d", (2,), {"padding": 2}, images(1, 4, 6, 3)),
    "max stride 0": ("MaxPool2d", (2,), {"stride": 0}, images(1, 4, 6, 3)),
    "max without pixels": ("MaxPool2d", (2,), {"padding": 1}, images(1, 0, 6, 3)),
    "max without channels": ("MaxPool2d", (2,), {}, images(1, 4, 6, 0)),
    "average window larger than the image": ("AvgPool2d", (5,), {}, images(1, 4, 6, 3)),
    "average padding over half the window": ("AvgPool2d", (3,), {"padding": 2}, images(1, 4, 6, 3)),
    "average of whole numbers": ("AvgPool2d", (2,), {}, images(1, 4, 6, 3, dtype="uint8")),
    "other features": ("Linear", (5, 3), {}, images(2, 4)),
    "dense in another dtype": ("Linear", (5, 3), {}, images(2, 5, dtype="float64")),
    "negative features": ("Linear", (-1, 3), {}, None),
    "normalized channels": ("BatchNorm2d", (3,), {}, images(2, 4, 4, 2)),
    "normalized vectors": ("BatchNorm2d", (3,), {}, images(2, 3)),
    "one value a channel": ("BatchNorm2d", (3,), {}, images(1, 1, 1, 3)),
    "negative probability": ("Dropout", (-0.1,), {}, None),
    "probability above one": ("Dropout", (1.1,), {}, None),
    "state of another layer": ("Linear", (5, 3), {}, "state"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_pytorch_refuses_is_refused(name):
    kind, arguments, how, x = REFUSED[name]

    def ours():
        layer = getattr(nn, kind)(*arguments, **how)
        if isinstance(x, str):
            layer.load_state_dict(nn.Linear(5, 4).state_dict())
        elif x is not None:
            layer.forward(x)

    def theirs():
        layer = getattr(torch.nn, kind)(*arguments, **how)
        if isinstance(x, str):
            layer.load_state_dict(torch.nn.Linear(5, 4).state_dict())
        elif x is not None:
            tensor = torch.from_numpy(x)
            layer(tensor.movedim(-1, 1) if tensor.ndim > 2 else tensor)

    with pytest.raises((ValueError, TypeError)) as error:
        ours()
    assert "\n" not in str(error.value)
    with pytest.raises((ValueError, TypeError, RuntimeError)):
        theirs()


def test_a_gradient_of_another_shape_is_refused():
    layer, x = nn.Conv2d(3, 4, 3), images(1, 4, 6, 3)
    twin = to_torch(layer)
    layer.forward(x)
    with pytest.raises(ValueError, match=r"dy must have shape \(1, 2, 4, 4\), got \(1, 2, 3, 4\)"):
        layer.backward(images(1, 2, 3, 4))
    y = twin(images_to_torch(x))
    with pytest.raises(RuntimeError):
        y.backward(images_to_torch(images(1, 2, 3, 4)))
