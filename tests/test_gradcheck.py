"""The gradient checker itself: it passes what is right, finds what is wrong, and changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastscratch as fs
from broken_layers_backward import ForgetsBias, ForgetsSum, OneWrongEntry
from fastscratch import losses, nn
from fastscratch.gradcheck import GradcheckResult


def _check(target: Any, x: Any, **options: Any) -> GradcheckResult:
    return fs.gradcheck(target, x, verbose=False, **options)


class WrongBy(nn.Linear):
    """A dense layer with one entry of one gradient multiplied by `factor`."""

    def __init__(self, array: str, factor: float) -> None:
        super().__init__(20, 10)
        self.array, self.factor = array, factor

    def backward(self, dy: np.ndarray, input_grad: bool = True) -> np.ndarray | None:
        dx = super().backward(dy, input_grad)
        gradient = dx if self.array == "x" else getattr(self, self.array).grad
        gradient[(-1,) * gradient.ndim] *= self.factor
        return dx


# -- what it finds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [-1, 0, 2, 1.01, 1.00001])
@pytest.mark.parametrize("array", ["x", "weight", "bias"])
def test_finds_one_wrong_entry(array: str, factor: float, rng: np.random.Generator) -> None:
    result = _check(WrongBy(array, factor), rng.normal(size=(3, 20)))
    assert not result
    assert {name for name, error in result.errors.items() if error > result.rtol} == {array}
    worst = result.rows[0]
    shape = {"x": (3, 20), "weight": (20, 10), "bias": (10,)}[array]
    assert (worst.array, worst.index) == (array, tuple(size - 1 for size in shape))
    assert worst.analytic == pytest.approx(factor * worst.numeric, rel=1e-6)
    assert worst.error == pytest.approx(abs(factor - 1) / max(abs(factor), 1), rel=1e-2)


def test_random_direction_finds_an_entry_that_was_not_drawn(rng: np.random.Generator) -> None:
    result = _check(OneWrongEntry(), rng.normal(size=(3, 6, 5, 3)), max_entries=1)
    assert not result
    assert (result.rows[0].array, result.rows[0].index) == ("x", None)
    assert "random direction" in str(result)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1, 1e6])
def test_finds_wrong_gradients_of_any_size(scale: float, rng: np.random.Generator) -> None:
    x = rng.normal(size=7)
    assert _check(lambda x: scale * (x**2).sum(), x, grad=lambda x: 2 * scale * x)
    assert not _check(lambda x: scale * (x**2).sum(), x, grad=lambda x: 2.0001 * scale * x)


@pytest.mark.parametrize("scale", [1e-3, 1, 1e6])
def test_step_follows_the_size_of_the_input(scale: float, rng: np.random.Generator) -> None:
    x = scale * rng.normal(size=7)
    assert _check(lambda x: (x**2).sum(), x, grad=lambda x: 2 * x)
    assert not _check(lambda x: (x**2).sum(), x, grad=lambda x: 2.0001 * x)


def test_missing_and_misshapen_gradients(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 4, 4, 3))
    with pytest.raises(ValueError, match=r"backward pass of ForgetsBias\(\) gives no gradient of bias"):
        _check(ForgetsBias(), x)
    with pytest.raises(ValueError, match=r"gradient of weight in ForgetsSum\(\) has shape \(2, 4, 4, 3\), weight has"):
        _check(ForgetsSum(), x)


def test_gradient_that_is_not_finite_fails() -> None:
    result = _check(lambda x: (x**2).sum(), [1.0, 2.0], grad=lambda x: np.array([2.0, np.nan]))
    assert not result
    assert result.max_relative_error == np.inf
    assert result.rows[0].index == (1,)


# -- kinks ---------------------------------------------------------------------------------------------------------


def _with_zeros(zeros: int, size: int = 100) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(1, size))
    x[0, :zeros] = 0
    return x


def test_zeros_of_relu_are_kinks() -> None:
    result = _check(nn.ReLU(), _with_zeros(10), worst=100)
    assert result
    assert result.kinks == 10
    assert sorted(row.index for row in result.rows if row.kink) == [(0, i) for i in range(10)]
    assert str(result).count(" kink\n") + str(result).endswith(" kink") == 10


def test_too_many_kinks_fail() -> None:
    result = _check(nn.ReLU(), _with_zeros(11))
    assert not result
    assert result.max_relative_error < result.rtol
    assert "too many entries lie at kinks, where a derivative has two values: draw x at random" in str(result)


def test_numbers_near_a_kink_get_a_smaller_step() -> None:
    x = _with_zeros(0)
    x[0, :10] = 3e-7  # within the first step, outside the last one
    result = _check(nn.ReLU(), x)
    assert result
    assert result.kinks == 0


@pytest.mark.parametrize("x", [0.0, 3e-7, 3e-5, 1.0])
def test_kinks_excuse_no_wrong_gradient(x: float) -> None:
    def grad(x: np.ndarray) -> np.ndarray:
        return np.where(x > 0.5, 1.0, 0.5)

    values = np.concatenate([[x], np.linspace(1, 2, 30)])
    assert bool(_check(lambda x: np.abs(x).sum(), values, grad=grad)) is (x == 1.0)


def test_ties_of_max_pooling_are_kinks(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 8, 8, 2))
    x[0, 0, :2, 0] = 9.0
    result = _check(nn.MaxPool2d(2), x, worst=300)
    assert result
    assert sorted(row.index for row in result.rows if row.kink) == [(0, 0, 0, 0), (0, 0, 1, 0)]


# -- what it takes -------------------------------------------------------------------------------------------------


def test_function_of_an_array(rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 4))
    w = rng.normal(size=(4, 2))
    result = _check(lambda x: x @ w, x, grad=lambda x, dy: dy @ w.T)
    assert result
    assert result.checked == 12
    assert not _check(lambda x: x @ w, x, grad=lambda x, dy: 1.001 * dy @ w.T)


def test_function_takes_lists_and_whole_numbers() -> None:
    result = _check(lambda x: (x**3).sum(), [[1, 2], [3, 4]], grad=lambda x: 3 * x**2)
    assert result
    assert result.rows[0].analytic in (3, 12, 27, 48)


def test_wrong_loss(rng: np.random.Generator) -> None:
    class SumLoss(losses.CrossEntropyLoss):
        def backward(self) -> np.ndarray:
            return super().backward() * 4

    x, targets = rng.normal(size=(4, 5)), rng.integers(5, size=4)
    assert _check(losses.CrossEntropyLoss(), x, targets=targets)
    assert not _check(SumLoss(), x, targets=targets)


def test_float32_model_is_checked_in_float64(rng: np.random.Generator) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), seed=0)
    result = _check(model, rng.normal(size=(2, 4)).astype(np.float32))
    assert result
    assert list(result.errors) == ["x", "0.weight", "0.bias", "2.weight", "2.bias"]
    assert result.max_relative_error == max(result.errors.values()) == result.rows[0].error


@pytest.mark.parametrize("layer", [nn.Dropout(0.5, seed=1), nn.BatchNorm2d(3)], ids=repr)
def test_layers_whose_forward_pass_changes_them(layer: nn.Module, rng: np.random.Generator) -> None:
    assert _check(layer.train(), rng.normal(size=(3, 4, 2, 3)))


def test_mode_is_the_layers_own(rng: np.random.Generator) -> None:
    x = rng.normal(size=(1, 50))
    slopes = {}
    for mode in (True, False):
        result = _check(nn.Dropout(0.5, seed=1).train(mode), x, worst=50, seed=0)
        slopes[mode] = np.array([row.analytic for row in sorted(result.rows, key=lambda row: row.index)])
    assert 10 < (slopes[True] == 0).sum() < 40
    assert (slopes[False] == 0).sum() == 0


# -- what it leaves alone ------------------------------------------------------------------------------------------


def test_changes_nothing(rng: np.random.Generator) -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5), seed=0)
    x, dy = rng.normal(size=(2, 5, 5, 2)).astype(np.float32), rng.normal(size=(2, 3, 3, 3)).astype(np.float32)
    model.forward(x)
    model.backward(dy)
    state, x_before = model.state_dict(), x.copy()
    arrays = [(parameter.value, parameter.grad, parameter.grad.copy()) for parameter in model.parameters()]
    drawn = model.generators()["2"].bit_generator.state
    assert _check(model, x, max_entries=5)
    np.testing.assert_array_equal(x, x_before)
    assert model.generators()["2"].bit_generator.state == drawn
    for name, array in model.state_dict().items():
        assert array.dtype == state[name].dtype
        np.testing.assert_array_equal(array, state[name])
    for parameter, (value, grad, grad_before) in zip(model.parameters(), arrays, strict=True):
        assert parameter.value is value
        assert parameter.grad is grad
        np.testing.assert_array_equal(grad, grad_before)
    assert model.backward(dy) is not None  # what the last forward kept is still there


def test_loss_is_not_changed(rng: np.random.Generator) -> None:
    criterion = losses.CrossEntropyLoss()
    logits, targets = rng.normal(size=(2, 3)), np.array([0, 2])
    criterion.forward(logits, targets)
    before = criterion.backward()
    assert _check(criterion, rng.normal(size=(4, 3)), targets=np.array([0, 1, 2, 0]))
    np.testing.assert_array_equal(criterion.backward(), before)


# -- what it reports -----------------------------------------------------------------------------------------------


def test_table(capsys: pytest.CaptureFixture[str], rng: np.random.Generator) -> None:
    result = fs.gradcheck(WrongBy("weight", 2.0), rng.normal(size=(3, 20)), worst=3)
    printed = capsys.readouterr().out
    assert printed == f"{result}\n"
    lines = printed.splitlines()
    assert lines[0] == "gradcheck of Linear(20, 10): FAILED"
    assert lines[1].startswith("270 entries of 3 arrays, step 1e-05, 0 at kinks; largest relative error 5.0e-01")
    assert lines[2].split() == ["array", "index", "analytic", "numeric", "relative", "error"]
    assert lines[3].split()[:3] == ["weight", "(19,", "9)"]
    assert lines[3].split()[-1] == "5.0e-01"
    assert len(lines) == 3 + 3
    assert [row.error for row in result.rows] == sorted((row.error for row in result.rows), reverse=True)
    assert "passed" in str(_check(nn.Linear(20, 10), rng.normal(size=(3, 20))))
    assert capsys.readouterr().out == ""


def test_seed_decides_everything(rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 20))
    runs = [str(_check(nn.Linear(20, 10), x, max_entries=5, seed=seed)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert str(_check(nn.Linear(20, 10), x, max_entries=5, seed=np.random.default_rng(1))) == runs[0]


def test_max_entries_counts_the_direction_too(rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 20))
    assert _check(nn.Linear(20, 10), x).checked == 60 + 200 + 10
    assert _check(nn.Linear(20, 10), x, max_entries=10).checked == 11 + 11 + 10
    assert _check(nn.Linear(20, 10), x, max_entries=200).checked == 60 + 200 + 10


def test_tolerances_are_taken(rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 20))
    assert not _check(WrongBy("bias", 1.001), x)
    assert _check(WrongBy("bias", 1.001), x, rtol=1e-2)
    assert _check(WrongBy("bias", 1.001), x, atol=1.0)
    assert _check(nn.Linear(20, 10), x, eps=1e-3).eps == 1e-3


# -- what it refuses -----------------------------------------------------------------------------------------------


class OwnGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(0)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x + self.rng.normal(size=x.shape)

    def backward(self, dy: np.ndarray, input_grad: bool = True) -> np.ndarray | None:
        return dy if input_grad else None


class Float32Inside(nn.ReLU):
    def forward(self, x: np.ndarray) -> np.ndarray:
        return super().forward(x).astype(np.float32)


X = np.ones((2, 3))
SQUARE = {"grad": lambda x: 2 * x}


@pytest.mark.parametrize(
    ("target", "x", "options", "error", "words"),
    [
        (nn.ReLU, X, {}, TypeError, "gradcheck takes a layer, not its class: pass ReLU(...)"),
        ("relu", X, {}, TypeError, "takes a layer, a model, a loss or a function, got str: 'relu'"),
        (np.sum, X, {}, ValueError, "gradcheck of the function sum needs grad="),
        (losses.CrossEntropyLoss(), X, {}, ValueError, "gradcheck of a loss needs targets="),
        (losses.CrossEntropyLoss(), X, SQUARE, ValueError, "gradcheck of a loss takes no grad="),
        (nn.ReLU(), X, {"targets": [0, 1]}, ValueError, "gradcheck of a layer or model takes no targets="),
        (np.sum, X, {"targets": [0], **SQUARE}, ValueError, "gradcheck of a function takes no targets="),
        (nn.ReLU(), np.ones((0, 3)), {}, ValueError, "x must hold at least one number, got shape (0, 3)"),
        (nn.ReLU(), [np.nan], {}, ValueError, "x must be finite"),
        (nn.ReLU(), X, {"eps": 0}, ValueError, "eps must be above 0 and below 1, got 0"),
        (nn.ReLU(), X, {"rtol": 2.0}, ValueError, "rtol must be above 0 and below 1, got 2.0"),
        (nn.ReLU(), X, {"atol": -1}, ValueError, "atol must be at least 0, got -1"),
        (nn.ReLU(), X, {"max_entries": 0}, ValueError, "max_entries must be at least 1, got 0"),
        (nn.ReLU(), X, {"worst": -1}, ValueError, "worst must be at least 0, got -1"),
        (Float32Inside(), X, {}, TypeError, "must return float64 for float64, got float32"),
        (OwnGenerator(), X, {}, ValueError, "keeps its random Generator in self.generator"),
        (lambda x: np.log(x - 1).sum(), X, SQUARE, ValueError, "returns numbers that are not finite"),
        (
            lambda x: (x**2).sum(),
            X,
            {"grad": lambda x: x[0]},
            ValueError,
            "the gradient of x in <lambda> has shape (3,)",
        ),
        (lambda x: (x**2).sum(), X, {"grad": lambda x: None}, ValueError, "of <lambda> gives no gradient of x"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_arguments(target: Any, x: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        _check(target, x, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
