"""Whether the kernels compute what they should, here and now: every op on every backend, against float64.

For each output the error is the largest distance from the same op in float64, as a share of the largest value there.
PyTorch's error on the same numbers is the yardstick, where it is installed; elsewhere the rounding error that a sum of
so many terms has at random.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscratch.op_cases import FAST, WINOGRAD, Array, Call

Outputs = tuple[Array, ...]

EPS = float(np.finfo(np.float32).eps)
FLOOR = 4 * EPS
"""Errors up to here are right, whatever the yardstick's: eight roundings of the largest value."""

FACTOR = 1.5
"""How many times the yardstick's error a plain sum may have, and Winograd's F(2x2, 3x3)."""

SHORTENED_FACTOR = 5.0
"""The same for what "auto" may take besides: F(2x2, 5x5) under a pooling."""

FAST_LIMIT = 5e-5
"""What precision "fast" allows, whatever PyTorch's error: F(4x4, 3x3) multiplies by numbers up to 8 and back."""


AT_RANDOM = "half an eps times the root of the number of terms of a sum"
"""What a sum's rounding errors, half the last place now up and now down, come to."""


def limits(with_torch: bool) -> str:
    """Say in a sentence how the limits come about."""
    yardstick = "PyTorch's error" if with_torch else AT_RANDOM
    return (
        f"4 eps of float32, or if that is more, {FACTOR:g} times {yardstick}; {SHORTENED_FACTOR:g} times for "
        f"F(2x2, 5x5) under a pooling; {FAST_LIMIT:g} for precision fast"
    )


@dataclass(frozen=True)
class Row:
    """What was measured of one output of one op.

    Attributes
    ----------
    op, output, shape, algorithm, backend : str
        What was called, and which of its outputs this is; "PyTorch" stands among the backends.
    ulps : float
        The largest distance from the NumPy column, in units of the last place of the largest value.
    error : float
        The largest distance from float64 over the largest value. Of places of maxima: how far the number at the place
        named is from the largest of its window.
    torch_error : float or None
        PyTorch's, where it is there and has the op.
    limit : float
        What `error` may be.
    """

    op: str
    output: str
    shape: str
    algorithm: str
    backend: str
    ulps: float
    error: float
    torch_error: float | None
    limit: float

    @property
    def ok(self) -> bool:
        """Whether the error is within its limit; NaN is not."""
        return self.error <= self.limit


def verify(
    calls: Iterable[Call], backends: Sequence[str], torch_ops: Mapping[str, Callable[..., Outputs]]
) -> Iterator[list[Row]]:
    """Run every call on every backend in float32, and measure what comes out.

    Parameters
    ----------
    calls : iterable of Call
        See `op_cases.every_call`.
    backends : sequence of str
        Those that work here.
    torch_ops : mapping of str to callable
        `interop.torch_ops.OPS`; or an empty one, where PyTorch is missing.

    Yields
    ------
    list of Row
        Those of one call: each output, on each backend and by PyTorch.
    """
    for call in calls:
        exact, reference = call.run(np.float64, "numpy"), call.run(np.float32, "numpy")
        rows = []
        if call.op in torch_ops:
            arrays = torch_ops[call.op](**call.arrays, **call.how)
            for name, array in zip(call.terms, arrays, strict=False):  # no argmax comes from there
                rows.append(_measure(call, name, "PyTorch", "-", array, exact, reference[name], None))
        torch_errors = {row.output: row.error for row in rows}
        for backend in backends:
            for algorithm, outputs in call.run_each_algorithm(np.float32, backend):
                for name, array in outputs.items():
                    theirs = torch_errors.get(name)
                    rows.append(_measure(call, name, backend, algorithm, array, exact, reference[name], theirs))
        yield rows


def worst(rows: Iterable[Row]) -> list[Row]:
    """Return of each op, algorithm and backend the row that came nearest to its limit, or went past it furthest."""
    found: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = row.op, row.algorithm, row.backend
        if key not in found or _severity(row) > _severity(found[key]):
            found[key] = row
    return [found[key] for key in sorted(found, key=lambda key: key[:2])]


def _severity(row: Row) -> float:
    return math.inf if math.isnan(row.error) else row.error / row.limit


def _measure(
    call: Call,
    name: str,
    backend: str,
    algorithm: str,
    got: Array,
    exact: Mapping[str, Array],
    reference: Array,
    theirs: float | None,
) -> Row:
    if name == "argmax":
        largest = _largest(exact["y"])
        distance = from_reference = _lost(call, got, exact["y"])
    else:
        largest = _largest(exact[name])
        distance, from_reference = _distance(got, exact[name]), _distance(got, reference)
    ulps = from_reference / float(np.spacing(np.float32(largest)))
    limit = _limit(call, algorithm, call.terms[name], theirs)
    return Row(call.op, name, call.shape, algorithm, backend, ulps, distance / largest, theirs, limit)


def _limit(call: Call, algorithm: str, terms: int, theirs: float | None) -> float:
    """Return what the error of an output may be that sums up so many terms."""
    if algorithm.endswith(FAST):
        return FAST_LIMIT
    at_random = EPS * math.sqrt(terms) / 2
    # A block of the form that F(2x2, 5x5) may compute
    shortened = call.op == "conv2d_relu_maxpool2d" and call.arrays["w"].shape[:2] == (5, 5)
    factor = SHORTENED_FACTOR if shortened and algorithm in ("auto", WINOGRAD) else FACTOR
    return max(FLOOR, factor * (at_random if theirs is None else theirs))


def _largest(exact: Array) -> float:
    return float(np.abs(exact).max())


def _distance(got: Array, wanted: Array) -> float:
    """Return the largest distance of any two numbers; NaN where there is one, infinity for another shape."""
    return float(np.abs(got.astype(np.float64) - wanted).max()) if got.shape == wanted.shape else math.inf


def _lost(call: Call, argmax: Array, pooled: Array) -> float:
    """Return how far the numbers at the places `argmax` are below the largest of their windows, at most."""
    fused = call.op == "conv2d_relu_maxpool2d"
    how = {name.removeprefix("pool_"): call.how[name] for name in call.how if name.startswith("pool_") or not fused}
    kernel, padding = how["kernel_size"], how.get("padding", (0, 0))
    stride = how.get("stride", kernel)
    y = _before_pooling(call) if fused else call.arrays["x"].astype(np.float64)
    border = ((0, 0), *((size, size) for size in padding), (0, 0))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(y, border, constant_values=-np.inf), kernel, axis=(1, 2)
    )  # (N, rows, columns, C, KH, KW)
    _, oh, ow, _ = pooled.shape
    numbers = windows[:, :: stride[0], :: stride[1]][:, :oh, :ow].reshape(*pooled.shape, -1)
    places = argmax.astype(np.int64)
    inside = (places >= 0) & (places < numbers.shape[-1])
    chosen = np.take_along_axis(numbers, np.where(inside, places, 0)[..., None], axis=-1)[..., 0]
    dead = fused & (places == np.iinfo(argmax.dtype).max)
    return _distance(np.where(inside, chosen, np.where(dead, 0.0, -np.inf)), pooled)


def _before_pooling(call: Call) -> Array:
    """Return what the fused block pools, in float64."""
    how: dict[str, Any] = {name: value for name, value in call.how.items() if not name.startswith("pool_")}
    y = Call("conv2d", call.shape, call.arrays, how, {"y": 0}).run(np.float64, "numpy")["y"]
    return np.maximum(y, 0)
