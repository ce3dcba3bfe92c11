"""Every layer, loss and model: the backward pass against central differences, in float64."""

from __future__ import annotations

import numpy as np
import pytest

import fastscratch as fs
from fastscratch import losses, models, nn
from fastscratch.gradcheck import GradcheckResult
from layer_cases import LAYERS, LayerCase

RTOL = 1e-6


def _accept(result: GradcheckResult, names: list[str]) -> None:
    """Fail unless every array of `names` was compared and is within `RTOL`, away from kinks."""
    assert result, str(result)
    assert list(result.errors) == names
    assert max(result.errors.values()) < RTOL
    assert result.kinks == 0
    # Below this size errors are not relative to the entry itself; the entries are of the order of 1.
    assert result.atol / RTOL < 0.1


@pytest.mark.parametrize("mode", ["training", "evaluation"])
@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_layer(case: LayerCase, mode: str) -> None:
    layer = case.make().train(mode == "training")
    result = fs.gradcheck(layer, case.x(), verbose=False)
    _accept(result, ["x", *(parameter.name for parameter in layer.parameters())])
    assert result.checked == case.x().size + sum(parameter.size for parameter in layer.parameters())


def test_table_holds_every_layer() -> None:
    tried = {type(module) for case in LAYERS for _, module in case.make().modules()}
    abstract = {nn.Module}
    layers = {value for value in vars(nn).values() if isinstance(value, type) and issubclass(value, nn.Module)}
    assert layers - abstract <= tried


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("soft", [False, True], ids=["ids", "soft"])
@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_loss(name: str, soft: bool, smoothing: float, rng: np.random.Generator) -> None:
    logits = rng.normal(size=(4, 5))
    targets = rng.dirichlet(np.ones(5), size=4) if soft else rng.integers(5, size=4)
    result = fs.gradcheck(losses.LOSSES[name](label_smoothing=smoothing), logits, targets=targets, verbose=False)
    _accept(result, ["logits"])
    assert result.checked == logits.size


@pytest.mark.parametrize("mode", ["training", "evaluation"])
@pytest.mark.parametrize(("name", "size"), [("baseline", 24), ("improved", 17)])
def test_model(name: str, size: int, mode: str, rng: np.random.Generator) -> None:
    model = models.build(name, (size, size, 3), 10, seed=1).train(mode == "training")
    for parameter in model.parameters():
        # Filters that pass their input as it is hand the zeros of one ReLU to the kink of the next, and tie in pooling.
        parameter.value[...] += rng.normal(scale=0.05, size=parameter.shape)
    result = fs.gradcheck(model, rng.normal(size=(2, size, size, 3)), max_entries=4, verbose=False)
    assert result, str(result)
    assert list(result.errors) == ["x", *(parameter.name for parameter in model.parameters())]
    assert max(result.errors.values()) < RTOL


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_model_with_its_loss(name: str, rng: np.random.Generator) -> None:
    # The whole chain that training goes through, from the images to one number.
    model = models.build(name, (24, 24, 3), 10, seed=1).astype(np.float64).eval()
    criterion = losses.CrossEntropyLoss(label_smoothing=0.1)
    labels = rng.integers(10, size=2)

    def loss(x: np.ndarray) -> float:
        return criterion.forward(model.forward(x), labels)

    def grad(x: np.ndarray) -> np.ndarray:
        loss(x)
        return model.backward(criterion.backward())

    result = fs.gradcheck(loss, rng.normal(size=(2, 24, 24, 3)), grad=grad, max_entries=12, verbose=False)
    assert result, str(result)
    assert result.max_relative_error < RTOL
