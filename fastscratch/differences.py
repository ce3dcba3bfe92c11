"""Numeric derivatives, and how they are compared with the gradients that a backward pass returns.

Everything here is float64: in float32 a difference quotient has three correct digits at best.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from .nn import Module, no_grad

Array = np.ndarray[Any, np.dtype[Any]]
Index = tuple[int, ...]

PRECISION = float(np.finfo(np.float64).eps)
EPS = 1e-5
"""Near the cube root of the precision, where truncation (eps squared) and rounding (1 / eps) are both small."""

RTOL = 1e-6
MAX_KINKS = 0.1
_SHRINK = (1.0, 0.1, 0.01)
_ROUNDING = 16.0
"""How much more a deep model rounds than its output alone: the most that was seen on both networks is 9."""

_ONE_SIDED_ROUNDING = 4.0
"""The weights (-3, 4, -1) / 2 of a one-sided difference against (1, -1) / 2 of a central one, as root of squares."""


@dataclass(frozen=True)
class Entry:
    """One number of a gradient, both ways.

    Attributes
    ----------
    array : str
        "x" or the parameter's dotted name.
    index : tuple of int, or None
        Place in the array; None for the derivative along a random direction through all of it.
    analytic, numeric : float
        What the backward pass says, and what the differences say.
    error : float
        Relative: ``|analytic - numeric| / max(|analytic|, |numeric|, floor)``.
    kink : bool
        Whether it agrees only with the difference to one side.
    """

    array: str
    index: Index | None
    analytic: float
    numeric: float
    error: float
    kink: bool

    def cells(self) -> tuple[str, str, str, str, str]:
        """Return it as a row of the table."""
        index = "random direction" if self.index is None else str(self.index)
        error = f"{self.error:.1e}" + (" kink" if self.kink else "")
        return self.array, index, f"{self.analytic:+.9e}", f"{self.numeric:+.9e}", error


@dataclass(frozen=True)
class GradcheckResult:
    """What `gradcheck` found; true where everything agrees, and its `str` is a table of the worst entries.

    Attributes
    ----------
    name : str
        What was checked.
    ok : bool
        Whether every entry is within `rtol`, and not too many lie at kinks.
    max_relative_error : float
        The largest of all entries.
    errors : dict of str to float
        The largest of each array.
    rows : tuple of Entry
        The worst entries, worst first.
    checked, kinks : int
        How many entries were compared, and how many of them lie at a kink.
    eps, rtol, atol : float
        Step, allowed relative error, and the difference that rounding alone is granted.
    """

    name: str
    ok: bool
    max_relative_error: float
    errors: dict[str, float]
    rows: tuple[Entry, ...] = field(repr=False)
    checked: int
    kinks: int
    eps: float
    rtol: float
    atol: float

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        verdict = "passed" if self.ok else "FAILED"
        lines = [
            f"gradcheck of {self.name}: {verdict}",
            f"{self.checked} entries of {len(self.errors)} arrays, step {self.eps:g}, {self.kinks} at kinks; "
            f"largest relative error {self.max_relative_error:.1e}, allowed {self.rtol:g}",
        ]
        if self.kinks > MAX_KINKS * self.checked:
            lines.append("too many entries lie at kinks, where a derivative has two values: draw x at random")
        cells = [("array", "index", "analytic", "numeric", "relative error")]
        cells += [entry.cells() for entry in self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(5)]
        for row in cells:
            lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return "\n".join(lines)


class State:
    """What forward passes of a module change, buffers and Generators, so that it can be put back.

    Parameters
    ----------
    module : Module
        Looked at when this is made.
    """

    def __init__(self, module: Module) -> None:
        self._buffers = [(inside, name, getattr(inside, name).copy()) for _, inside, name in module.named_buffers()]
        self._generators = [(generator, generator.bit_generator.state) for generator in module.generators().values()]

    def restore(self) -> None:
        """Put everything back."""
        for module, name, value in self._buffers:
            setattr(module, name, value.copy())
        for generator, state in self._generators:
            generator.bit_generator.state = state


@dataclass(frozen=True)
class Problem:
    """A function of some arrays, and the gradient that is claimed for each of them.

    Attributes
    ----------
    name : str
        What it is, for the table.
    evaluate : callable
        Returns the output at the arrays' present values, as an array of its own.
    arrays : dict of str to ndarray
        C-contiguous float64; changed in place while differences are taken, and put back.
    gradients : dict of str to ndarray
        Of ``sum(dy * evaluate())``, under the same names.
    dy : ndarray
        Gradient with respect to the output.
    """

    name: str
    evaluate: Callable[[], Array]
    arrays: dict[str, Array]
    gradients: dict[str, Array]
    dy: Array

    @classmethod
    def of_module(cls, module: Module, x: Array, rng: np.random.Generator) -> Self:
        """Return the problem of a layer or model in its present mode, on a float64 copy of it.

        Parameters
        ----------
        module : Module
        x : ndarray of float64
            The input.
        rng : numpy.random.Generator
            Draws `dy`, normal.
        """
        name = shortened(repr(module))
        model = copy.deepcopy(module).astype(np.float64)
        state = State(model)
        y = checked_output(name, model.forward(x.copy()))
        dy = np.asarray(rng.standard_normal(y.shape))
        dx = model.backward(dy.copy())
        parameters = model.parameters()
        gradients = {"x": dx} | {parameter.name: parameter.grad for parameter in parameters}

        def evaluate() -> Array:
            state.restore()
            with no_grad():
                return checked_output(name, model.forward(x.copy()))

        again = evaluate()
        if again.shape != y.shape or not np.allclose(again, y, rtol=1e-9, atol=1e-9 * np.abs(y).max(initial=0)):
            raise ValueError(
                f"{name} is not a function of its input: two forward passes from the same state differ; a layer keeps "
                "its random Generator in self.generator, and names what forward changes in buffer_names"
            )
        arrays = {"x": x} | {parameter.name: parameter.value for parameter in parameters}
        return cls(name, evaluate, arrays, checked_gradients(name, arrays, gradients), dy)


def shortened(text: str, width: int = 60) -> str:
    """Return `text` cut to `width` characters."""
    return text if len(text) <= width else text[: width - 3] + "..."


def checked_output(name: str, y: Any) -> Array:
    """Return a copy of the output `y` of `name`.

    Raises
    ------
    TypeError
        If it is not float64.
    ValueError
        If a number in it is not finite.
    """
    result = np.array(y)
    if result.dtype != np.float64:
        raise TypeError(f"{name} must return float64 for float64, got {result.dtype}: differences need the digits")
    if not np.isfinite(result).all():
        raise ValueError(f"{name} returns numbers that are not finite, and they have no derivative")
    return result


def checked_gradients(name: str, arrays: dict[str, Array], gradients: dict[str, Any]) -> dict[str, Array]:
    """Return `gradients` as copies in float64.

    Raises
    ------
    ValueError
        If one is missing, or not of its array's shape.
    """
    result = {}
    for key, array in arrays.items():
        gradient = gradients[key]
        if gradient is None:
            raise ValueError(f"the backward pass of {name} gives no gradient of {key}")
        if np.shape(gradient) != array.shape:
            raise ValueError(f"the gradient of {key} in {name} has shape {np.shape(gradient)}, {key} has {array.shape}")
        result[key] = np.array(gradient, dtype=np.float64)
    return result


def compare(
    problem: Problem,
    rng: np.random.Generator,
    *,
    eps: float = EPS,
    rtol: float = RTOL,
    atol: float | None = None,
    max_entries: int | None = None,
    worst: int = 8,
) -> GradcheckResult:
    """Compare the gradients of `problem` with differences; `gradcheck` documents the parameters.

    Parameters
    ----------
    problem : Problem
    rng : numpy.random.Generator
        Draws which entries are taken, and the directions.
    eps, rtol, atol, max_entries, worst
        As in `gradcheck`.

    Returns
    -------
    GradcheckResult
    """
    y = problem.evaluate()
    if atol is None:
        atol = _ROUNDING * PRECISION / eps * float(np.linalg.norm(problem.dy * y))
    probe = _Probe(problem, y, eps, rtol, atol)
    entries = [
        probe.measure(name, index, direction)
        for name, array in problem.arrays.items()
        for index, direction in _directions(array.shape, max_entries, rng)
    ]
    errors: dict[str, float] = {}
    for entry in entries:
        errors[entry.array] = max(entry.error, errors.get(entry.array, 0.0))
    largest = max(errors.values(), default=0.0)
    kinks = sum(entry.kink for entry in entries)
    return GradcheckResult(
        name=problem.name,
        ok=largest <= rtol and kinks <= MAX_KINKS * len(entries),
        max_relative_error=largest,
        errors=errors,
        rows=tuple(sorted(entries, key=lambda entry: -entry.error)[:worst]),
        checked=len(entries),
        kinks=kinks,
        eps=eps,
        rtol=rtol,
        atol=atol,
    )


def _directions(
    shape: Index, max_entries: int | None, rng: np.random.Generator
) -> Iterator[tuple[Index | None, Array | float]]:
    """Yield which way to go through an array: each entry by itself, or some of them and one way through all."""
    size = int(np.prod(shape))
    if max_entries is None or size <= max_entries:
        for index in np.ndindex(shape):
            yield index, 1.0
        return
    for place in np.sort(rng.choice(size, max_entries, replace=False)):
        yield tuple(int(i) for i in np.unravel_index(place, shape)), 1.0
    # Of length 1: along it the output changes as much as along a single entry.
    yield None, rng.choice([-1.0, 1.0], size=shape) / np.sqrt(size)


@dataclass(frozen=True)
class _Line:
    """A line through one array of a problem, along which it is evaluated."""

    problem: Problem
    y: Array
    array: Array
    where: Any
    direction: Array | float

    def at(self, step: float) -> Array:
        """Return the output `step` away."""
        kept = self.array[self.where].copy()
        self.array[self.where] = kept + step * self.direction
        try:
            return self.problem.evaluate()
        finally:
            self.array[self.where] = kept

    def central(self, step: float) -> float:
        """Return the derivative from one step to each side; the error falls with the square of the step."""
        return float(np.sum(self.problem.dy * (self.at(step) - self.at(-step)))) / (2 * step)

    def one_sided(self, step: float) -> float:
        """Return the derivative from two steps to one side, which is as exact; a negative step goes to the left."""
        change = 4 * self.at(step) - 3 * self.y - self.at(2 * step)
        return float(np.sum(self.problem.dy * change)) / (2 * step)


@dataclass(frozen=True)
class _Probe:
    """Takes differences of one problem."""

    problem: Problem
    y: Array
    eps: float
    rtol: float
    atol: float

    def measure(self, name: str, index: Index | None, direction: Array | float) -> Entry:
        """Return the entry `index` of the array `name`, or the derivative along `direction` where that is None.

        Notes
        -----
        Where the function is smooth, the first central difference decides. Where a kink (a ReLU at zero, two equal
        numbers in a pooling window) lies within the step, both sides have different derivatives, and the central
        difference is a mean of them. A smaller step leaves the kink outside, at the price of more rounding. If the
        point lies on the kink itself, no step does, and the gradient must be the derivative to one of the two sides.
        """
        array, gradient = self.problem.arrays[name], self.problem.gradients[name]
        where = ... if index is None else index
        line = _Line(self.problem, self.y, array, where, direction)
        analytic = float(np.sum(gradient[where] * direction))
        scale = max(1.0, float(np.abs(array[where]).max()))

        def entry(numeric: float, step: float, kink: bool = False) -> Entry:
            return Entry(name, index, analytic, numeric, self._error(analytic, numeric, step, kink), kink)

        steps = [self.eps * scale * shrink for shrink in _SHRINK]
        first = entry(line.central(steps[0]), steps[0])
        if first.error <= self.rtol:
            return first
        right, left = line.one_sided(steps[0]), line.one_sided(-steps[0])
        if self._error(right, left, steps[0], one_sided=True) <= self.rtol:
            return first
        for step in steps[1:]:
            if (found := entry(line.central(step), step)).error <= self.rtol:
                return found
        for step in steps:
            for side in (step, -step):
                if (found := entry(line.one_sided(side), step, kink=True)).error <= self.rtol:
                    return found
        return first

    def _error(self, a: float, b: float, step: float, one_sided: bool) -> float:
        """Return the relative error between two derivatives, of which one was taken with `step`."""
        rounding = self.atol * self.eps / step * (_ONE_SIDED_ROUNDING if one_sided else 1.0)
        error = abs(a - b) / max(abs(a), abs(b), rounding / self.rtol, float(np.finfo(np.float64).tiny))
        return error if np.isfinite(error) else np.inf
