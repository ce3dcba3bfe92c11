"""Parameters, names, modes, state: what layers have from their base."""

import re

import numpy as np
import pytest

from fastscratch import nn, optim
from layer_cases import LAYERS

ALL = pytest.mark.parametrize("case", LAYERS, ids=str)


def small():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.Residual(nn.Sequential(nn.Conv2d(2, 2, 1), nn.Dropout(0.5)), nn.Conv2d(2, 2, 1, bias=False)),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


class Scale(nn.Module):
    """A layer of a learner's own: no output_shape, no flops."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(np.full(channels, 2, dtype=np.float32))

    def forward(self, x):
        self.save_for_backward(x)
        return np.concatenate([x, x], axis=-1) * self.weight.value

    def backward(self, dy, input_grad=True):
        (x,) = self.saved()
        self.weight.set_grad((dy * np.concatenate([x, x], axis=-1)).sum(axis=tuple(range(dy.ndim - 1))))
        left, right = np.split(dy * self.weight.value, 2, axis=-1)
        return left + right if input_grad else None


def test_a_layer_of_a_learners_own_passes_gradients():
    layer = Scale(4)
    layer.forward(np.array([[1, 3]], np.float32))
    assert layer.backward(np.array([[1, 10, 100, 1000]], np.float32)).tolist() == [[202, 2020]]
    assert layer.weight.grad.tolist() == [1, 30, 100, 3000]


# -- Parameter ---------------------------------------------------------------------------------------------------------


def test_a_parameter_is_made_of_a_value_or_of_a_way_to_draw_one():
    assert nn.Parameter(np.ones((2, 3))).shape == (2, 3)
    assert nn.Parameter(np.ones((2, 3))).size == 6
    for arguments in [
        {},
        {"shape": (2,)},
        {"draw": np.zeros},
        {"value": np.ones(2), "shape": (2,), "draw": np.zeros},
    ]:
        with pytest.raises(ValueError, match="takes either a value, or a shape and a function that draws it"):
            nn.Parameter(**arguments)


def test_a_value_is_an_array():
    with pytest.raises(TypeError, match=r"a Parameter's value must be an ndarray, got list: \[1\.0, 2\.0\]"):
        nn.Parameter([1.0, 2.0])
    with pytest.raises(TypeError, match=r"a Parameter's value must be an ndarray, got float: 1\.0"):
        nn.Parameter(np.ones(2)).value = 1.0


def test_a_gradient_goes_into_the_array_that_is_there():
    parameter = nn.Parameter(np.zeros(3, np.float32))
    given = np.ones(3, np.float64)
    parameter.set_grad(given)
    first = parameter.grad
    assert first.dtype == np.float32
    given[:] = 5
    assert (first == 1).all(), "the gradient is a copy"
    parameter.set_grad(np.full(3, 2.0))
    assert parameter.grad is first
    assert (first == 2).all()


@pytest.mark.parametrize("wrong", [np.ones((3, 1)), np.ones(1), np.float32(1), [1.0, 2.0], np.ones((2, 3))], ids=str)
def test_a_gradient_of_another_shape_is_refused(wrong):
    """The first would be kept, later ones broadcast."""
    parameter = nn.Parameter(np.zeros(3, np.float32))
    parameter.name = "0.weight"
    shape = re.escape(str(np.shape(wrong)))
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"gradient of parameter '0\.weight' has shape \(3,\), got {shape}$"):
            parameter.set_grad(wrong)
        parameter.grad = np.zeros(3, np.float32)
    parameter.set_grad([1, 2, 3])
    np.testing.assert_array_equal(parameter.grad, [1, 2, 3])


def test_a_value_of_another_shape_is_refused():
    parameter = nn.Parameter(np.zeros(3, np.float32))
    parameter.name = "weight"
    with pytest.raises(ValueError, match=r"parameter 'weight' has shape \(3,\), got \(4,\)"):
        parameter.value = np.zeros(4, np.float32)


def test_a_value_is_drawn_when_it_is_first_read():
    layer = nn.Conv2d(2, 3, 3)
    assert layer.weight._value is None
    assert layer.weight.shape == (3, 3, 2, 3)
    assert layer.weight._value is None, "its shape alone draws nothing"
    value = layer.weight.value
    assert layer.weight._value is not None
    assert layer.weight.value is value
    np.testing.assert_array_equal(nn.Conv2d(2, 3, 3).weight.value, value, "from seed 0, each time the same")


# -- drawing -----------------------------------------------------------------------------------------------------------


def test_a_seed_draws_all_layers_in_order_from_one_generator():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), seed=9)
    rng = np.random.default_rng(9)
    for layer in (nn.Linear(3, 4), nn.Linear(4, 2)):
        layer.initialize(rng)
        for parameter in layer.parameters():
            wanted = next(p for p in model.parameters() if p.shape == parameter.shape)
            np.testing.assert_array_equal(wanted.value, parameter.value)


def test_layers_of_one_shape_get_other_numbers():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), seed=0)
    assert not np.array_equal(model[0].weight.value, model[1].weight.value)


def test_an_inner_container_leaves_the_drawing_to_the_outer_one():
    nested = nn.Sequential(nn.Sequential(nn.Linear(3, 4)), nn.Sequential(nn.Linear(4, 2)), seed=5)
    flat = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), seed=5)
    for ours, theirs in zip(nested.parameters(), flat.parameters(), strict=True):
        np.testing.assert_array_equal(ours.value, theirs.value)


def test_what_has_a_value_keeps_it():
    inner = nn.Sequential(nn.Linear(3, 3), seed=1)
    kept = inner[0].weight.value.copy()
    model = nn.Sequential(inner, nn.Linear(3, 3), seed=2)
    np.testing.assert_array_equal(model[0][0].weight.value, kept)


def test_without_a_seed_the_first_use_draws_from_seed_0():
    x = np.ones((2, 3), np.float32)
    unseeded, seeded = nn.Sequential(nn.Linear(3, 4)), nn.Sequential(nn.Linear(3, 4), seed=0)
    np.testing.assert_array_equal(unseeded(x), seeded(x))
    by_parameters = nn.Sequential(nn.Linear(3, 4))
    by_parameters.parameters()
    np.testing.assert_array_equal(by_parameters(x), seeded(x))


def test_making_and_drawing_a_model_leaves_numpys_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002  # the global state is what must not move
    small().initialize(3)(np.ones((2, 4, 4, 1), np.float32))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# -- names -------------------------------------------------------------------------------------------------------------


def test_names_are_pytorchs():
    model = small()
    assert [parameter.name for parameter in model.parameters()] == [
        "0.weight", "0.bias", "1.weight", "1.bias",
        "2.body.0.weight", "2.body.0.bias", "2.shortcut.weight",
        "4.weight", "4.bias",
    ]  # fmt: skip
    assert list(model.buffers()) == ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert list(model.state_dict()) == [*(parameter.name for parameter in model.parameters()), *model.buffers()]
    inside = ["2.body", "2.body.0", "2.body.1", "2.shortcut"]
    assert [name for name, _ in model.modules()] == ["", "0", "1", "2", *inside, "3", "4"]
    assert [name for name, _ in model.children()] == ["0", "1", "2", "3", "4"]
    assert list(model.generators()) == ["2.body.1"]


def test_a_layer_alone_has_short_names():
    assert [parameter.name for parameter in nn.Linear(2, 3).parameters()] == ["weight", "bias"]


# -- modes and dtypes --------------------------------------------------------------------------------------------------


def test_modes_reach_everything_inside():
    model = small()
    assert all(module.training for _, module in model.modules())
    assert model.eval() is model
    assert not any(module.training for _, module in model.modules())
    assert model.train() is model
    assert all(module.training for _, module in model.modules())
    model.train(False)
    assert not model.training


@ALL
def test_astype_converts_parameters_and_buffers(case):
    layer = case.make()
    x = case.x("float32")
    y = layer.eval()(x)
    layer.backward(np.ones_like(y))
    assert layer.astype(np.float64) is layer
    for parameter in layer.parameters():
        assert parameter.value.dtype == np.float64
        assert parameter.grad is None
    for name, buffer in layer.buffers().items():
        kept = {"num_batches_tracked": np.int64, "is_adapted": np.bool_}
        assert buffer.dtype == kept.get(name.rpartition(".")[2], np.float64)
    y64 = layer(x.astype(np.float64))
    assert y64.dtype == np.float64
    np.testing.assert_allclose(y64, y, rtol=1e-4, atol=1e-5)
    assert layer.astype("float32")(x).dtype == np.float32
    np.testing.assert_array_equal(layer(x), y, "there and back, nothing is lost")


@pytest.mark.parametrize("dtype", [np.float16, int, "complex64", None, "word", 5])
def test_astype_refuses_other_dtypes(dtype):
    with pytest.raises(TypeError, match="dtype must be float32 or float64, got"):
        nn.Linear(2, 3).astype(dtype)


# -- state -------------------------------------------------------------------------------------------------------------


@ALL
def test_a_state_makes_another_layer_the_same(case):
    first, second = case.make(), case.make()
    rng = np.random.default_rng(0)
    for array in second.state_dict().values():
        assert array.flags.owndata
    for parameter in second.parameters():
        parameter.value[...] = rng.standard_normal(parameter.shape)
    second.load_state_dict(first.state_dict())
    for key, array in first.state_dict().items():
        np.testing.assert_array_equal(second.state_dict()[key], array)
    x = case.x("float32")
    np.testing.assert_array_equal(first.eval()(x), second.eval()(x))


def test_a_state_is_a_copy():
    model = small()
    state = model.state_dict()
    for array in state.values():
        array[...] = 7
    assert not any((parameter.value == 7).all() for parameter in model.parameters())
    assert not any((buffer == 7).all() for buffer in model.buffers().values())


def test_loading_writes_into_the_arrays_that_are_there():
    """An optimizer and a checkpoint hold them."""

    def arrays():
        return [*(parameter.value for parameter in model.parameters()), *model.buffers().values()]

    model = small()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    before = arrays()
    model.load_state_dict(small().initialize(4).state_dict())
    assert all(now is then for now, then in zip(arrays(), before, strict=True))
    for parameter in model.parameters():
        parameter.set_grad(np.ones(parameter.shape, np.float32))
    before = model.state_dict()
    optimizer.step()
    for parameter in model.parameters():
        np.testing.assert_allclose(parameter.value, before[parameter.name] - 1, rtol=1e-6)


def test_loading_keeps_the_models_dtype():
    model = nn.Linear(2, 3)
    model.load_state_dict({"weight": np.ones((2, 3)), "bias": np.zeros(3, int)})
    assert model.weight.value.dtype == model.bias.value.dtype == np.float32


def test_a_state_that_does_not_fit_is_told_all_at_once_and_changes_nothing():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm2d(3))
    before = model.state_dict()
    state = {**before, "0.weight": np.ones((3, 2)), "2.weight": np.ones(1)}
    del state["1.running_mean"]
    with pytest.raises(ValueError, match="the state does not fit the model: ") as error:
        model.load_state_dict(state)
    assert "missing 1.running_mean" in str(error.value)
    assert "unknown 2.weight" in str(error.value)
    assert "0.weight has shape (3, 2), the model's has (2, 3)" in str(error.value)
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


@pytest.mark.parametrize(
    ("wrong", "got"), [(np.full((3, 2), "a"), "<U1"), (np.ones((3, 2), complex), "complex128")], ids=["text", "complex"]
)
def test_a_state_of_no_numbers_is_refused_and_changes_nothing(wrong, got):
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    before = model.state_dict()
    with pytest.raises(TypeError, match=f"the state's 1.weight must hold numbers that become float32, got {got}"):
        model.load_state_dict(before | {"0.weight": before["0.weight"] + 1, "1.weight": wrong})
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


# -- a layer of one's own ----------------------------------------------------------------------------------------------


def test_a_layer_that_does_not_tell_its_output_shape_is_tried_out():
    layer = Scale(6).train()
    assert layer.output_shape((4, 5, 3)) == (4, 5, 6)
    assert layer.training, "its mode is as before"
    assert layer.flops((4, 5, 3)) == 0
    model = nn.Sequential(nn.Conv2d(1, 3, 1), Scale(6), nn.Flatten())
    assert model.output_shape((2, 2, 1)) == (24,)
    assert [parameter.name for parameter in model.parameters()] == ["0.weight", "0.bias", "1.weight"]
    assert Scale(6).astype(np.float64).output_shape((3,)) == (6,)


def test_a_layer_without_passes_cannot_be_made():
    class Half(nn.Module):
        def forward(self, x):
            return x

    with pytest.raises(TypeError, match="abstract"):
        Half()


# -- summary -----------------------------------------------------------------------------------------------------------


def test_a_summary_has_a_line_for_each_layer_and_the_totals():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10), seed=0)
    lines = model.summary((8, 8, 3)).splitlines()
    body = {line.split()[0]: line for line in lines if line.split() and line.split()[0].isdigit()}
    assert list(body) == ["0", "1", "2", "3", "4"]
    for name, shape, parameters in [
        ("0", "6 x 6 x 4", "112"),
        ("1", "6 x 6 x 4", "0"),
        ("2", "3 x 3 x 4", "0"),
        ("3", "36", "0"),
        ("4", "10", "370"),
    ]:
        assert shape in body[name]
        assert f" {parameters} " in body[name]
    assert "482" in lines[-1]
    flops = (6 * 6 * (2 * 108 + 4) + 144 + 144 + 0 + 730) / 1e6
    assert lines[-1].endswith(f"{flops:.3f}")
    assert len({len(line) for line in lines}) == 1, "the columns stand under each other"


def test_a_summary_shows_what_is_inside_a_residual():
    text = small().summary((4, 4, 1))
    for name in ("2.body.0", "2.body.1", "2.shortcut", "Residual (sum)"):
        assert name in text
    total = sum(parameter.size for parameter in small().parameters())
    assert f"{total}" in text.splitlines()[-1]


def test_a_summary_of_an_image_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        small().summary((2, 2, 1))
