"""The arithmetic of the Numba convolutions: small matrix products whose sums stay in registers.

The patch matrix is never written ("implicit im2col"). In (N, H, W, C) one kernel row of a patch is contiguous
already, so a patch is a list of *pieces*: `pieces[i]` is the distance from the patch's first number to its i-th
piece, and `length` numbers follow there. The right-hand side is packed in *panels* of `block` columns, two vectors.

The tile is 4 rows x 2 vectors: eight sums that do not wait for each other keep both multipliers of a core busy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import register_jitable

from ._jit_numba import flat, leaf
from ._simd_numba import VECTOR_BYTES, Offset, add, fill, lanes, load, madd, store

Array = np.ndarray[Any, np.dtype[Any]]

_jitable: Callable[[Any], Any] = register_jitable  # as it is in Python, compiled in what is compiled

TILE = 4
"""Rows of a tile."""

CHAIN = np.uint64(64)
"""Products that are summed in one go. Such sums are then added up: errors grow with the length of a chain."""

PIXELS = 128
"""Output pixels that go through all panels together: what they read stays in the first-level cache."""

DW_PIXELS = 32
"""The same for the gradient of the filters. Fewer: there the numbers of one channel lie a pixel apart, and with 128
channels no more than 64 of them find a place in the first-level cache."""


@_jitable
def round_up(size: int, step: int) -> int:
    """Return the first multiple of `step` that is not below `size`."""
    return (size + step - 1) // step * step


def block_size(dtype: np.dtype[Any]) -> int:
    """Return the number of columns of a panel."""
    return 2 * VECTOR_BYTES // dtype.itemsize


def padded_bias(b: Array | None, f: int, dtype: np.dtype[Any]) -> Array:
    """Return `b` (F,), or zeros where there is none, with zeros up to a whole panel."""
    bias = np.zeros(round_up(f, block_size(dtype)), dtype=dtype)
    if b is not None:
        bias[:f] = b
    return flat(bias)


@leaf
def pack(
    b: Array, first: int, rows: int, row_step: int, columns: int, column_step: int, panels: Array, at: int
) -> None:
    """Write a matrix into `panels` (flat) from place `at` on: panel by panel, row by row; zeros past the last column.

    Number (r, c) of the matrix is ``b[first + r * row_step + c * column_step]``.
    """
    block = lanes(panels) + lanes(panels)
    step, to = np.uint64(column_step), np.uint64(at)
    for panel in range(np.uint64(0), np.uint64(columns), block):
        count: Offset = min(block, np.uint64(columns) - panel)
        for r in range(np.uint64(rows)):
            source = np.uint64(first) + r * np.uint64(row_step) + panel * step
            if step == 1:
                for c in range(count):
                    panels[to + c] = b[source + c]
            else:
                for c in range(count):
                    panels[to + c] = b[source + c * step]
            for c in range(count, block):
                panels[to + c] = 0
            to += block


@leaf
def multiply(
    a: Array,
    a_rows: Array,
    pieces: Array,
    length: int,
    panels: Array,
    panel: int,
    bias: Array,
    bias_at: int,
    accumulate: bool,
    out: Array,
    out_rows: Array,
    out_at: int,
) -> None:
    """Multiply rows of `a` by one panel; to `out` goes the product, plus `bias`, or plus what is there already.

    Row r begins at ``a_rows[r]`` of `a`; its product goes to ``out_rows[r] + out_at`` of `out`. There is a multiple
    of four rows; the last one may be repeated to that end: a tile reads all of its places before it writes one, so
    the copies agree.
    """
    width = lanes(out)
    steps = np.uint64(length)
    at = np.uint64(out_at)
    bias0 = load(bias, np.uint64(bias_at))
    bias1 = load(bias, np.uint64(bias_at) + width)
    for r in range(0, len(a_rows), TILE):
        y0, y1 = out_rows[r] + at, out_rows[r + 1] + at
        y2, y3 = out_rows[r + 2] + at, out_rows[r + 3] + at
        zero = fill(out, 0)
        if accumulate:
            t00, t01 = load(out, y0), load(out, y0 + width)
            t10, t11 = load(out, y1), load(out, y1 + width)
            t20, t21 = load(out, y2), load(out, y2 + width)
            t30, t31 = load(out, y3), load(out, y3 + width)
        else:
            t00, t01 = bias0, bias1
            t10, t11 = bias0, bias1
            t20, t21 = bias0, bias1
            t30, t31 = bias0, bias1
        w = np.uint64(panel)
        for i in range(len(pieces)):
            x0, x1 = a_rows[r] + pieces[i], a_rows[r + 1] + pieces[i]
            x2, x3 = a_rows[r + 2] + pieces[i], a_rows[r + 3] + pieces[i]
            part = np.uint64(0)
            while part < steps:
                s00, s01, s10, s11, s20, s21, s30, s31 = zero, zero, zero, zero, zero, zero, zero, zero
                for k in range(part, min(part + CHAIN, steps)):
                    w0, w1 = load(panels, w), load(panels, w + width)
                    s00, s01 = madd(s00, a[x0 + k], w0), madd(s01, a[x0 + k], w1)
                    s10, s11 = madd(s10, a[x1 + k], w0), madd(s11, a[x1 + k], w1)
                    s20, s21 = madd(s20, a[x2 + k], w0), madd(s21, a[x2 + k], w1)
                    s30, s31 = madd(s30, a[x3 + k], w0), madd(s31, a[x3 + k], w1)
                    w += width + width
                part += CHAIN
                t00, t01, t10, t11 = add(t00, s00), add(t01, s01), add(t10, s10), add(t11, s11)
                t20, t21, t30, t31 = add(t20, s20), add(t21, s21), add(t30, s30), add(t31, s31)
        store(out, y0, t00)
        store(out, y0 + width, t01)
        store(out, y1, t10)
        store(out, y1 + width, t11)
        store(out, y2, t20)
        store(out, y2 + width, t21)
        store(out, y3, t30)
        store(out, y3 + width, t31)


@leaf
def multiply_transposed(
    a: Array, a_pixels: Array, a_rows: Array, b: Array, b_pixels: Array, columns: int, out: Array, out_rows: Array
) -> None:
    """Add to `out` the products of columns of `a` by columns of `b`, summed over pixels.

    ``out[out_rows[r] + c] += sum over p of a[a_pixels[p] + a_rows[r]] * b[b_pixels[p] + c]``, for whole panels of
    columns c, and a multiple of four rows r, of which the last may be repeated.
    """
    width = lanes(out)
    for r in range(0, len(a_rows), TILE):
        x0, x1, x2, x3 = a_rows[r], a_rows[r + 1], a_rows[r + 2], a_rows[r + 3]
        for at in range(np.uint64(0), np.uint64(columns), width + width):
            y0, y1, y2, y3 = out_rows[r] + at, out_rows[r + 1] + at, out_rows[r + 2] + at, out_rows[r + 3] + at
            t00, t01 = load(out, y0), load(out, y0 + width)
            t10, t11 = load(out, y1), load(out, y1 + width)
            t20, t21 = load(out, y2), load(out, y2 + width)
            t30, t31 = load(out, y3), load(out, y3 + width)
            zero = fill(out, 0)
            s00, s01, s10, s11, s20, s21, s30, s31 = zero, zero, zero, zero, zero, zero, zero, zero
            for p in range(len(a_pixels)):
                x = a_pixels[p]
                v = b_pixels[p] + at
                v0, v1 = load(b, v), load(b, v + width)
                s00, s01 = madd(s00, a[x + x0], v0), madd(s01, a[x + x0], v1)
                s10, s11 = madd(s10, a[x + x1], v0), madd(s11, a[x + x1], v1)
                s20, s21 = madd(s20, a[x + x2], v0), madd(s21, a[x + x2], v1)
                s30, s31 = madd(s30, a[x + x3], v0), madd(s31, a[x + x3], v1)
            store(out, y0, add(t00, s00))
            store(out, y0 + width, add(t01, s01))
            store(out, y1, add(t10, s10))
            store(out, y1 + width, add(t11, s11))
            store(out, y2, add(t20, s20))
            store(out, y2 + width, add(t21, s21))
            store(out, y3, add(t30, s30))
            store(out, y3 + width, add(t31, s31))


@leaf
def pixel_rows(pixels: Array, image: int, first: int, stop: int, rows: Array) -> None:
    """Fill `rows` with the offsets of pixels `first` to `stop`, counted through all images; past `stop` the last again.

    Parameters
    ----------
    pixels : ndarray of uint64
        The offset of each pixel of one image.
    image : int
        The distance from one image to the next.
    """
    for r in range(len(rows)):
        p = min(first + r, stop - 1)
        rows[r] = pixels[p % len(pixels)] + np.uint64(image) * np.uint64(p // len(pixels))
