"""Sequential, Residual, and the runs of layers that Sequential hands to one kernel."""

import numpy as np
import pytest

import cases
import fastscratch_kernels as kernels
from fastscratch import nn, optim
from fastscratch.nn.fuse import BatchNormReLU, ConvReLUMaxPool, ThenReLU, plan


class Spy(nn.Module):
    """Pass everything, and note what it was asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, x):
        self.save_for_backward(x.shape)
        return x.copy()

    def backward(self, dy, input_grad=True):
        self.asked.append(input_grad)
        return dy if input_grad else None


class Silent(Spy):
    """Return no gradient, though it is asked for one."""

    def backward(self, dy, input_grad=True):
        return None


def normal(*shape, dtype="float32"):
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


# -- Sequential --------------------------------------------------------------------------------------------------------


def test_layers_run_one_after_the_other_and_back():
    first, second = nn.Linear(3, 4).initialize(1), nn.Linear(4, 2).initialize(2)
    model = nn.Sequential(first, nn.ReLU(), second)
    x, dy = normal(5, 3), normal(5, 2)
    hidden = x @ first.weight.value + first.bias.value
    np.testing.assert_allclose(
        model(x), np.maximum(hidden, 0) @ second.weight.value + second.bias.value, rtol=1e-6, atol=1e-6
    )
    dhidden = (dy @ second.weight.value.T) * (hidden > 0)
    np.testing.assert_allclose(model.backward(dy), dhidden @ first.weight.value.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(first.weight.grad, x.T @ dhidden, rtol=1e-5, atol=1e-6)


def test_mirrored_in_evaluation_is_the_mean_over_an_image_and_its_mirror_image():
    layers = nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(24, 4)
    plain, both = nn.Sequential(*layers, seed=1), nn.Mirrored(*layers)
    x = normal(5, 3, 5, 2)
    np.testing.assert_array_equal(both.train()(x), plain(x))
    wanted = (plain(x) + plain(np.ascontiguousarray(x[:, :, ::-1]))) / 2
    np.testing.assert_allclose(both.eval()(x), wanted, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(both(x), both(np.ascontiguousarray(x[:, :, ::-1])), rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match=r"takes \(N, H, W, C\), got shape \(5, 6\)"):
        nn.Mirrored(nn.Linear(6, 2)).forward(normal(5, 6))


def test_mirrored_with_a_shift_is_the_mean_over_images_moved_both_ways_as_well():
    layers = nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(24, 4)
    plain, views = nn.Sequential(*layers, seed=1), nn.Mirrored(*layers, shift=2)
    x = normal(5, 3, 5, 2)
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    seen = [x, padded[:, :3, :5], padded[:, 4:, 4:]]
    wanted = np.mean([plain(np.ascontiguousarray(y)) for view in seen for y in (view, view[:, :, ::-1])], axis=0)
    np.testing.assert_array_equal(views.train()(x), plain(x))
    np.testing.assert_allclose(views.eval()(x), wanted, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(views(x), views(np.ascontiguousarray(x[:, :, ::-1])), rtol=1e-6, atol=1e-6)


def test_mirrored_takes_a_whole_shift_that_leaves_something_of_the_image():
    assert repr(nn.Mirrored(nn.ReLU())) == "Mirrored(ReLU())"
    assert repr(nn.Mirrored(nn.ReLU(), shift=1)) == "Mirrored(ReLU(), shift=1)"
    with pytest.raises(ValueError, match="shift must be at least 0, got -1"):
        nn.Mirrored(nn.ReLU(), shift=-1)
    with pytest.raises(TypeError, match=r"shift must be an int, got 0\.5"):
        nn.Mirrored(nn.ReLU(), shift=0.5)
    model = nn.Mirrored(nn.ReLU(), shift=3)
    assert model(normal(2, 3, 5, 1)).shape == (2, 3, 5, 1)
    with pytest.raises(ValueError, match=r"more than 3 rows and columns, got shape \(2, 3, 5, 1\)"):
        model.eval()(normal(2, 3, 5, 1))


def test_it_can_be_looked_into():
    layers = nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)
    model = nn.Sequential(*layers)
    assert len(model) == 3
    assert model[1] is layers[1]
    assert model[-1] is layers[2]
    assert model.layers == layers


def test_an_empty_one_passes_everything():
    model, x = nn.Sequential(), normal(2, 3)
    assert model(x) is x
    assert model.backward(x) is x
    assert model.backward(x, input_grad=False) is None
    assert model.output_shape((3,)) == (3,)


@pytest.mark.parametrize("wrong", [nn.ReLU, "relu", None])
def test_what_is_no_module_is_refused_with_its_place(wrong):
    with pytest.raises(TypeError, match=r"a Sequential takes modules, got .* at place 1"):
        nn.Sequential(nn.Linear(2, 3), wrong)


def test_a_list_of_layers_is_refused():
    with pytest.raises(TypeError, match="a Sequential takes modules, got list at place 0"):
        nn.Sequential([nn.Linear(2, 3)])


@pytest.mark.parametrize(
    ("make", "places"),
    [
        (lambda one: nn.Sequential(one, nn.Flatten(), one), "'0' and '2'"),
        (lambda one: nn.Mirrored(nn.Flatten(), one, one), "'1' and '2'"),
        (lambda one: nn.Sequential(one, nn.Residual(nn.Sequential(nn.Flatten(), one))), r"'0' and '1\.body\.1'"),
        (lambda one: nn.Residual(one, one), "'body' and 'shortcut'"),
        (lambda one: nn.Residual(nn.Sequential(nn.Flatten(), one), one), r"'body\.1' and 'shortcut'"),
    ],
)
@pytest.mark.parametrize("one", [nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(3, 3, 1)], ids=repr)
def test_a_module_in_two_places_is_refused(make, places, one):
    """It keeps one forward pass, so that the gradients of the other would be wrong."""
    with pytest.raises(ValueError, match=f"each place takes a module of its own, got one at {places}: "):
        make(one)


def test_without_input_grad_the_way_back_ends_at_the_first_layer_with_parameters():
    before, after = Spy(), Spy()
    model = nn.Sequential(before, nn.Linear(3, 4), after, nn.Linear(4, 2))
    model(normal(5, 3))
    model.backward(normal(5, 2), input_grad=False)
    assert before.asked == []
    assert after.asked == [True]
    model.backward(normal(5, 2))
    assert before.asked == [True]


def test_without_input_grad_the_first_layer_with_parameters_is_not_asked_for_one():
    class Weighty(Spy):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(np.ones(1, np.float32))

    first, second = Weighty(), Weighty()
    model = nn.Sequential(nn.ReLU(), first, second)
    model(normal(5, 3))
    model.backward(normal(5, 3), input_grad=False)
    assert (first.asked, second.asked) == ([False], [True])
    model.backward(normal(5, 3))
    assert (first.asked, second.asked) == ([False, True], [True, True])


def test_without_parameters_and_without_input_grad_there_is_nothing_to_do():
    spy = Spy()
    model = nn.Sequential(nn.Flatten(), spy)
    model(normal(2, 3))
    assert model.backward(normal(2, 3), input_grad=False) is None
    assert spy.asked == []


def test_a_layer_that_returns_no_gradient_is_named():
    for layers in ([nn.Linear(3, 4), Silent(), nn.Linear(4, 2)], [Silent(), nn.Linear(3, 2)]):
        model = nn.Sequential(*layers)
        model(normal(5, 3))
        with pytest.raises(RuntimeError, match=r"Silent\(\) returned no gradient of its input, though it was asked to"):
            model.backward(normal(5, 2))


@pytest.mark.parametrize(
    "layers",
    [(nn.Linear(3, 2),), (nn.Linear(3, 2), nn.ReLU()), (nn.Dropout(0.5),), (nn.Multiply(2.0),), (nn.Flatten(),)],
    ids=str,
)
def test_a_gradient_that_is_none_is_refused(layers):
    model = nn.Sequential(*layers, seed=0)
    model(normal(5, 3))
    with pytest.raises(TypeError, match="takes an ndarray as gradient, got NoneType"):
        model.backward(None)


# -- Residual ----------------------------------------------------------------------------------------------------------


def test_a_residual_adds_both_ways_and_both_gradients():
    body, shortcut = nn.Linear(3, 4), nn.Linear(3, 4, bias=False)
    block = nn.Residual(body, shortcut).initialize(0)
    x, dy = normal(5, 3), normal(5, 4)
    np.testing.assert_allclose(block(x), body(x) + shortcut(x), rtol=1e-6)
    dx = block.backward(dy)
    np.testing.assert_allclose(dx, dy @ body.weight.value.T + dy @ shortcut.weight.value.T, rtol=1e-5, atol=1e-6)
    assert block.backward(dy, input_grad=False) is None


def test_a_residual_without_a_shortcut_passes_its_input():
    body = nn.Linear(3, 3).initialize(0)
    block, x, dy = nn.Residual(body), normal(5, 3), normal(5, 3)
    np.testing.assert_allclose(block(x), body(x) + x, rtol=1e-6)
    np.testing.assert_allclose(block.backward(dy), dy @ body.weight.value.T + dy, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("ways", "name"), [((5,), "body"), ((nn.ReLU(), nn.ReLU), "shortcut")])
def test_a_residual_takes_modules(ways, name):
    with pytest.raises(TypeError, match=f"a Residual takes a module as {name}, got (int|ABCMeta): "):
        nn.Residual(*ways)


def test_a_residual_of_other_shapes_is_refused():
    block = nn.Residual(nn.Conv2d(3, 4, 3, padding=1))
    with pytest.raises(ValueError, match=r"got \(2, 5, 5, 4\) from the body and \(2, 5, 5, 3\) around it"):
        block(normal(2, 5, 5, 3))


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (nn.Residual(nn.Conv2d(3, 8, 3)), (8, 8, 3), r"got \(6, 6, 8\) from the body and \(8, 8, 3\) around"),
        (nn.Residual(nn.ReLU(), nn.Conv2d(3, 1, 1)), (8, 8, 3), r"got \(8, 8, 3\) from the body and \(8, 8, 1\)"),
        (nn.Mirrored(nn.Flatten(), shift=32), (32, 40, 3), r"more than 32 rows and columns, got shape \(32, 40, 3\)"),
        (nn.Mirrored(nn.Flatten()), (5,), r"takes \(H, W, C\) an image, got \(5,\)"),
    ],
    ids=["Residual", "shortcut", "shift", "vectors"],
)
def test_output_shape_refuses_what_forward_refuses(model, shape, message):
    for ask in (model.output_shape, model.summary, nn.Sequential(nn.ReLU(), model).summary):
        with pytest.raises(ValueError, match=message):
            ask(shape)
    with pytest.raises(ValueError, match=r"."):
        model.eval()(normal(2, *shape))


def test_a_residual_does_not_broadcast():
    """One channel would fit into three, and be added to each of them."""
    with pytest.raises(ValueError, match="adds arrays of one shape"):
        nn.Residual(nn.Conv2d(3, 1, 1))(normal(2, 5, 5, 3))


def test_a_residual_does_not_change_its_input():
    x = normal(2, 4, 4, 3)
    kept = x.copy()
    block = nn.Residual(nn.Sequential(nn.ReLU(), nn.ReLU()))
    y = block(x)
    block.backward(np.ones_like(y))
    np.testing.assert_array_equal(x, kept)


# -- fused runs --------------------------------------------------------------------------------------------------------


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
