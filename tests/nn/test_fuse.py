"""Runs of layers that one kernel computes: which are, and that nothing else changes."""

import numpy as np
import pytest

import cases
import fastscratch_kernels as kernels
from fastscratch import nn, optim
from fastscratch.nn.fuse import BatchNormReLU, ConvReLUMaxPool, ThenReLU, plan
from layer_cases import normal


def run_of_three():
    return nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2)


def kinds(*layers):
    return [type(step) for step in plan(layers)]


def test_conv_relu_maxpool_becomes_one_step():
    assert kinds(*run_of_three()) == [ConvReLUMaxPool]
    assert kinds(nn.ReLU(), *run_of_three(), *run_of_three(), nn.Flatten()) == [
        nn.ReLU, ConvReLUMaxPool, ConvReLUMaxPool, nn.Flatten,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("conv", "pool"),
    [
        (nn.Conv2d(2, 3, 3), nn.MaxPool2d(3, stride=2)),
        (nn.Conv2d(2, 3, 3), nn.MaxPool2d(2, padding=1)),
        (nn.Conv2d(4, 4, 3, groups=4), nn.MaxPool2d(2)),
    ],
)
def test_a_pooling_is_left_apart_where_the_plain_kernels_are_faster(conv, pool):
    """Winograd's algorithm and depthwise kernels are for convolutions alone."""
    assert kinds(conv, nn.ReLU(), pool) == [ThenReLU, nn.MaxPool2d]


def test_other_runs_stay_as_they_are():
    conv, relu, pool = run_of_three()
    for layers in [
        (conv, pool, relu),
        (relu, conv, pool),
        (conv, nn.AvgPool2d(2), relu),
        (conv, nn.BatchNorm2d(3), nn.Dropout(0.1), relu),
    ]:
        assert plan(layers) == list(layers)


def test_relu_joins_the_layer_before_it():
    assert kinds(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.AvgPool2d(2)) == [ThenReLU, nn.AvgPool2d]
    assert kinds(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4), nn.Flatten()) == [ThenReLU, nn.Linear, nn.Flatten]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", [nn.Conv2d(2, 5, 3), nn.Conv2d(2, 4, 1, bias=False)])
def test_a_layer_with_relu_has_the_bits_of_both(layer, dtype):
    x = normal(3, 6, 5, 2).astype(dtype)
    results = []
    for fuse in (True, False):
        model = nn.Sequential(layer, nn.ReLU(), nn.Flatten(), seed=0, fuse=fuse).astype(dtype)
        y = model(x)
        dx = model.backward(normal(*y.shape, dtype=dtype))
        results.append([y, dx, *(p.grad for p in model.parameters())])
        with pytest.raises(ValueError, match=r"had an output of shape|dy must have shape"):
            model._steps[0].backward(np.ones((1, 2, 2, 1), dtype))
    for fused, plain in zip(*results, strict=True):
        assert fused.tobytes() == plain.tobytes()


def test_batchnorm_relu_becomes_one_step():
    assert kinds(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)) == [
        nn.Conv2d, BatchNormReLU, nn.MaxPool2d,
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", [True, False])
def test_batchnorm_relu_has_the_bits_of_both_layers(dtype, mode):
    x, dy = normal(4, 5, 3, 9).astype(dtype), normal(4, 5, 3, 9)[::-1].astype(dtype)
    results = []
    for fuse in (True, False):
        model = nn.Sequential(nn.BatchNorm2d(9), nn.ReLU(), seed=0, fuse=fuse).astype(dtype).train(mode)
        model[0].bias.value[...] = np.linspace(-1, 1, 9)
        y = model(x)
        dx = model.backward(dy)
        results.append([y, dx, *(p.grad for p in model.parameters()), *model.buffers().values()])
    for fused, plain in zip(*results, strict=True):
        assert fused.tobytes() == plain.tobytes()


def test_a_subclass_may_do_something_else_and_is_not_fused():
    class Doubled(nn.Conv2d):
        def forward(self, x):
            return 2 * super().forward(x)

    layers = (Doubled(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2))
    assert plan(layers) == list(layers)
    model = nn.Sequential(*layers, seed=0)
    plain = nn.Sequential(*layers, fuse=False)
    x = normal(2, 6, 6, 2)
    np.testing.assert_array_equal(model(x), plain(x))


def test_layers_keep_their_names_and_their_parameters():
    conv, relu, pool = run_of_three()
    model = nn.Sequential(conv, relu, pool, seed=0)
    assert model.layers == (conv, relu, pool)
    assert [parameter.name for parameter in model.parameters()] == ["0.weight", "0.bias"]
    assert [name for name, _ in model.modules()] == ["", "0", "1", "2"]
    x = normal(2, 6, 6, 2)
    y = model(x)
    model.backward(np.ones_like(y))
    assert conv.weight.grad is model.parameters()[0].grad
    assert conv.weight.grad.any()
    conv.weight.value[...] = 0
    conv.bias.value[...] = 3
    assert (model(x) == 3).all(), "the fused step reads the layer's parameters"


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", cases.FUSED, ids=str)
def test_fused_and_plain_have_the_same_bits(case, dtype):
    """Outputs, all gradients, and what training makes of the weights."""
    how = {**case.windows, "groups": case.groups, "bias": case.bias}
    pool = case.pool.get("pool_kernel_size", (2, 2)), case.pool.get("pool_stride"), case.pool.get("pool_padding", 0)
    seen = []
    with kernels.use_backend("numpy"):
        for fuse in (True, False):
            conv = nn.Conv2d(case.x[3], case.filters, case.kernel, **how)
            model = nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(*pool), seed=3, fuse=fuse).astype(dtype)
            optimizer = optim.SGD(model.parameters(), lr=0.1)
            bits = []
            for step in range(2):
                rng = np.random.default_rng(step)
                y = model(cases.filled(case.x, "normal", dtype, rng))
                dx = model.backward(cases.filled(y.shape, "normal", dtype, rng))
                optimizer.step()
                arrays = [y, dx, *(p.grad for p in model.parameters()), *(p.value for p in model.parameters())]
                bits += [array.tobytes() for array in arrays]
            seen.append(bits)
    assert seen[0] == seen[1]


def test_fused_steps_check_their_input_as_the_layers_do():
    for fuse in (True, False):
        model = nn.Sequential(*run_of_three(), fuse=fuse)
        with pytest.raises(ValueError, match=r"Conv2d\(2, 3, kernel_size=\(3, 3\)\) takes \(N, H, W, 2\), got shape"):
            model(normal(2, 6, 6, 3))
        with pytest.raises(TypeError, match="has parameters of float32"):
            model(normal(2, 6, 6, 2, dtype="float64"))
        with pytest.raises(ValueError, match=r"kernel \(2, 2\) does not fit padded input \(1, 4\)"):
            model(normal(2, 3, 6, 2))


def test_fused_steps_keep_nothing_in_no_grad():
    model = nn.Sequential(*run_of_three())
    x = normal(2, 6, 6, 2)
    y = model(x)
    with nn.no_grad():
        np.testing.assert_array_equal(model(x), y)
    with pytest.raises(RuntimeError, match="outside no_grad"):
        model.backward(np.ones_like(y))
