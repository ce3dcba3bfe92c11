"""The end of the fused block in Numba: pooling and ReLU of convolution outputs that are still in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import leaf
from ._simd_numba import fill, if_positive, if_wins, lanes, load, store

Array = np.ndarray[Any, np.dtype[Any]]


@leaf
def pool_panel(
    y: Array, windows: int, places: int, dead: int, largest: Array, winners: Array, columns: int, at: int
) -> None:
    """Reduce the outputs of a panel of filters, window by window in `y`, to the largest of each window, and its place.

    They go to columns `at` and after of `largest` and `winners` (windows, columns). Places are floats here: they are
    chosen in the same vectors as the numbers. ReLU comes last: it changes neither the largest number, where that is
    positive, nor its place.
    """
    width = lanes(y)
    row = width + width
    for window in range(windows):
        for half in range(2):
            here = np.uint64(window * places) * row + np.uint64(half) * width
            best, place = load(y, here), fill(y, 0)
            for q in range(1, places):
                here += row
                candidate = load(y, here)
                place = if_wins(candidate, best, fill(y, q), place)
                best = if_wins(candidate, best, candidate, best)
            there = np.uint64(window * columns + at) + np.uint64(half) * width
            store(largest, there, if_positive(best, best, fill(y, 0)))
            store(winners, there, if_positive(best, place, fill(y, dead)))


@leaf
def write_pooled(
    largest: Array, winners: Array, windows: int, columns: int, f: int, out: Array, argmax: Array, to: int
) -> None:
    """Write the first `f` columns of each window to `out` and `argmax` (windows, F), flat, from `to` on."""
    for window in range(windows):
        for c in range(f):
            out[to + c] = largest[window * columns + c]
            argmax[to + c] = winners[window * columns + c]
        to += f
