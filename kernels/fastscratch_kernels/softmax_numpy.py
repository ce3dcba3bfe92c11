"""Softmax in NumPy, as its logarithm, and the gradient of a cross entropy: the specification.

    forward     log p = z - max z - log sum exp(z - max z)
    backward    dz = (p sum q - q) / N,   of the mean over N of -sum q log p

Subtracting the largest logit changes nothing in exact arithmetic: no exponential exceeds 1, and their sum is at least
1, so that neither overflow nor log(0) can happen.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def log_softmax(z: Array, out: Array) -> None:
    """Fill `out` (N, K) with the logarithm of the softmax of each row of `z`; a row with NaN or inf becomes NaN."""
    with np.errstate(all="ignore"):
        np.subtract(z, z.max(axis=1, keepdims=True), out=out)
        out -= np.log(np.exp(out).sum(axis=1, keepdims=True))


def cross_entropy_backward(log_p: Array, q: Array, dz: Array) -> None:
    """Fill `dz` (N, K) from the logarithms of the predicted distribution and the wanted one, both (N, K)."""
    with np.errstate(all="ignore"):
        np.exp(log_p, out=dz)
        dz *= q.sum(axis=1, keepdims=True)
        dz -= q
        dz /= len(dz)
