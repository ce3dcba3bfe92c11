"""Rectified linear unit in Numba, forward and backward: one pass, a few chunks a thread.

`out` may be `x`, and `dx` may be `dy`.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import compiled, copy, frozen
from ._parallel import run_chunks

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK = 65_536

BLOCK = 2048
"""Results that are made beside the arrays and then copied: where an output is an input, no vectors could be made of a
loop that writes into it."""


@compiled
def _relu(x: Array, out: Array, start: int, stop: int) -> None:
    new = np.empty(BLOCK, dtype=x.dtype)
    zero = x.dtype.type(0)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        old = x[first:last]
        for i in range(last - first):
            new[i] = zero if old[i] < 0 else old[i]  # so that NaN passes
        copy(new, out[first:last])


def relu(x: Array, out: Array) -> None:
    """Fill `out` (size,) with ``max(x, 0)``."""
    run_chunks(_relu, x.size, CHUNK, frozen(x), out, flush=False)


@compiled
def _relu_backward(dy: Array, y: Array, dx: Array, start: int, stop: int) -> None:
    new = np.empty(BLOCK, dtype=dx.dtype)
    zero = dx.dtype.type(0)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        upstream, outputs = dy[first:last], y[first:last]
        for i in range(last - first):
            passed = upstream[i]  # read in any case: a jump around it would take the place of a vector
            new[i] = zero if outputs[i] <= 0 else passed
        copy(new, dx[first:last])


def relu_backward(dy: Array, y: Array, dx: Array) -> None:
    """Fill `dx` (size,) with `dy` where the output `y` was positive, and with zeros elsewhere."""
    run_chunks(_relu_backward, y.size, CHUNK, frozen(dy), frozen(y), dx, flush=False)
