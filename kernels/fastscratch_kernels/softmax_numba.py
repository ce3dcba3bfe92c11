"""Softmax in Numba, as its logarithm, and the gradient of a cross entropy: one row after the other.

Logits are few: threads would cost more than they save.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import compiled, frozen

Array = np.ndarray[Any, np.dtype[Any]]


@compiled
def _log_softmax(z: Array, out: Array) -> None:
    for n in range(z.shape[0]):
        largest = z[n, 0]
        for k in range(z.shape[1]):
            largest = max(largest, z[n, k])
        total = 0.0  # float64: with many classes a float32 sum would lose digits
        for k in range(z.shape[1]):
            out[n, k] = z[n, k] - largest
            total += np.exp(out[n, k])
        shift = out.dtype.type(np.log(total))
        for k in range(z.shape[1]):
            out[n, k] -= shift


def log_softmax(z: Array, out: Array) -> None:
    """Fill `out` (N, K) with the logarithm of the softmax of each row of `z`; a row with NaN or inf becomes NaN."""
    _log_softmax(frozen(z), out)


@compiled
def _cross_entropy_backward(log_p: Array, q: Array, dz: Array) -> None:
    n_images = dz.dtype.type(dz.shape[0])
    for n in range(dz.shape[0]):
        total = 0.0
        for k in range(dz.shape[1]):
            total += q[n, k]
        for k in range(dz.shape[1]):
            dz[n, k] = (np.exp(log_p[n, k]) * dz.dtype.type(total) - q[n, k]) / n_images


def cross_entropy_backward(log_p: Array, q: Array, dz: Array) -> None:
    """Fill `dz` (N, K) from the logarithms of the predicted distribution and the wanted one, both (N, K)."""
    _cross_entropy_backward(frozen(log_p), frozen(q), dz)
