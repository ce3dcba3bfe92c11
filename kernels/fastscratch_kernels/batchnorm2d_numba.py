"""Batch normalization in Numba, with ReLU or without: chunks of rows that fit a core's cache, one a thread.

Each chunk has a mean and squared distances, or sums, of its own; they are put together in order, in float64.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import compiled, flat, frozen
from ._parallel import run_chunks

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK_BYTES = 64 << 10
"""Of rows that are gone over twice, for the mean and for the distances from it."""

RUN = 16
"""Rows that are summed in one go. Such sums are then added up: errors grow with the length of a chain."""


def _chunk_rows(x: Array) -> tuple[int, int]:
    """Return the number of rows of `x`, one a pixel, and how many make a chunk."""
    c = x.shape[3]
    return x.size // c, max(1, CHUNK_BYTES // (c * x.itemsize))


def _constants(x: Array, *vectors: Array) -> Array:
    """Return vectors (C,) as the rows of one array: the compiler checks for overlaps once for each array of a loop."""
    return frozen(np.stack(vectors).astype(x.dtype, copy=False))


def _floor(x: Array, relu: bool) -> Array:
    """Return what a normalized number must exceed to count: 0 with ReLU. A flag in the inner loop would be a branch.

    Without ReLU it is NaN: no number is below it or equal, not even -inf.
    """
    return frozen(np.array([0 if relu else np.nan], dtype=x.dtype))


@compiled
def _moments(x: Array, c: int, size: int, partial: Array, start: int, stop: int) -> None:
    run = np.empty(c, dtype=x.dtype)
    channels = np.uint64(c)
    for begin in range(start, stop, size):
        end = min(begin + size, stop)
        own = partial[begin // size]  # mean, then squared distances from it
        own[:] = 0
        for first in range(begin, end, RUN):
            run[:] = 0
            for i in range(np.uint64(first), np.uint64(min(first + RUN, end))):
                for j in range(channels):
                    run[j] += x[i * channels + j]
            own[0] += run
        own[0] /= end - begin
        for first in range(begin, end, RUN):
            run[:] = 0
            for i in range(np.uint64(first), np.uint64(min(first + RUN, end))):
                for j in range(channels):
                    distance = x[i * channels + j] - own[0, j]
                    run[j] += distance * distance
            own[1] += run


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
def _normalize(x: Array, c: int, constants: Array, floor: Array, out: Array, start: int, stop: int) -> None:
    least = floor[0]
    channels = np.uint64(c)
    for i in range(np.uint64(start), np.uint64(stop)):
        for j in range(channels):
            y = (x[i * channels + j] - constants[0, j]) * constants[1, j] + constants[2, j]
            out[i * channels + j] = least if y <= least else y  # NaN stays


def batchnorm2d(
    x: Array, mean: Array, var: Array, weight: Array, bias: Array, out: Array, eps: float, relu: bool
) -> None:
    """Fill `out` (N, H, W, C) with the normalized `x`, scaled by `weight` and shifted by `bias` (C,)."""
    constants = _constants(x, mean, weight / np.sqrt(var + x.dtype.type(eps)), bias)
    rows, size = _chunk_rows(x)
    run_chunks(_normalize, rows, size, flat(x), x.shape[3], constants, _floor(x, relu), out.reshape(-1))


@compiled
def _gradient_sums(
    dy: Array, x: Array, c: int, constants: Array, floor: Array, size: int, partial: Array, start: int, stop: int
) -> None:
    zero, least = dy.dtype.type(0), floor[0]
    run = np.empty((2, c), dtype=x.dtype)
    channels = np.uint64(c)
    for begin in range(start, stop, size):
        end = min(begin + size, stop)
        own = partial[begin // size]  # of dy, and of dy times the centered x
        own[:] = 0
        for first in range(begin, end, RUN):
            run[:] = 0
            for i in range(np.uint64(first), np.uint64(min(first + RUN, end))):
                for j in range(channels):
                    centered = x[i * channels + j] - constants[0, j]
                    upstream = dy[i * channels + j]
                    g = zero if centered * constants[1, j] + constants[2, j] <= least else upstream
                    run[0, j] += g
                    run[1, j] += g * centered
            own += run


@compiled
def _gradient_rows(
    dy: Array, x: Array, c: int, constants: Array, floor: Array, dx: Array, start: int, stop: int
) -> None:
    zero, least = dy.dtype.type(0), floor[0]
    channels = np.uint64(c)
    if len(constants) == 3:  # mean and variance are constants; a slope of zero would make NaN of infinite numbers
        for i in range(np.uint64(start), np.uint64(stop)):
            for j in range(channels):
                upstream = dy[i * channels + j]
                y = (x[i * channels + j] - constants[0, j]) * constants[1, j] + constants[2, j]
                dx[i * channels + j] = constants[1, j] * (zero if y <= least else upstream)
        return
    for i in range(np.uint64(start), np.uint64(stop)):
        for j in range(channels):
            centered = x[i * channels + j] - constants[0, j]
            upstream = dy[i * channels + j]
            g = zero if centered * constants[1, j] + constants[2, j] <= least else upstream
            dx[i * channels + j] = constants[1, j] * (g - constants[3, j] - centered * constants[4, j])


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
    scale, floor = weight * inv_std, _floor(x, relu)
    partial = np.empty((-(-rows // size), 2, x.shape[3]), dtype=x.dtype)
    images = (flat(dy), flat(x), x.shape[3])
    run_chunks(_gradient_sums, rows, size, *images, _constants(x, mean, scale, bias), floor, size, partial)
    sums, products = partial.sum(axis=0, dtype=np.float64)
    dbias[...] = sums
    dweight[...] = products * inv_std
    if dx is None:
        return
    constants = _constants(x, mean, scale, bias)
    if training and rows:
        slope = products * np.square(inv_std, dtype=np.float64) / rows
        constants = _constants(x, mean, scale, bias, sums / rows, slope)
    run_chunks(_gradient_rows, rows, size, *images, constants, floor, dx.reshape(-1))
