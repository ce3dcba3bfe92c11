"""im2col and col2im in Numba: the loops themselves, compiled, one chunk of images a thread.

Where the NumPy version makes a padded copy and moves whole slices, this one goes through the output in order, and
copies or adds one pixel's channels at a time: the innermost loop is over contiguous memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import compiled, frozen
from ._parallel import chunk_size, run_chunks
from .shapes import Pair

Array = np.ndarray[Any, np.dtype[Any]]


@compiled
def _im2col_images(
    x: Array, out: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, start: int, stop: int
) -> None:
    _, h, w, c = x.shape
    _, oh, ow, _ = out.shape
    kh, kw = kernel
    for n in range(start, stop):
        for oi in range(oh):
            for oj in range(ow):
                for i in range(kh):
                    row = oi * stride[0] + i * dilation[0] - padding[0]
                    for j in range(kw):
                        column = oj * stride[1] + j * dilation[1] - padding[1]
                        first = (i * kw + j) * c
                        if 0 <= row < h and 0 <= column < w:
                            for ch in range(c):
                                out[n, oi, oj, first + ch] = x[n, row, column, ch]
                        else:
                            for ch in range(c):
                                out[n, oi, oj, first + ch] = 0


@compiled
def _col2im_images(
    cols: Array, out: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, start: int, stop: int
) -> None:
    _, h, w, c = out.shape
    _, oh, ow, _ = cols.shape
    kh, kw = kernel
    out[start:stop] = 0
    for n in range(start, stop):
        # Kernel positions outermost, as in NumPy: every pixel then gets its terms in the same order.
        for i in range(kh):
            for j in range(kw):
                first = (i * kw + j) * c
                for oi in range(oh):
                    row = oi * stride[0] + i * dilation[0] - padding[0]
                    if 0 <= row < h:
                        for oj in range(ow):
                            column = oj * stride[1] + j * dilation[1] - padding[1]
                            if 0 <= column < w:
                                for ch in range(c):
                                    out[n, row, column, ch] += cols[n, oi, oj, first + ch]


def im2col(x: Array, out: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Fill `out` (N, OH, OW, KH * KW * C) with the patches of `x` (N, H, W, C), zeros beyond the border."""
    n, oh, ow, k = out.shape
    run_chunks(
        _im2col_images, n, chunk_size(n, oh * ow * k), frozen(x), out, kernel, stride, padding, dilation, flush=False
    )


def col2im(cols: Array, out: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Fill `out` (N, H, W, C) with the sums of the entries of `cols` (N, OH, OW, KH * KW * C) read from there."""
    n, oh, ow, k = cols.shape
    run_chunks(
        _col2im_images, n, chunk_size(n, oh * ow * k), frozen(cols), out, kernel, stride, padding, dilation, flush=False
    )
