"""Convolution, ReLU and max-pooling as one block, in Numba: nothing of the convolution's size is written or read.

    forward     outputs of the convolution that a pooling window uses, window by window, in a buffer that stays in the
                cache; their largest and its place go out. 5 x 5 filters under a 2 x 2 window: `_winograd_numba`
    backward    sums over the gradients that are not zero: at most one pixel of a window has one (`_sparse_numba`)

That is for pooling windows that lie side by side. Others, and convolutions with groups, are the composition of the
plain ops, as in the NumPy version. Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from . import conv2d_numba, maxpool2d_numba
from ._geometry_numba import Geometry, crop, geometry, pad
from ._jit_numba import compiled, flat, frozen
from ._memory import working_memory
from ._parallel import chunk_size, run_chunks
from ._pooled_numba import pool_panel, write_pooled
from ._simd_numba import VECTOR_BYTES, lanes
from ._sparse_numba import add_lists, copy_patch, lists_by_filter, lists_by_pixel, transpose
from ._tiles_numba import PIXELS, TILE, multiply, padded_bias, round_up
from ._winograd_numba import winograd_pooled
from .conv2d_relu_maxpool2d_numpy import compose
from .shapes import Pair, conv2d_shape, dead_position, lie_side_by_side

Array = np.ndarray[Any, np.dtype[Any]]

FILTERS = 8
"""Filters whose gradient one thread sums up at a time."""

WINDOWS = 32
"""Pooled pixels whose gradients are sorted and summed at a time, in the gradient of the input."""


@functools.lru_cache(maxsize=256)
def _window_pixels(row: int, column: int, pool: Pair, pooled: Pair) -> Array:
    """Return the offsets of the convolution's pixels, window by window, place by place: (PH * PW * places,).

    `row` and `column` are the distances from one of its pixels to the one below and to the one on the right.
    """
    i = np.arange(pooled[0])[:, None, None, None] * pool[0] + np.arange(pool[0])[:, None]  # (PH, 1, KH, 1)
    j = np.arange(pooled[1])[:, None, None] * pool[1] + np.arange(pool[1])  # (PW, 1, KW)
    return flat((i * row + j * column).astype(np.uint64))


@compiled
def _forward_images(
    x: Array,
    image: int,
    pixels: Array,
    places: int,
    pieces: Array,
    length: int,
    panels: Array,
    bias: Array,
    dead: int,
    out: Array,
    argmax: Array,
    f: int,
    start: int,
    stop: int,
) -> None:
    width = lanes(out)
    columns, block = len(bias), int(2 * width)
    k = len(pieces) * length
    windows = len(pixels) // places
    group = max(1, PIXELS // places)  # windows that go through all panels together
    x_rows = np.empty(round_up(group * places, TILE), dtype=np.uint64)
    y_rows = np.arange(len(x_rows)).astype(np.uint64) * (width + width)
    y = np.empty(len(x_rows) * block, dtype=out.dtype)
    largest = np.empty(group * columns, dtype=out.dtype)
    winners = np.empty(group * columns, dtype=out.dtype)  # places, as floats: they are chosen in the same vectors
    for n in range(start, stop):
        for first in range(0, windows, group):
            count = min(group, windows - first)
            tiled = round_up(count * places, TILE)
            for r in range(tiled):
                p = first * places + min(r, count * places - 1)
                x_rows[r] = pixels[p] + np.uint64(n) * np.uint64(image)
            for at in range(0, columns, block):
                multiply(x, x_rows[:tiled], pieces, length, panels, at * k, bias, at, False, y, y_rows[:tiled], 0)
                pool_panel(y, count, places, dead, largest, winners, columns, at)
            write_pooled(largest, winners, count, columns, f, out, argmax, (n * windows + first) * f)


@compiled
def _dw_filters(
    dy: Array,
    argmax: Array,
    n: int,
    f: int,
    x: Array,
    image: int,
    pixels: Array,
    places: int,
    pieces: Array,
    length: int,
    rows: Array,
    packed: Array,
    dw: Array,
    db: Array,
    start: int,
    stop: int,
) -> None:
    """Fill the columns of FILTERS filters a chunk of `dw` (K, F), straight from the images."""
    windows = len(pixels) // places
    k = len(pieces) * length
    for first in range(start * FILTERS, min(stop * FILTERS, f), FILTERS):
        filters = min(FILTERS, f - first)
        sums = np.zeros(filters * k, dtype=dw.dtype)  # dw.T
        offsets = np.empty(filters * windows + 1, dtype=np.uint64)
        scalars = np.empty(filters * windows + 1, dtype=dw.dtype)
        counts = np.empty(filters, dtype=np.uint64)
        db[first : first + filters] = 0
        for i in range(n):
            lists_by_filter(
                dy, argmax, i * windows, f, first, places, pixels, offsets, scalars, counts, windows
            )
            for slot in range(filters):
                total = dw.dtype.type(0)
                for e in range(slot * windows, slot * windows + np.int64(counts[slot])):
                    total += scalars[e]
                db[first + slot] += total
            here = x[i * image :]
            add_lists(here, pieces, offsets, scalars, counts, windows, sums, rows, packed, length)
        transpose(sums, filters, k, k, dw[first:], f)


@compiled
def _dw_images(
    dy: Array,
    argmax: Array,
    f: int,
    x: Array,
    image: int,
    pixels: Array,
    places: int,
    pieces: Array,
    length: int,
    row: int,
    rows: Array,
    whole: Array,
    size: int,
    sums: Array,
    start: int,
    stop: int,
) -> None:
    """Add up ``dw.T`` (F, row) of each chunk of `size` images in its place of `sums`, from patches written out.

    For short kernel rows, such as those of three channels: a patch of `row` numbers, whole vectors, is one piece. The
    number behind each patch is 1, so that the column behind ``dw.T`` becomes ``db``.
    """
    windows = len(pixels) // places
    group = max(1, 6144 // (row * places))  # windows whose patches lie in the first-level cache
    patches = np.zeros(group * places * row + row, dtype=sums.dtype)
    here = np.empty(group * places, dtype=np.uint64)
    offsets = np.empty(f * group + 1, dtype=np.uint64)
    scalars = np.empty(f * group + 1, dtype=sums.dtype)
    counts = np.empty(f, dtype=np.uint64)
    for n in range(start, stop):
        total = sums[n // size]
        if n % size == 0:
            total[:] = 0
        for first in range(0, windows, group):
            count = min(group, windows - first)
            for p in range(count * places):
                here[p] = np.uint64(p * row)
                pixel = np.uint64(n) * np.uint64(image) + pixels[first * places + p]
                copy_patch(x, pixel, pieces, length, patches, here[p])
            lists_by_filter(
                dy, argmax, n * windows + first, f, 0, places, here[: count * places], offsets, scalars, counts, group
            )
            add_lists(patches, whole, offsets, scalars, counts, group, total, rows, whole, row)


@compiled
def _dx_images(
    dy: Array,
    argmax: Array,
    f: int,
    wt: Array,
    k: int,
    dx: Array,
    image: int,
    pixels: Array,
    places: int,
    pieces: Array,
    length: int,
    packed: Array,
    start: int,
    stop: int,
) -> None:
    windows = len(pixels) // places
    offsets = np.empty(WINDOWS * places * f, dtype=np.uint64)
    scalars = np.empty(WINDOWS * places * f, dtype=dx.dtype)
    counts = np.empty(WINDOWS * places, dtype=np.uint64)
    for n in range(start, stop):
        here = dx[n * image : (n + 1) * image]
        here[:] = 0
        for first in range(0, windows, WINDOWS):
            lists = min(WINDOWS, windows - first) * places
            lists_by_pixel(dy, argmax, n * windows + first, f, places, k, offsets, scalars, counts[:lists])
            rows = pixels[first * places : first * places + lists]
            add_lists(wt, packed, offsets, scalars, counts[:lists], f, here, rows, pieces, length)


def _fits(groups: int, pool_kernel: Pair, pool_stride: Pair, pool_padding: Pair, argmax: Array) -> bool:
    """Return whether this module's own loops compute the block; else it is the composition of the plain ops."""
    return groups == 1 and lie_side_by_side(pool_kernel, pool_stride, pool_padding) and argmax.dtype == np.uint8


@functools.lru_cache(maxsize=256)
def _steps(count: int, step: int) -> Array:
    """Return the offsets of `count` things, `step` numbers each, that lie one behind the other."""
    return frozen(np.arange(count, dtype=np.uint64) * np.uint64(step))


@functools.lru_cache(maxsize=256)
def _where(
    image_shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    pool_kernel: Pair,
    pooled: Pair,
) -> tuple[Geometry, Array]:
    """Return where the windows of the convolution lie in an image, and those under each pooling window."""
    h, w, c = image_shape
    where = geometry(h, w, c, kernel, stride, padding, dilation, 1, 1)
    row, column = stride[0] * where.padded[1] * c, stride[1] * c
    return where, _window_pixels(row, column, pool_kernel, pooled)


def conv2d_relu_maxpool2d(
    x: Array,
    w: Array,
    b: Array | None,
    out: Array,
    argmax: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    pool_kernel: Pair,
    pool_stride: Pair,
    pool_padding: Pair,
    algorithm: str = "direct",
) -> None:
    """Fill `out` (N, PH, PW, F) with maxpool(relu(conv(x, w) + b)), `argmax` with each number's place or "dead"."""
    if algorithm == "im2col" or not _fits(groups, pool_kernel, pool_stride, pool_padding, argmax):
        windows, pool = (stride, padding, dilation, groups), (pool_kernel, pool_stride, pool_padding)
        compose(conv2d_numba.conv2d, maxpool2d_numba.maxpool2d, x, w, b, out, argmax, windows, pool, algorithm)
        return
    dead = dead_position(argmax.dtype)
    n, ph, pw, f = out.shape
    where, pixels = _where(x.shape[1:], w.shape[:2], stride, padding, dilation, pool_kernel, (ph, pw))
    if algorithm == "F(2x2,5x5)":
        c = x.shape[3]
        corners = frozen(pixels[::4].copy())
        vector = VECTOR_BYTES // x.itemsize
        images = pad(x, padding, spare=vector if c % vector else 0)  # a pixel's channels are read in whole vectors
        winograd_pooled(images, where.image, where.padded[1] * c, c, corners, w, b, dead, out, argmax)
        return
    bias = padded_bias(b, f, w.dtype)
    with conv2d_numba.filter_panels(w, bias) as panels:
        conv2d_numba.pack_filters(w, panels)
        run_chunks(
            _forward_images,
            n,
            chunk_size(n, len(pixels) * w.size // 8, most_chunks=16),
            pad(x, padding),
            where.image,
            pixels,
            pool_kernel[0] * pool_kernel[1],
            where.pieces,
            where.length,
            flat(panels),
            bias,
            dead,
            out.reshape(-1),
            argmax.reshape(-1),
            f,
        )


def conv2d_relu_maxpool2d_backward(
    dy: Array,
    argmax: Array,
    x: Array,
    w: Array,
    dx: Array | None,
    dw: Array,
    db: Array | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    pool_kernel: Pair,
    pool_stride: Pair,
    pool_padding: Pair,
) -> None:
    """Fill `dx` (like x), `dw` (like w) and `db` (F,) from `dy` and `argmax` (N, PH, PW, F); None is left out."""
    n, ph, pw, f = dy.shape
    where, pixels = _where(x.shape[1:], w.shape[:2], stride, padding, dilation, pool_kernel, (ph, pw))
    whole_vectors = where.length % (VECTOR_BYTES // x.itemsize) == 0
    fits = _fits(groups, pool_kernel, pool_stride, pool_padding, argmax)
    if not fits or (dx is not None and not whole_vectors):
        dconv = np.empty(conv2d_shape(x.shape, w.shape, stride, padding, dilation, groups), dtype=x.dtype)
        maxpool2d_numba.maxpool2d_backward(dy, argmax, dconv, pool_kernel, pool_stride, pool_padding)
        if not fits:
            conv2d_numba.conv2d_backward(dconv, x, w, dx, dw, db, stride, padding, dilation, groups)
            return
        if dx is not None:
            conv2d_numba.input_gradient(dconv, w, dx, stride, padding, dilation)
    places = pool_kernel[0] * pool_kernel[1]
    gradients = (flat(dy), flat(argmax))
    offsets = (where.image, pixels, places, where.pieces, where.length)
    db = np.empty(f, dtype=dw.dtype) if db is None else db
    if whole_vectors:
        _filter_gradient(gradients, n, pad(x, padding), offsets, dw, db)
    else:
        _filter_gradient_from_patches(gradients, n, pad(x, padding), offsets, dw, db)
    if dx is not None and whole_vectors:
        _input_gradient(gradients, w, offsets, where.padded, padding, dx)


Offsets = tuple[int, Array, int, Array, int]  # image, pixels, places, pieces, length: for the compiled functions


def _filter_gradient(
    gradients: tuple[Array, Array], n: int, x: Array, offsets: Offsets, dw: Array, db: Array
) -> None:
    f = db.size
    k = dw.size // f
    groups = -(-f // FILTERS)
    packed = _steps(len(offsets[3]), offsets[4])
    cost = gradients[0].size // groups * k // 8
    run_chunks(
        _dw_filters,
        groups,
        chunk_size(groups, cost, most_chunks=32),
        *gradients,
        n,
        f,
        x,
        *offsets,
        _steps(FILTERS, k),
        packed,
        dw.reshape(-1),
        db,
    )


def _filter_gradient_from_patches(
    gradients: tuple[Array, Array], n: int, x: Array, offsets: Offsets, dw: Array, db: Array
) -> None:
    f = db.size
    k = dw.size // f
    row = round_up(k + 1, 4 * VECTOR_BYTES // dw.itemsize)
    size = chunk_size(n, gradients[0].size // max(1, n) * k // 4, most_chunks=16)
    chunks = -(-n // size)
    sums = np.empty((chunks, f * row), dtype=dw.dtype)
    run_chunks(_dw_images, n, size, *gradients, f, x, *offsets, row, _steps(f, row), _steps(1, 0), size, sums)
    total = np.sum(sums, axis=0).reshape(f, row)
    dw.reshape(k, f)[...] = total[:, :k].T
    db[...] = total[:, k]


def _input_gradient(
    gradients: tuple[Array, Array], w: Array, offsets: Offsets, padded_size: Pair, padding: Pair, dx: Array
) -> None:
    n = dx.shape[0]
    f = w.shape[3]
    k = w.size // f
    padded = dx if padding == (0, 0) else np.empty((n, *padded_size, dx.shape[3]), dtype=dx.dtype)
    with working_memory("transposed filters", w.size, w.dtype) as wt:
        transpose(flat(w), k, f, f, wt, k)
        run_chunks(
            _dx_images,
            n,
            chunk_size(n, gradients[0].size // max(1, n) * k // 8, most_chunks=16),
            *gradients,
            f,
            flat(wt),
            k,
            padded.reshape(-1),
            *offsets,
            _steps(len(offsets[3]), offsets[4]),
        )
    if padded is not dx:
        crop(padded, dx, padding)
