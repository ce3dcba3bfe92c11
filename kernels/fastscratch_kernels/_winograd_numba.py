"""Winograd's F(2 x 2, 5 x 5) under a 2 x 2 max-pooling, in Numba: a window's four outputs from 36 products, not 100.

A 5 x 5 convolution of a 6 x 6 tile has 2 x 2 outputs, which here are one pooling window. With the transforms below,
in each direction of the tile,

    outputs = A.T [ (G w G.T) * (B.T x B) ] A

where * is elementwise; summed over channels it is one matrix product for each of the 36 positions.

Rounding errors are about four times those of the plain sum, for the transforms add and subtract numbers larger than
the result; an infinity in a tile makes its outputs NaN.

Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016; interpolation points 0, 1, -1, 2, -2, inf.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import compiled, flat, leaf
from ._memory import working_memory
from ._parallel import chunk_size, run_chunks
from ._pooled_numba import pool_panel, write_pooled
from ._simd_numba import Offset, add, fill, lanes, load, madd, store, subtract
from ._tiles_numba import TILE, block_size, multiply, padded_bias, round_up

Array = np.ndarray[Any, np.dtype[Any]]

KERNEL = 5
SIZE = 6
POSITIONS = SIZE * SIZE

GROUP = 24
"""Tiles that are transformed, multiplied and pooled together: their 36 matrices stay in the second-level cache."""


@leaf
def _transform_filter(source: Array, at: Offset, step: Offset, out: Array, to: Offset, out_step: Offset) -> None:
    """Write ``G w`` for one column of five filter rows."""
    w0, w1, w2 = load(source, at), load(source, at + step), load(source, at + step + step)
    w3 = load(source, at + step + step + step)
    w4 = load(source, at + step + step + step + step)
    zero = fill(source, 0)
    even, odd = add(add(w0, w2), w4), add(w1, w3)
    wide_even = madd(madd(w0, 4, w2), 16, w4)
    wide_odd = madd(madd(zero, 2, w1), 8, w3)
    store(out, to, madd(zero, 1 / 4, w0))
    to += out_step
    store(out, to, madd(zero, -1 / 6, add(even, odd)))
    to += out_step
    store(out, to, madd(zero, -1 / 6, subtract(even, odd)))
    to += out_step
    store(out, to, madd(zero, 1 / 24, add(wide_even, wide_odd)))
    to += out_step
    store(out, to, madd(zero, 1 / 24, subtract(wide_even, wide_odd)))
    to += out_step
    store(out, to, w4)


@leaf
def _transform_input(source: Array, at: Offset, step: Offset, out: Array, to: Offset, out_step: Offset) -> None:
    """Write ``B.T x`` for one column of six pixels."""
    x0, x1, x2 = load(source, at), load(source, at + step), load(source, at + step + step)
    at += step + step + step
    x3, x4, x5 = load(source, at), load(source, at + step), load(source, at + step + step)
    even, odd = madd(x4, -4, x2), madd(x3, -4, x1)
    near, far = subtract(x4, x2), subtract(x3, x1)
    store(out, to, madd(madd(x4, -5, x2), 4, x0))
    to += out_step
    store(out, to, add(even, odd))
    to += out_step
    store(out, to, subtract(even, odd))
    to += out_step
    store(out, to, madd(near, 2, far))
    to += out_step
    store(out, to, madd(near, -2, far))
    to += out_step
    store(out, to, madd(madd(x5, -5, x3), 4, x1))


@leaf
def _transform_output(
    source: Array, at: Offset, step: Offset, bias: Array, bias_at: Offset, out: Array, to: Offset, out_step: Offset
) -> None:
    """Write ``A.T m`` for one column of six products, plus a bias."""
    b = load(bias, bias_at)
    m0, m1, m2 = load(source, at), load(source, at + step), load(source, at + step + step)
    at += step + step + step
    m3, m4, m5 = load(source, at), load(source, at + step), load(source, at + step + step)
    store(out, to, add(b, add(m0, add(add(m1, m2), add(m3, m4)))))
    store(out, to + out_step, add(b, add(m5, madd(subtract(m1, m2), 2, subtract(m3, m4)))))


@compiled
def _transform_filters(filters: Array, c: int, columns: int, out: Array, start: int, stop: int) -> None:
    """Fill `out` (panels, 36, C, block) from `filters` (25, C, columns), a chunk of panels."""
    width = lanes(out)
    five, six, two = np.uint64(KERNEL), np.uint64(SIZE), np.uint64(2)
    tap = np.uint64(c) * np.uint64(columns)  # from one of the 25 to the next
    position = np.uint64(c) * (width + width)  # from one of the 36 to the next
    size = five * six * width
    rows = np.empty(2 * int(size), dtype=out.dtype)
    for panel in range(np.uint64(start), np.uint64(stop)):
        for channel in range(np.uint64(c)):
            source = panel * (width + width) + channel * np.uint64(columns)
            to = panel * six * six * position + channel * (width + width)
            for j in range(five):  # both halves of a tap at once: taps that lie 4096 bytes apart push each other out
                for half in range(two):
                    column = half * size + j * width
                    _transform_filter(filters, source + j * tap + half * width, five * tap, rows, column, five * width)
            for i in range(six):
                for half in range(two):
                    row = half * size + i * five * width
                    _transform_filter(rows, row, width, out, to + half * width + i * six * position, position)


@compiled
def _winograd_images(
    x: Array,
    image: int,
    row_step: int,
    c: int,
    corners: Array,
    panels: Array,
    bias: Array,
    zero: Array,
    dead: int,
    out: Array,
    argmax: Array,
    f: int,
    start: int,
    stop: int,
) -> None:
    width = lanes(out)
    columns, block = len(bias), int(2 * width)
    six = np.uint64(SIZE)
    down, right = np.uint64(row_step), np.uint64(c)
    # Distances between positions, off multiples of 4096 bytes: the cache would hold few of those at a time.
    v_step, m_step = np.uint64(GROUP * c + 16), np.uint64(GROUP * block + 16)
    v = np.empty(POSITIONS * int(v_step), dtype=out.dtype)
    m = np.empty(POSITIONS * int(m_step), dtype=out.dtype)
    rows = np.empty(POSITIONS * int(width), dtype=out.dtype)
    y = np.empty(GROUP * 4 * block, dtype=out.dtype)
    largest = np.empty(GROUP * columns, dtype=out.dtype)
    winners = np.empty(GROUP * columns, dtype=out.dtype)
    v_rows = np.empty(GROUP, dtype=np.uint64)
    m_rows = np.empty(GROUP, dtype=np.uint64)
    pieces = np.zeros(1, dtype=np.uint64)
    last = stop * len(corners)
    for first in range(start * len(corners), last, GROUP):
        count = min(GROUP, last - first)
        tiled = round_up(count, TILE)
        for t in range(tiled):
            v_rows[t] = np.uint64(min(t, count - 1) * c)
            m_rows[t] = np.uint64(min(t, count - 1) * block)
        for t in range(count):
            corner = corners[(first + t) % len(corners)] + np.uint64(image) * np.uint64((first + t) // len(corners))
            channel = np.uint64(0)
            while channel < right:
                for j in range(six):
                    _transform_input(x, corner + channel + j * right, down, rows, j * width, six * width)
                for i in range(six):
                    _transform_input(rows, i * six * width, width, v, v_rows[t] + channel + i * six * v_step, v_step)
                channel += width
        for at in range(0, columns, block):
            for position in range(POSITIONS):
                pieces[0] = np.uint64(position) * v_step
                panel = (at // block * POSITIONS + position) * c * block
                to = position * int(m_step)
                multiply(v, v_rows[:tiled], pieces, c, panels, panel, zero, 0, False, m, m_rows[:tiled], to)
            for t in range(count):
                for half in range(np.uint64(2)):
                    here = m_rows[t] + half * width
                    for j in range(six):
                        m_at, none = here + j * m_step, np.uint64(0)
                        _transform_output(m, m_at, six * m_step, zero, none, rows, j * width, six * width)
                    for i in range(np.uint64(2)):
                        to_y = (np.uint64(4 * t) + np.uint64(2) * i) * (width + width) + half * width
                        b = np.uint64(at) + half * width
                        _transform_output(rows, i * six * width, width, bias, b, y, to_y, width + width)
            pool_panel(y, count, 4, dead, largest, winners, columns, at)
        write_pooled(largest, winners, count, columns, f, out, argmax, first * f)


def winograd_pooled(
    x: Array,
    image: int,
    row_step: int,
    c: int,
    corners: Array,
    w: Array,
    b: Array | None,
    dead: int,
    out: Array,
    argmax: Array,
) -> None:
    """Fill `out` and `argmax` (N, PH, PW, F) as the fused block does, for 5 x 5 filters and 2 x 2 windows.

    Parameters
    ----------
    x : ndarray
        Padded images, flat, with a vector to spare behind them where C is no multiple of one.
    image, row_step, c : int
        The numbers of one image, of one row of pixels, and C.
    corners : ndarray of uint64
        The offset of each pooling window's tile.
    w, b : ndarray
        The filters (5, 5, C, F), and F numbers or None.
    """
    n, _, _, f = out.shape
    bias = padded_bias(b, f, x.dtype)
    columns, block = bias.size, block_size(x.dtype)
    if f < columns:
        w = np.pad(w, ((0, 0), (0, 0), (0, 0), (0, columns - f)))
    count = columns // block
    with working_memory("transformed filters", count * POSITIONS * c * block, x.dtype) as transformed:
        run_chunks(_transform_filters, count, chunk_size(count, 100 * c * block), flat(w), c, columns, transformed)
        run_chunks(
            _winograd_images,
            n,
            chunk_size(n, corners.size * POSITIONS * c * f // 8, most_chunks=16),
            x,
            image,
            row_step,
            c,
            corners,
            flat(transformed),
            bias,
            flat(np.zeros(block, dtype=x.dtype)),
            dead,
            out.reshape(-1),
            argmax.reshape(-1),
            f,
        )
