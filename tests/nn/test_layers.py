"""What every layer does besides its arithmetic: shapes, modes, what is kept for the backward pass, what is refused."""

import math
import threading

import numpy as np
import pytest

from fastscratch import check_layer, models, nn
from layer_cases import LAYERS

ALL = pytest.mark.parametrize("case", LAYERS, ids=str)


def run_backward(layer, x, **how):
    y = layer.forward(x)
    return layer.backward(np.random.default_rng(3).standard_normal(y.shape).astype(y.dtype), **how)


# -- every layer of the table ------------------------------------------------------------------------------------------


@ALL
def test_output_shape_is_what_forward_returns(case):
    layer = case.make()
    for n in (1, 3):
        x = np.random.default_rng(0).standard_normal((n, *case.input_shape[1:])).astype(np.float32)
        assert layer.forward(x).shape == (n, *layer.output_shape(case.input_shape[1:]))


@ALL
def test_calling_a_layer_is_its_forward_pass(case):
    first, second = case.make(), case.make()
    np.testing.assert_array_equal(first(case.x("float32")), second.forward(case.x("float32")))


@ALL
def test_without_input_grad_nothing_is_returned_and_the_same_gradients_are_set(case):
    layer = case.make()
    assert run_backward(layer, case.x("float32")).shape == case.input_shape
    wanted = [parameter.grad.copy() for parameter in layer.parameters()]
    layer = case.make()
    assert run_backward(layer, case.x("float32"), input_grad=False) is None
    for parameter, gradient in zip(layer.parameters(), wanted, strict=True):
        np.testing.assert_array_equal(parameter.grad, gradient)


@ALL
def test_gradients_are_set_not_added(case):
    layer = case.make()
    layer.eval()  # dropout draws no second mask, batch norm keeps its statistics
    run_backward(layer, case.x("float32"))
    first = [parameter.grad.copy() for parameter in layer.parameters()]
    run_backward(layer, case.x("float32"))
    for parameter, gradient in zip(layer.parameters(), first, strict=True):
        np.testing.assert_array_equal(parameter.grad, gradient)


@ALL
def test_a_backward_pass_needs_a_forward_pass(case):
    layer = case.make()
    with pytest.raises(RuntimeError, match="backward needs a forward pass before it, outside no_grad"):
        layer.backward(np.ones((2, *layer.output_shape(case.input_shape[1:])), np.float32))


@ALL
def test_no_grad_gives_the_same_output_and_keeps_nothing(case):
    layer = case.make()
    y = layer.forward(case.x("float32"))
    layer = case.make()
    layer.forward(case.x("float32"))
    other = case.make()
    with nn.no_grad():
        np.testing.assert_array_equal(other.forward(case.x("float32")), y)
    for module in (layer, other):
        with nn.no_grad():
            module.forward(case.x("float32"))
        with pytest.raises(RuntimeError, match="outside no_grad"):
            module.backward(np.ones_like(y))


@ALL
def test_other_dtypes_are_refused(case):
    layer = case.make()
    for wrong in (np.int64, np.float16, np.complex64):
        with pytest.raises(TypeError):
            layer.forward(case.x("float32").astype(wrong))
    with pytest.raises(TypeError):
        layer.forward(case.x("float32").tolist())


@ALL
def test_parameters_and_inputs_have_one_dtype(case):
    layer = case.make()
    if layer.parameters():
        with pytest.raises(TypeError, match="float32"):
            layer.forward(case.x("float64"))
        with pytest.raises(TypeError, match="float64"):
            layer.astype(np.float64).forward(case.x("float32"))


@ALL
def test_a_gradient_of_another_shape_is_refused(case):
    layer = case.make()
    y = layer.forward(case.x("float32"))
    with pytest.raises(ValueError, match=r"shape"):
        layer.backward(np.ones((y.shape[0] + 1, *y.shape[1:]), np.float32))


@ALL
def test_no_images_go_through(case):
    layer = case.make().eval()
    x = np.zeros((0, *case.input_shape[1:]), np.float32)
    y = layer.forward(x)
    assert y.shape == (0, *layer.output_shape(case.input_shape[1:]))
    assert layer.backward(np.ones_like(y)).shape == x.shape
    for parameter in layer.parameters():
        assert not parameter.grad.any()


@ALL
def test_a_repr_says_what_the_layer_is(case):
    layer = case.make()
    assert repr(layer).startswith(f"{type(layer).__name__}(")
    assert "\n" not in repr(layer)


# -- no_grad -----------------------------------------------------------------------------------------------------------


def test_no_grad_ends_with_its_block_and_with_an_error():
    layer, x = nn.ReLU(), np.ones((2, 3), np.float32)
    with nn.no_grad():
        with nn.no_grad():
            pass
        layer.forward(x)
        with pytest.raises(RuntimeError):
            layer.backward(x)
    with pytest.raises(KeyError), nn.no_grad():
        raise KeyError
    layer.forward(x)
    np.testing.assert_array_equal(layer.backward(x), x)


def test_no_grad_holds_for_its_own_thread():
    """Another thread may evaluate while this one trains."""
    kept = []

    def train():
        layer = nn.ReLU()
        layer.forward(np.ones((1, 2), np.float32))
        kept.append(layer.backward(np.ones((1, 2), np.float32)) is not None)

    with nn.no_grad():
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    assert kept == [True]


# -- single layers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: nn.Conv2d(0, 4, 3), ValueError, "in_channels must be at least 1, got 0"),
        (lambda: nn.Conv2d(3, -4, 3), ValueError, "out_channels must be at least 1, got -4"),
        (lambda: nn.Conv2d(3, 4.5, 3), TypeError, "out_channels must be an int, got 4.5"),
        (lambda: nn.Conv2d(3, 4, 0), ValueError, "kernel_size must be at least 1, got 0"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), TypeError, "kernel_size must be an int or a pair"),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), ValueError, "stride must be at least 1, got 0"),
        (lambda: nn.Conv2d(3, 4, 3, padding=(0, -1)), ValueError, "padding must be at least 0"),
        (lambda: nn.Conv2d(3, 4, 3, dilation=0), ValueError, "dilation must be at least 1, got 0"),
        (lambda: nn.Conv2d(4, 6, 3, groups=3), ValueError, "groups must divide the channels, got 3: in_channels 4"),
        (lambda: nn.Conv2d(4, 6, 3, groups=4), ValueError, "groups must divide the channels, got 4"),
        (lambda: nn.MaxPool2d(0), ValueError, "kernel_size must be at least 1, got 0"),
        (lambda: nn.MaxPool2d(3, padding=2), ValueError, "padding must be at most half the kernel"),
        (lambda: nn.AvgPool2d(2, stride=0), ValueError, "stride must be at least 1, got 0"),
        (lambda: nn.AvgPool2d("2"), TypeError, "kernel_size must be an int or a pair"),
        (lambda: nn.Linear(0, 3), ValueError, "in_features must be at least 1, got 0"),
        (lambda: nn.Linear(3, None), TypeError, "out_features must be an int, got None"),
        (lambda: nn.BatchNorm2d(0), ValueError, "num_features must be at least 1, got 0"),
        (lambda: nn.BatchNorm2d(3, eps=0), ValueError, "eps must be above 0, got 0"),
        (lambda: nn.BatchNorm2d(3, eps=float("nan")), ValueError, "eps must be above 0, got nan"),
        (lambda: nn.BatchNorm2d(3, eps=math.inf), ValueError, "eps must be above 0 and finite, got inf"),
        (lambda: nn.PatchWhitening(3, eps=math.inf), ValueError, "eps must be above 0 and finite, got inf"),
        (lambda: nn.BatchNorm2d(3, eps=10**400), ValueError, "eps must be above 0 and finite, got 1000"),
        (lambda: nn.Dropout(-(10**400)), ValueError, "p must be at least 0 and below 1, got -1000"),
        (lambda: nn.Multiply(math.inf), ValueError, "factor must be finite, got inf"),
        (lambda: nn.Multiply(0), ValueError, "factor must not be 0, got 0"),
        (lambda: nn.Conv2d(True, 4, 3), TypeError, "in_channels must be an int, got True"),
        (lambda: nn.Conv2d(3, 4, True), TypeError, "kernel_size must be an int or a pair"),
        (lambda: nn.MaxPool2d(2, stride=(1, True)), TypeError, "stride must be an int or a pair"),
        (lambda: nn.BatchNorm2d(3, momentum=1.5), ValueError, "momentum must be at least 0 and at most 1, got 1.5"),
        (lambda: nn.Dropout(1.0), ValueError, "p must be at least 0 and below 1, got 1.0"),
        (lambda: nn.Dropout(-0.1), ValueError, "p must be at least 0 and below 1"),
        (lambda: nn.Dropout(float("nan")), ValueError, "p must be at least 0 and below 1"),
        (lambda: nn.BatchNorm2d(3, eps="1e-5"), TypeError, "eps must be a number, got '1e-5'"),
        (lambda: nn.BatchNorm2d(3, momentum=None), TypeError, "momentum must be a number, got None"),
        (lambda: nn.BatchNorm2d(3, bias_lr_scale="64"), TypeError, "bias_lr_scale must be a number, got '64'"),
        (lambda: nn.Dropout("half"), TypeError, "p must be a number, got 'half'"),
        (lambda: nn.Multiply(True), TypeError, "factor must be a number, got True"),
        (lambda: nn.PatchWhitening(3, eps=[1.0]), TypeError, "eps must be a number, got [1.0]"),
        (lambda: nn.Conv2d(3, 4, 3, init="he"), ValueError, "unknown initializer 'he'; known: torch,"),
        (lambda: nn.Linear(3, 4, init="he"), ValueError, "unknown initializer 'he'; known: torch,"),
        (lambda: nn.Conv2d(3, 4, 3, init="magic").initialize(0), ValueError, "'magic'"),
        (lambda: nn.Linear(3, 4, init="magic").initialize(0), ValueError, "'magic'"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(make, kind, message):
    with pytest.raises(kind) as error:
        make()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("ask", "kind", "message"),
    [
        (lambda: models.baseline().summary((32, 32)), ValueError, "takes (H, W, 3) an image, got (32, 32)"),
        (lambda: models.baseline().summary(32), TypeError, "input_shape must be a tuple of ints, that of one image"),
        (lambda: nn.ReLU().summary((32, 32, 3.0)), TypeError, "each size of input_shape must be an int, got 3.0"),
        (lambda: models.baseline(32), TypeError, "input_shape must be a tuple of ints"),
        (lambda: nn.ReLU().output_shape((-1,)), ValueError, "each size of input_shape must be at least 0, got -1"),
        (lambda: nn.Sequential().output_shape(32), TypeError, "input_shape must be a tuple of ints"),
        (lambda: nn.Flatten().output_shape(32), TypeError, "input_shape must be a tuple of ints"),
        (lambda: nn.Dropout().output_shape(32), TypeError, "input_shape must be a tuple of ints"),
        (lambda: nn.Linear(12, 3).output_shape(12), TypeError, "input_shape must be a tuple of ints"),
        (lambda: check_layer(nn.Linear(12, 3), 12), TypeError, "input_shape must be a tuple of ints"),
        (lambda: nn.MaxPool2d(2).output_shape((32, 32)), ValueError, "MaxPool2d((2, 2)) takes (H, W, C) an image, got"),
        (lambda: nn.GlobalAvgPool2d().output_shape((5,)), ValueError, "takes (H, W, C) an image, got (5,)"),
        (lambda: nn.Conv2d(3, 4, 3).output_shape((9, 9, 4)), ValueError, "takes (H, W, 3) an image, got (9, 9, 4)"),
        (lambda: nn.PatchWhitening(3).output_shape((9, 9)), ValueError, "takes (H, W, 3) an image, got (9, 9)"),
        (lambda: nn.BatchNorm2d(3).output_shape((9, 9)), ValueError, "takes (H, W, 3) an image, got (9, 9)"),
    ],
)
def test_shapes_that_make_no_sense_are_refused(ask, kind, message):
    with pytest.raises(kind) as error:
        ask()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_shape_may_be_any_sequence_of_whole_numbers():
    assert nn.Linear(12, 3).output_shape([np.int64(12)]) == (3,)
    assert nn.Conv2d(3, 4, 3).output_shape(np.array([5, 6, 3])) == (3, 4, 4)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Conv2d(3, 4, 3), (2, 8, 8, 2), "kernel_size=(3, 3)) takes (N, H, W, 3), got shape (2, 8, 8, 2)"),
        (nn.Conv2d(3, 4, 3), (8, 8, 3), "takes (N, H, W, 3), got shape (8, 8, 3)"),
        (nn.Conv2d(3, 4, 3), (2, 3, 2, 3), "kernel (3, 3) does not fit padded input (3, 2): x (2, 3, 2, 3)"),
        (nn.MaxPool2d(2), (4, 4), "MaxPool2d((2, 2)) takes (N, H, W, C), got shape (4, 4)"),
        (nn.AvgPool2d(5), (1, 4, 8, 1), "kernel (5, 5) does not fit padded input (4, 8)"),
        (nn.GlobalAvgPool2d(), (2, 3), "GlobalAvgPool2d() takes (N, H, W, C), got shape (2, 3)"),
        (nn.GlobalAvgPool2d(), (2, 0, 3, 1), "GlobalAvgPool2d() needs at least one pixel, got shape (2, 0, 3, 1)"),
        (nn.Linear(5, 3), (2, 4), "Linear(5, 3) takes (N, 5), got shape (2, 4)"),
        (nn.Linear(5, 3), (2, 1, 5), "Linear(5, 3) takes (N, 5), got shape (2, 1, 5)"),
        (nn.BatchNorm2d(3), (2, 4, 4, 2), "BatchNorm2d(3) takes (N, H, W, 3), got shape (2, 4, 4, 2)"),
        (nn.BatchNorm2d(3), (1, 1, 1, 3), "more than one value a channel in training mode, got shape (1, 1, 1, 3)"),
    ],
)
def test_inputs_of_other_shapes_are_refused(layer, shape, message):
    with pytest.raises(ValueError, match=r"shape|does not fit") as error:
        layer.forward(np.ones(shape, np.float32))
    assert message in str(error.value)


@ALL
def test_gradients_are_arrays_of_floats(case):
    layer = case.make()
    y = layer.forward(case.x("float32"))
    for wrong in (y.tolist(), y.astype(np.int64)):
        with pytest.raises(TypeError, match=r"takes an ndarray as gradient, got list|ndarray.*list|float32.*got int64"):
            layer.backward(wrong)


def test_output_shapes_of_other_inputs_are_refused():
    for layer, shape in [
        (nn.Conv2d(3, 4, 3), (8, 8, 2)),
        (nn.Conv2d(3, 4, 3), (2, 8, 3)),
        (nn.MaxPool2d(4), (3, 8, 2)),
        (nn.Linear(5, 3), (4,)),
        (nn.BatchNorm2d(3), (4, 4, 2)),
    ]:
        with pytest.raises(ValueError, match=r"got|does not fit|but x"):
            layer.output_shape(shape)


def test_flatten_keeps_this_projects_order():
    x = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    np.testing.assert_array_equal(nn.Flatten().forward(x), np.arange(24)[None])


@ALL
def test_arrays_may_be_read_only_and_lie_in_any_order(case):
    layer, plain = case.make(), case.make()
    x, dy = case.x("float32"), np.random.default_rng(5).standard_normal(case.make()(case.x("float32")).shape)
    x_other, dy_other = np.asfortranarray(x), np.asfortranarray(dy.astype(np.float32))
    x_other.flags.writeable = dy_other.flags.writeable = False
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(layer.forward(x_other), plain.forward(x), **tolerance)
    np.testing.assert_allclose(layer.backward(dy_other), plain.backward(dy.astype(np.float32)), **tolerance)


# -- counting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "flops"),
    [
        # 4 x 5 positions, 7 filters, a product and a sum for each of 3 x 3 x 2 weights, and the bias
        (nn.Conv2d(2, 7, 3), (6, 7, 2), 4 * 5 * 7 * (2 * 3 * 3 * 2 + 1)),
        (nn.Conv2d(2, 7, 3, bias=False), (6, 7, 2), 4 * 5 * 7 * 2 * 3 * 3 * 2),
        (nn.Conv2d(4, 8, 1, groups=2, bias=False), (3, 3, 4), 9 * 8 * 2 * 2),
        (nn.Linear(10, 4), (10,), 10 * 4 * 2 + 4),
        (nn.MaxPool2d(2), (4, 6, 3), 4 * 6 * 3),
        (nn.ReLU(), (4, 6, 3), 4 * 6 * 3),
        (nn.Dropout(), (4, 6, 3), 0),
        (nn.Flatten(), (4, 6, 3), 0),
        (nn.Residual(nn.ReLU()), (4, 6, 3), 2 * 4 * 6 * 3),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.ReLU()), (4, 4, 1), 16 + 16 + 4),
    ],
)
def test_flops_are_those_of_one_image(layer, shape, flops):
    assert layer.flops(shape) == flops
