"""`check_layer`: a sound layer passes, and each broken one fails the check that is meant for it, with its sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import broken_layers
import broken_layers_backward
from broken_layers import Sound
from broken_layers_backward import ForgetsBias, WrongSign
from fastscratch import check_layer, models, nn
from fastscratch.check_layer import CHECKS
from fastscratch.gradcheck import CheckError, CheckReport
from fastscratch.nn import Module
from layer_cases import LAYERS, LayerCase


def _report(layer: Any, **options: Any) -> CheckReport:
    return check_layer(layer, raise_on_failure=False, verbose=False, **options)


# -- sound layers --------------------------------------------------------------------------------------------------


def test_sound_layer_passes_every_check() -> None:
    report = _report(Sound)
    assert report, str(report)
    assert [result.status for result in report.results] == ["passed"] * len(CHECKS)


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_every_layer_passes(case: LayerCase) -> None:
    report = _report(case.make, input_shape=case.input_shape[1:])
    assert all(result.status == "passed" for result in report.results), str(report)


# Filters that begin by passing their input pass zeros, too, and max-pooling then has ties: draw all of them.
@pytest.mark.parametrize(("name", "size", "init"), [("baseline", 22, "torch"), ("improved", 17, "kaiming_normal")])
def test_every_model_passes(name: str, size: int, init: str) -> None:
    shape = (size, size, 3)
    report = _report(lambda: models.build(name, shape, 10, init=init), input_shape=shape, max_entries=2)
    assert all(result.status == "passed" for result in report.results), str(report)


@pytest.mark.parametrize("seed", range(5))
def test_passes_for_every_seed(seed: int) -> None:
    assert check_layer(Sound, seed=seed, batch=2 + seed, verbose=False)


# -- broken layers -------------------------------------------------------------------------------------------------

BROKEN = [
    cls
    for room in (broken_layers, broken_layers_backward)
    for cls in vars(room).values()
    if isinstance(cls, type) and "fails" in vars(cls)
]


@pytest.mark.parametrize("layer", BROKEN, ids=lambda layer: layer.__name__)
def test_broken_layer_fails_its_check_alone(layer: type[Module]) -> None:
    check, words = layer.fails
    report = _report(layer, input_shape=getattr(layer, "input_shape", Sound.input_shape))
    assert [failure.name for failure in report.failures] == [check], str(report)
    (failure,) = report.failures
    for word in words:
        assert word in failure.message
    assert "\n" not in failure.message
    assert not report


def test_every_check_has_a_broken_layer() -> None:
    assert {layer.fails[0] for layer in BROKEN} == {check.name for check in CHECKS}


# -- the report and the arguments ----------------------------------------------------------------------------------


def test_checks_that_need_a_failed_one_are_skipped() -> None:
    results = {result.name: result for result in _report(ForgetsBias).results}
    assert results["parameter gradients"].status == "failed"
    assert results["state round trip"].status == "skipped"
    assert results["state round trip"].message == "needs parameter gradients"
    assert results["images apart"].status == "passed"


def test_needs_come_before() -> None:
    seen: set[str] = set()
    for check in CHECKS:
        assert set(check.needs) <= seen
        seen.add(check.name)
    assert len(seen) == len(CHECKS)


def test_docs_list_every_check() -> None:
    page = Path(__file__).parents[1] / "docs" / "your-own-layer.md"
    rows = [line.split(" | ")[0] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert rows[1:] == [f"| {check.name}" for check in CHECKS]


def test_failure_raises_with_its_sentence() -> None:
    with pytest.raises(CheckError, match=r"WrongSign\(\): gradients in training mode: .*the sign is wrong") as caught:
        check_layer(WrongSign, verbose=False)
    assert isinstance(caught.value, ValueError)
    assert [failure.name for failure in caught.value.report.failures] == ["gradients in training mode"]
    assert len(str(caught.value).splitlines()) == 1


def test_report_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    report = check_layer(ForgetsBias, raise_on_failure=False)
    printed = capsys.readouterr().out
    assert printed == f"{report}\n"
    lines = printed.splitlines()
    assert lines[0].startswith("check_layer of ForgetsBias(), input (8, 7, 3): ")
    assert len(lines) == 1 + len(CHECKS)
    assert "  failed  parameter gradients: backward set no gradient of bias: call its set_grad" in lines
    check_layer(Sound, verbose=False)
    assert capsys.readouterr().out == ""


def test_layer_is_not_changed() -> None:
    layer = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).initialize(3).eval()
    state, drawn = layer.state_dict(), layer.generators()["2"].bit_generator.state
    report = _report(layer)
    assert report.ok
    assert {result.name for result in report.results if result.status == "skipped"} == {"own arrays"}
    assert layer.training is False
    assert layer.generators()["2"].bit_generator.state == drawn
    for name, array in layer.state_dict().items():
        assert array.dtype == state[name].dtype
        np.testing.assert_array_equal(array, state[name])
    assert all(parameter.grad is None for parameter in layer.parameters())


def test_used_layer_passes() -> None:
    layer = nn.Linear(12, 3).astype(np.float64)
    layer.backward(layer.forward(np.ones((2, 12))))
    assert _report(layer, input_shape=(12,)).ok


def test_input_shapes_that_are_tried() -> None:
    assert _report(nn.ReLU).input_shape == (8, 7, 3)
    assert _report(lambda: nn.Linear(12, 2)).input_shape == (12,)
    assert _report(lambda: nn.Linear(5, 2), input_shape=(5,)).input_shape == (5,)
    with pytest.raises(ValueError, match=r"takes neither \(8, 7, 3\) nor \(12,\) as one image .*: give input_shape"):
        check_layer(nn.Linear(5, 2))


@pytest.mark.parametrize(
    ("layer", "options", "error", "words"),
    [
        (Sound, {"batch": 1}, ValueError, "batch must be at least 2, got 1"),
        (Sound, {"max_entries": 0}, ValueError, "max_entries must be at least 1, got 0"),
        (Sound, {"input_shape": ()}, ValueError, "without N, sizes from 1, got ()"),
        (Sound, {"input_shape": (0, 3)}, ValueError, "got (0, 3)"),
        (nn.Conv2d, {}, TypeError, "pass a layer, or lambda: Conv2d(...)"),
        (lambda: 3, {}, TypeError, "must make an nn.Module, got int"),
        (np.zeros(3), {}, TypeError, "takes a layer, its class or a function that makes one"),
    ],
)
def test_bad_arguments(layer: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        check_layer(layer, verbose=False, **options)
    assert words in str(caught.value)


def test_layer_that_cannot_be_copied() -> None:
    layer = Sound()
    layer.lines = (line for line in "ab")
    with pytest.raises(TypeError, match="cannot be copied, and only copies are checked"):
        check_layer(layer)
