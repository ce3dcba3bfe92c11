"""2-D convolution in Numba, forward and backward: matrix products with the patches where they lie, never copied.

    forward     y = patches @ w + b: four output pixels by a panel of filters at a time, all sums in registers
    backward    dx: for each kernel position, dy @ w[position].T is added where that position saw the image
                dw: patches.T @ dy, a few rows of dw a thread, over all pixels

The NumPy version computes the same from a patch matrix. Convolutions with groups go through plain loops
(`_grouped_numba`). Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _im2col_form
from ._geometry_numba import Geometry, crop, geometry, pad
from ._grouped_numba import conv2d_backward_grouped, conv2d_grouped
from ._jit_numba import compiled, flat, leaf
from ._memory import working_memory
from ._parallel import chunk_size, run_chunks
from ._simd_numba import lanes
from ._tiles_numba import (
    DW_PIXELS,
    PIXELS,
    TILE,
    block_size,
    multiply,
    multiply_transposed,
    pack,
    padded_bias,
    pixel_rows,
    round_up,
)
from .im2col_numba import col2im, im2col
from .shapes import Pair

Array = np.ndarray[Any, np.dtype[Any]]


@compiled
def _conv2d_images(
    x: Array,
    image: int,
    pixels: Array,
    pieces: Array,
    length: int,
    panels: Array,
    bias: Array,
    out: Array,
    f: int,
    start: int,
    stop: int,
) -> None:
    block = int(2 * lanes(out))
    k = len(pieces) * length
    whole = f % block == 0
    # Where the last panel has lanes without a filter, a group of pixels goes through `spare` on its way to `out`.
    spare = np.empty(1 if whole else PIXELS * len(bias), dtype=out.dtype)
    target = out if whole else spare
    row = np.uint64(f if whole else len(bias))
    x_rows = np.empty(PIXELS, dtype=np.uint64)
    y_rows = np.empty(PIXELS, dtype=np.uint64)
    last = stop * len(pixels)
    for first in range(start * len(pixels), last, PIXELS):
        count = min(PIXELS, last - first)
        tiled = round_up(count, TILE)
        pixel_rows(pixels, image, first, last, x_rows[:tiled])
        for r in range(tiled):
            p = min(r, count - 1)
            y_rows[r] = np.uint64(first + p if whole else p) * row
        for at in range(0, len(bias), block):
            multiply(
                x, x_rows[:tiled], pieces, length, panels, at * k, bias, at, False, target, y_rows[:tiled], at
            )
        if not whole:
            for p in range(count):
                for c in range(f):
                    out[(first + p) * f + c] = spare[p * len(bias) + c]


@leaf
def _pack_channels(w: Array, positions: int, c: int, f: int, panels: Array) -> None:
    """Write the filters (positions, C, F) as panels of channels, for one position after the other."""
    for position in range(positions):
        pack(w, position * c * f, f, 1, c, f, panels, position * (len(panels) // positions))  # (C, F) -> (F, C)


@compiled
def _conv2d_dx_images(
    dy: Array,
    f: int,
    zero: Array,
    panels: Array,
    dx: Array,
    image: int,
    columns: int,
    pixels: Array,
    positions: Array,
    size: int,
    start: int,
    stop: int,
) -> None:
    """Add the patches of the images of each chunk of `size`: from where one begins depends the order of the sums."""
    block = int(2 * lanes(dx))
    dx[start * image : stop * image] = 0
    row = np.zeros(1, dtype=np.uint64)
    dy_rows = np.empty(PIXELS, dtype=np.uint64)
    dx_rows = np.empty(PIXELS, dtype=np.uint64)
    for begin in range(start, stop, size):
        last = min(begin + size, stop) * len(pixels)
        for first in range(begin * len(pixels), last, PIXELS):
            count = min(PIXELS, last - first)
            tiled = round_up(count, TILE)
            pixel_rows(pixels, image, first, last, dx_rows[:tiled])
            for r in range(tiled):
                dy_rows[r] = np.uint64(first + min(r, count - 1)) * np.uint64(f)
            for position in range(len(positions)):
                to = int(positions[position])
                for at in range(0, columns, block):
                    panel = (position * columns + at) * f
                    multiply(
                        dy, dy_rows[:tiled], row, f, panels, panel, zero, 0, True, dx, dx_rows[:tiled], to + at
                    )


@compiled
def _conv2d_dw_rows(
    x: Array,
    n: int,
    image: int,
    pixels: Array,
    pieces: Array,
    length: int,
    dy: Array,
    columns: int,
    dw: Array,
    start: int,
    stop: int,
) -> None:
    k = len(pieces) * length
    # Rows of dw, four a tile, and where the numbers they belong to lie in a patch
    rows = np.arange(start * TILE, stop * TILE)
    x_offsets = np.empty(len(rows), dtype=np.uint64)
    dw_rows = np.empty(len(rows), dtype=np.uint64)
    for r in range(len(rows)):
        row = min(rows[r], k - 1)
        x_offsets[r] = pieces[row // length] + np.uint64(row % length)
        dw_rows[r] = np.uint64(row) * np.uint64(columns)
    dw[start * TILE * columns : min(stop * TILE, k) * columns] = 0
    x_rows = np.empty(DW_PIXELS, dtype=np.uint64)
    dy_rows = np.empty(DW_PIXELS, dtype=np.uint64)
    last = n * len(pixels)
    for first in range(0, last, DW_PIXELS):
        count = min(DW_PIXELS, last - first)
        pixel_rows(pixels, image, first, last, x_rows[:count])
        for p in range(count):
            dy_rows[p] = np.uint64(first + p) * np.uint64(columns)
        multiply_transposed(x, x_rows[:count], x_offsets, dy, dy_rows[:count], columns, dw, dw_rows)


@compiled
def _sum_images(dy: Array, pixels: int, f: int, sums: Array, start: int, stop: int) -> None:
    for n in range(start, stop):
        for c in range(f):
            sums[n, c] = 0
        for p in range(n * pixels, (n + 1) * pixels):
            for c in range(f):
                sums[n, c] += dy[p * f + c]


def sum_pixels(dy: Array, db: Array) -> None:
    """Fill `db` (F,) with the sums of `dy` (N, OH, OW, F): image by image, then those; rounding errors stay small."""
    n, oh, ow, f = dy.shape
    total = db[None]
    sums = total if n == 1 else np.empty((n, f), dtype=dy.dtype)
    run_chunks(_sum_images, n, chunk_size(n, oh * ow * f), flat(dy), oh * ow, f, sums)
    if sums is not total:
        run_chunks(_sum_images, 1, 1, flat(sums), n, f, total)


def filter_panels(w: Array, bias: Array) -> working_memory:
    """Return a block with memory for the panels of `w` (KH, KW, C, F), of as many columns as `bias` has numbers."""
    return working_memory("panels of filters", w.size // w.shape[3] * bias.size, w.dtype)


def pack_filters(w: Array, panels: Array) -> None:
    """Fill `panels` with `w` (KH, KW, C, F)."""
    f = w.shape[3]
    pack(flat(w), 0, w.size // f, f, f, 1, panels, 0)


def conv2d(
    x: Array,
    w: Array,
    b: Array | None,
    out: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str = "direct",
) -> None:
    """Fill `out` (N, OH, OW, F) with the convolution of `x` (N, H, W, C) by `w` (KH, KW, C // groups, F), plus `b`."""
    if algorithm == "im2col":
        return _im2col_form.conv2d(im2col, conv2d, x, w, b, out, (stride, padding, dilation, groups))
    if groups > 1:
        return conv2d_grouped(x, w, b, out, stride, padding, dilation, groups)
    n, h, width, c = x.shape
    _, oh, ow, f = out.shape
    where = geometry(h, width, c, w.shape[:2], stride, padding, dilation, oh, ow)
    bias = padded_bias(b, f, w.dtype)
    with filter_panels(w, bias) as panels:
        pack_filters(w, panels)
        run_chunks(
            _conv2d_images,
            n,
            chunk_size(n, oh * ow * w.size // 8, most_chunks=16),
            pad(x, padding),
            where.image,
            where.pixels,
            where.pieces,
            where.length,
            flat(panels),
            bias,
            out.reshape(-1),
            f,
        )


def input_gradient(dy: Array, w: Array, dx: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Fill `dx` alone, for one group."""
    n, h, width, c = dx.shape
    _, oh, ow, f = dy.shape
    kh, kw = w.shape[:2]
    columns = round_up(c, block_size(w.dtype))
    where = geometry(h, width, columns, (kh, kw), stride, padding, dilation, oh, ow)
    direct = columns == c and padding == (0, 0)
    padded = dx if direct else np.empty((n, *where.padded, columns), dtype=dx.dtype)
    size = chunk_size(n, oh * ow * w.size // 8, most_chunks=16)
    with working_memory("panels of channels", kh * kw * f * columns, w.dtype) as panels:
        _pack_channels(flat(w), kh * kw, c, f, panels)
        run_chunks(
            _conv2d_dx_images,
            n,
            size,
            flat(dy),
            f,
            flat(np.zeros(block_size(w.dtype), dtype=w.dtype)),
            flat(panels),
            padded.reshape(-1),
            where.image,
            columns,
            where.pixels,
            where.positions,
            size,
        )
    if not direct:
        crop(padded, dx, padding)


def _filter_gradient(dy: Array, where: Geometry, padded_x: Array, dw: Array) -> None:
    n, oh, ow, f = dy.shape
    k, columns = dw.size // f, round_up(f, block_size(dw.dtype))
    if columns != f:  # the last vector of a pixel reaches past its filters
        wide = np.zeros((n, oh, ow, columns), dtype=dy.dtype)
        wide[..., :f] = dy
        dy = wide
    sums = dw if columns == f else np.empty((*dw.shape[:3], columns), dtype=dw.dtype)
    tiles = round_up(k, TILE) // TILE
    run_chunks(
        _conv2d_dw_rows,
        tiles,
        chunk_size(tiles, TILE * n * oh * ow * f // 8, most_chunks=16),
        padded_x,
        n,
        where.image,
        where.pixels,
        where.pieces,
        where.length,
        flat(dy),
        columns,
        sums.reshape(-1),
    )
    if sums is not dw:
        dw[...] = sums[..., :f]


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    dx: Array | None,
    dw: Array,
    db: Array | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str = "direct",
) -> None:
    """Fill `dx` (like x), `dw` (like w) and `db` (F,) from `dy` (N, OH, OW, F); those that are None are left out."""
    if algorithm == "im2col":
        how = (stride, padding, dilation, groups)
        return _im2col_form.conv2d_backward(im2col, col2im, conv2d_backward, dy, x, w, dx, dw, db, how)
    if db is not None:
        sum_pixels(dy, db)
    if groups > 1:
        return conv2d_backward_grouped(dy, x, w, dx, dw, stride, padding, dilation, groups)
    _, h, width, c = x.shape
    _, oh, ow, _ = dy.shape
    where = geometry(h, width, c, w.shape[:2], stride, padding, dilation, oh, ow)
    _filter_gradient(dy, where, pad(x, padding), dw)
    if dx is not None:
        input_gradient(dy, w, dx, stride, padding, dilation)
