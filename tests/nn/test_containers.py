"""Sequential and Residual: layers one after the other, and beside a shortcut."""

import numpy as np
import pytest

from fastscratch import nn
from layer_cases import normal


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
