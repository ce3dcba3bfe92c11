"""Where the windows of a convolution lie in memory, as offsets that its Numba kernels add up."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ._jit_numba import compiled, flat, frozen
from ._parallel import chunk_size, run_chunks
from .shapes import Pair

Array = np.ndarray[Any, np.dtype[Any]]


class Geometry(NamedTuple):
    """Offsets in one padded image (H, W, C) of the windows of a convolution, all read-only uint64."""

    padded: Pair  # H and W with the border
    image: int  # the numbers of one image
    pixels: Array  # (OH * OW,) the first number of each output pixel's window
    pieces: Array  # the pieces of a window that are contiguous: kernel rows, or pixels where a row has gaps
    length: int  # the numbers of one piece
    positions: Array  # (KH * KW,) the pixels of a window


@functools.lru_cache(maxsize=256)
def geometry(
    h: int, w: int, c: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, oh: int, ow: int
) -> Geometry:
    """Return the offsets for one shape of images and windows."""
    hp, wp = h + 2 * padding[0], w + 2 * padding[1]
    rows, columns = np.arange(oh) * stride[0], np.arange(ow) * stride[1]
    kernel_rows, kernel_columns = np.arange(kernel[0]) * dilation[0], np.arange(kernel[1]) * dilation[1]

    def offsets(down: Array, right: Array) -> Array:
        return flat(((down[:, None] * wp + right) * c).astype(np.uint64))

    positions = offsets(kernel_rows, kernel_columns)
    whole_rows = dilation[1] == 1
    return Geometry(
        (hp, wp),
        hp * wp * c,
        offsets(rows, columns),
        offsets(kernel_rows, np.zeros(1, dtype=np.int64)) if whole_rows else positions,
        kernel[1] * c if whole_rows else c,
        positions,
    )


@compiled
def _pad_images(x: Array, out: Array, ph: int, pw: int, start: int, stop: int) -> None:
    _, h, w, c = x.shape
    out[start:stop] = 0
    for n in range(start, stop):
        for i in range(h):
            for j in range(w):
                for ch in range(c):
                    out[n, ph + i, pw + j, ch] = x[n, i, j, ch]


def pad(x: Array, padding: Pair, spare: int = 0) -> Array:
    """Return `x` (N, H, W, C) with a border of zeros, or itself where there is none; flat and read-only.

    `spare` numbers behind the last one may be read, too.
    """
    if padding == (0, 0) and not spare:
        return flat(x)
    n, h, w, c = x.shape
    shape = n, h + 2 * padding[0], w + 2 * padding[1], c
    size = math.prod(shape)
    room = np.empty(size + spare, dtype=x.dtype)
    room[size:] = 0
    padded = room[:size].reshape(shape)
    run_chunks(_pad_images, n, chunk_size(n, padded[:1].size), frozen(x), padded, *padding)
    return flat(padded)


@compiled
def _crop_images(padded: Array, out: Array, ph: int, pw: int, start: int, stop: int) -> None:
    _, h, w, c = out.shape
    for n in range(start, stop):
        for i in range(h):
            for j in range(w):
                for ch in range(c):
                    out[n, i, j, ch] = padded[n, ph + i, pw + j, ch]


def crop(padded: Array, out: Array, padding: Pair) -> None:
    """Fill `out` (N, H, W, C) with `padded` less its border; channels past C are left out too."""
    n = out.shape[0]
    run_chunks(_crop_images, n, chunk_size(n, out[:1].size), frozen(padded), out, *padding)
