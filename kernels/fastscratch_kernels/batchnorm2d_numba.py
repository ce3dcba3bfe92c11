"""Batch normalization in Numba, with ReLU or without: chunks of rows that fit a core's cache, one a thread.

Each chunk has a mean and squared distances, or sums, of its own; they are put together in order, in float64.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import compiled, flat
from ._parallel import run_chunks

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK_BYTES = 64 << 10
"""Of rows that are gone over twice, for the mean and for the distances from it."""


def _chunk_rows(x: Array) -> tuple[int, int]:
    """Return the number of rows of `x`, one a pixel, and how many make a chunk."""
    c = x.shape[3]
    return x.size // c, max(1, CHUNK_BYTES // (c * x.itemsize))


@compiled
def _moments(x: Array, c: int, size: int, partial: Array, start: int, stop: int) -> None:
    mean, squares = partial[start // size]
    mean[:] = 0
    squares[:] = 0
    for i in range(start, stop):
        for j in range(c):
            mean[j] += x[i * c + j]
    for j in range(c):
        mean[j] /= stop - start
    for i in range(start, stop):
        for j in range(c):
            distance = x[i * c + j] - mean[j]
            squares[j] += distance * distance


def channel_moments(x: Array, mean: Array, var: Array) -> None:
    """Fill `mean` and `var` (C,) with the mean and the biased variance of `x` (N, H, W, C) over N, H and W."""
    rows, size = _chunk_rows(x)
    partial = np.empty((-(-rows // size), 2, x.shape[3]), dtype=x.dtype)
    run_chunks(_moments, rows, size, flat(x), x.shape[3], size, partial)
    counts = np.minimum(size, rows - size * np.arange(len(partial)))
    # Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979
    total = np.average(partial[:, 0].astype(np.float64), axis=0, weights=counts)
    between = np.square(partial[:, 0] - total) * counts[:, None]
    mean[...] = total
    var[...] = (partial[:, 1].sum(axis=0, dtype=np.float64) + between.sum(axis=0)) / rows


@compiled
def _normalize(
    x: Array, c: int, mean: Array, scale: Array, bias: Array, relu: bool, out: Array, start: int, stop: int
) -> None:
    zero = out.dtype.type(0)
    for i in range(start, stop):
        for j in range(c):
            y = (x[i * c + j] - mean[j]) * scale[j] + bias[j]
            out[i * c + j] = zero if relu and y <= zero else y  # NaN stays


def batchnorm2d(
    x: Array, mean: Array, var: Array, weight: Array, bias: Array, out: Array, eps: float, relu: bool
) -> None:
    """Fill `out` (N, H, W, C) with the normalized `x`, scaled by `weight` and shifted by `bias` (C,)."""
    scale = weight / np.sqrt(var + x.dtype.type(eps))
    rows, size = _chunk_rows(x)
    run_chunks(
        _normalize, rows, size, flat(x), x.shape[3], flat(mean), flat(scale), flat(bias), relu, out.reshape(-1)
    )


@compiled
def _gradient_sums(
    dy: Array,
    x: Array,
    c: int,
    mean: Array,
    scale: Array,
    bias: Array,
    relu: bool,
    size: int,
    partial: Array,
    start: int,
    stop: int,
) -> None:
    sums, products = partial[start // size]
    zero = dy.dtype.type(0)
    sums[:] = 0
    products[:] = 0
    for i in range(start, stop):
        for j in range(c):
            centered = x[i * c + j] - mean[j]
            g = zero if relu and centered * scale[j] + bias[j] <= zero else dy[i * c + j]
            sums[j] += g
            products[j] += g * centered


@compiled
def _gradient_rows(
    dy: Array,
    x: Array,
    c: int,
    mean: Array,
    scale: Array,
    bias: Array,
    relu: bool,
    offset: Array,
    slope: Array,
    dx: Array,
    start: int,
    stop: int,
) -> None:
    zero = dy.dtype.type(0)
    for i in range(start, stop):
        for j in range(c):
            centered = x[i * c + j] - mean[j]
            g = zero if relu and centered * scale[j] + bias[j] <= zero else dy[i * c + j]
            dx[i * c + j] = scale[j] * (g - offset[j] - centered * slope[j])


def batchnorm2d_backward(
    dy: Array,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array,
    bias: Array,
    dx: Array | None,
    dweight: Array,
    dbias: Array,
    eps: float,
    relu: bool,
    training: bool,
) -> None:
    """Fill `dx` (like x), unless it is None, `dweight` and `dbias` (C,) from `dy` (N, H, W, C)."""
    inv_std = 1 / np.sqrt(var + x.dtype.type(eps))
    rows, size = _chunk_rows(x)
    windows = (flat(dy), flat(x), x.shape[3], flat(mean), flat(weight * inv_std), flat(bias), relu)
    partial = np.empty((-(-rows // size), 2, x.shape[3]), dtype=x.dtype)
    run_chunks(_gradient_sums, rows, size, *windows, size, partial)
    sums, products = partial.sum(axis=0, dtype=np.float64)
    dbias[...] = sums
    dweight[...] = products * inv_std
    if dx is None:
        return
    offset, slope = np.zeros_like(dbias), np.zeros_like(dbias)
    if training and rows:
        offset[...] = sums / rows
        slope[...] = products * np.square(inv_std, dtype=np.float64) / rows
    run_chunks(_gradient_rows, rows, size, *windows, flat(offset), flat(slope), dx.reshape(-1))
