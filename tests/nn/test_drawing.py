"""When parameters get their first numbers: the outermost module draws them all, whichever way it is used first."""

import numpy as np
import pytest

from fastscratch import nn


class Pair(nn.Module):
    """A module of one's own, of two layers that are alike."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.b.forward(self.a.forward(x))

    def backward(self, dy, input_grad=True):
        return self.a.backward(self.b.backward(dy), input_grad)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Linear(4, 4), (4,)),
        (lambda: nn.Conv2d(3, 5, (2, 3), groups=1), (4, 5, 3)),
        (lambda: nn.Residual(nn.Linear(4, 4), nn.Linear(4, 4)), (4,)),
        (lambda: nn.Residual(nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4))), (4,)),
        (Pair, (4,)),
        (lambda: nn.Sequential(nn.ReLU(), Pair()), (4,)),
        (lambda: nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 5, 1)), (6, 6, 3)),
    ],
)
def test_a_forward_pass_draws_what_parameters_draws(make, shape):
    x = np.ones((2, *shape), np.float32)
    called, forwarded, asked = make(), make(), make()
    called(x)
    forwarded.forward(x)
    values = [parameter.value for parameter in asked.parameters()]
    assert len({array.ravel()[0] for array in values}) == len(values)  # no two begin with the same numbers
    for drawn in (called, forwarded):
        for parameter, value in zip(drawn.parameters(), values, strict=True):
            np.testing.assert_array_equal(parameter.value, value)


@pytest.mark.parametrize("first", ["weight", "bias"])
def test_reading_one_parameter_of_a_layer_does_not_change_the_other(first):
    layer, other = nn.Linear(3, 3), nn.Linear(3, 3).initialize(0)
    getattr(layer, first).value  # noqa: B018 - it is drawn now
    np.testing.assert_array_equal(layer.weight.value, other.weight.value)
    np.testing.assert_array_equal(layer.bias.value, other.bias.value)


def test_what_a_parameter_draws_has_its_shape():
    parameter = nn.Parameter(shape=(3,), draw=lambda generator: generator.standard_normal(4))
    with pytest.raises(ValueError, match=r"parameter '' has shape \(3,\), got \(4,\)"):
        parameter.draw(np.random.default_rng(0))
    with pytest.raises(TypeError, match="a Parameter's value must be an ndarray, got list"):
        nn.Parameter(shape=(3,), draw=lambda generator: [1.0, 2.0, 3.0]).draw(np.random.default_rng(0))


def test_a_module_that_leaves_out_its_bases_init_still_computes():
    class Double(nn.Module):
        def __init__(self):
            pass

        def forward(self, x):
            return 2 * x

        def backward(self, dy, input_grad=True):
            return 2 * dy

    assert Double().forward(np.float32(3)) == 6
