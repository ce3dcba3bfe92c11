"""The tests that this project runs on its own layers, for any layer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .differences import shortened
from .layer_bench import Bench, Check
from .layer_checks_backward import BACKWARD_CHECKS
from .layer_checks_forward import FORWARD_CHECKS
from .nn import Module
from .nn.checks import check_shape, check_size

CHECKS = (*FORWARD_CHECKS, *BACKWARD_CHECKS)
"""All checks, in the order in which they run."""

_TRIED_SHAPES = ((8, 7, 3), (12,))
"""One image and one row of numbers: what is tried where no input shape is given."""


@dataclass(frozen=True)
class CheckResult:
    """What became of one check.

    Attributes
    ----------
    name : str
    status : str
        "passed", "failed", or "skipped" where a check that it needs did not pass, or a class that it needs was not
        given.
    message : str
        What was checked; of a failure what was expected, what was got and the likely cause; of a skipped check
        what it waits for.
    """

    name: str
    status: str
    message: str


@dataclass(frozen=True)
class CheckReport:
    """All checks of a layer; true where none failed, and its `str` has a line for each.

    Attributes
    ----------
    name : str
        The layer.
    input_shape : tuple of int
        Of one image, without N.
    results : tuple of CheckResult
    """

    name: str
    input_shape: tuple[int, ...]
    results: tuple[CheckResult, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that failed; those that were skipped because of them are not among them."""
        return tuple(result for result in self.results if result.status == "failed")

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        passed = sum(result.status == "passed" for result in self.results)
        title = f"check_layer of {self.name}, input {self.input_shape}: {passed} of {len(self.results)} checks passed"
        return "\n".join([title, *(f"  {r.status:7} {r.name}: {r.message}" for r in self.results)])


class CheckError(ValueError):
    """A layer failed a check; its text has one sentence for each failure.

    Attributes
    ----------
    report : CheckReport
    """

    def __init__(self, report: CheckReport) -> None:
        self.report = report
        super().__init__("\n".join(f"{report.name}: {failure.name}: {failure.message}" for failure in report.failures))


def check_layer(
    layer: Module | Callable[[], Module],
    input_shape: tuple[int, ...] | None = None,
    *,
    batch: int = 3,
    seed: int = 0,
    max_entries: int = 32,
    raise_on_failure: bool = True,
    verbose: bool = True,
) -> CheckReport:
    """Run the tests that this project runs on its own layers.

    Parameters
    ----------
    layer : Module, class or callable
        A layer or model; or a class whose constructor needs no arguments, or a function that makes a layer, such as
        ``lambda: MyLayer(3)``: then it is checked too that two layers share nothing. It is not changed.
    input_shape : tuple of int, optional
        Of one image, without N: (H, W, C), or (features,). None tries (8, 7, 3), then (12,).
    batch : int
        N, at least 2.
    seed : int
        What inputs and gradients are drawn from, normal.
    max_entries : int
        How many entries of each array `gradcheck` compares one by one, besides a random direction through all of it;
        two or three are enough for the many arrays of a model.
    raise_on_failure : bool
        Whether a failure raises, as a test wants it.
    verbose : bool
        Whether the report is printed.

    Returns
    -------
    CheckReport

    Raises
    ------
    CheckError
        If a check failed, unless `raise_on_failure` is false. It is a ValueError.
    TypeError
        If `layer` is no layer and makes none.
    ValueError
        If an option makes no sense, or no input shape was given and none of those that are tried fits.

    Notes
    -----
    What is checked, in this order: the layer's parts can be found and are its own; `forward` and `output_shape`; both
    dtypes; what belongs to others is not written to; training and evaluation mode; the shape of each gradient, that
    gradients are set and not added, and that they agree with central differences (`gradcheck`) below 1e-6; a batch of
    one; memory layouts; the order of calls; the state. A check that needs another one is skipped where that failed,
    so that one fault gives one sentence.

    It cannot know what the layer is meant to compute: compare `forward` with an example worked out by hand.

    Examples
    --------
    >>> from fastscratch import nn
    >>> from fastscratch.gradcheck import check_layer
    >>> report = check_layer(lambda: nn.Conv2d(3, 4, 3), verbose=False)
    >>> report.ok
    True
    """
    check_size("batch", batch, at_least=2)
    check_size("seed", seed, at_least=0)
    check_size("max_entries", max_entries)
    original, make = _layer(layer)
    bench = Bench(original, make, _checked_shape(original, input_shape), batch, seed, max_entries)
    results: dict[str, CheckResult] = {}
    for check in CHECKS:
        results[check.name] = _run(check, bench, results)
    report = CheckReport(shortened(repr(original)), bench.input_shape, tuple(results.values()))
    if verbose:
        print(report)
    if raise_on_failure and not report.ok:
        raise CheckError(report)
    return report


def _layer(layer: Module | Callable[[], Module]) -> tuple[Module, Callable[[], Module] | None]:
    """Return a copy of the layer, or a new one and what makes more."""
    if isinstance(layer, Module):
        try:
            return copy.deepcopy(layer), None
        except Exception as error:
            raise TypeError(f"{layer!r} cannot be copied, and only copies are checked ({error})") from error
    if not callable(layer):
        raise TypeError(f"check_layer takes a layer, its class or a function that makes one, got {layer!r}")
    name = getattr(layer, "__name__", repr(layer))
    try:
        made = layer()
    except TypeError as error:
        raise TypeError(f"{name}() failed ({error}): pass a layer, or lambda: {name}(...)") from error
    if not isinstance(made, Module):
        raise TypeError(f"{name}() must make an nn.Module, got {type(made).__name__}")
    return made, layer


def _checked_shape(layer: Module, input_shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if input_shape is not None:
        shape = check_shape(input_shape)
        if not shape or min(shape) < 1:
            raise ValueError(f"input_shape must be the shape of one image without N, sizes from 1, got {shape}")
        return shape
    for shape in _TRIED_SHAPES:
        try:
            copy.deepcopy(layer).astype(np.float32).forward(np.ones((2, *shape), dtype=np.float32))
            return shape
        except Exception as error:
            fault = error
    raise ValueError(
        f"{layer!r} takes neither {' nor '.join(map(str, _TRIED_SHAPES))} as one image ({fault}): give input_shape"
    )


def _run(check: Check, bench: Bench, before: dict[str, CheckResult]) -> CheckResult:
    waiting = [name for name in check.needs if before[name].status != "passed"]
    if waiting:
        return CheckResult(check.name, "skipped", f"needs {' and '.join(waiting)}")
    if check.needs_make and bench.make is None:
        return CheckResult(check.name, "skipped", "needs the layer's class, or a function that makes one")
    try:
        with np.errstate(all="ignore"):
            message = check.run(bench)
    except Exception as error:
        message = f"raised {type(error).__name__}: {error}"
    if message is not None:
        return CheckResult(check.name, "failed", message)
    return CheckResult(check.name, "passed", check.right)
