"""Average-pooling in Numba, forward and backward: one window after the other, one chunk of images a thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import compiled, frozen
from ._parallel import chunk_size, run_chunks
from .shapes import Pair

Array = np.ndarray[Any, np.dtype[Any]]


@compiled
def _avgpool2d_images(
    x: Array, out: Array, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool, start: int, stop: int
) -> None:
    _, h, w, c = x.shape
    _, oh, ow, _ = out.shape
    kh, kw = kernel
    out[start:stop] = 0
    for n in range(start, stop):
        for oi in range(oh):
            top = oi * stride[0] - padding[0]
            first_row, last_row = max(0, top), min(h, top + kh)
            for oj in range(ow):
                left = oj * stride[1] - padding[1]
                first_column, last_column = max(0, left), min(w, left + kw)
                for row in range(first_row, last_row):
                    for column in range(first_column, last_column):
                        for ch in range(c):
                            out[n, oi, oj, ch] += x[n, row, column, ch]
                inside = (last_row - first_row) * (last_column - first_column)
                count = out.dtype.type(kh * kw if count_include_pad else inside)
                for ch in range(c):
                    out[n, oi, oj, ch] /= count


@compiled
def _avgpool2d_backward_images(
    dy: Array, dx: Array, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool, start: int, stop: int
) -> None:
    _, h, w, c = dx.shape
    _, oh, ow, _ = dy.shape
    kh, kw = kernel
    dx[start:stop] = 0
    for n in range(start, stop):
        # Places of the window outermost, as in NumPy: every pixel then gets its terms in the same order.
        for i in range(kh):
            for j in range(kw):
                for oi in range(oh):
                    row = oi * stride[0] + i - padding[0]
                    if 0 <= row < h:
                        top = oi * stride[0] - padding[0]
                        rows = min(h, top + kh) - max(0, top)
                        for oj in range(ow):
                            column = oj * stride[1] + j - padding[1]
                            if 0 <= column < w:
                                left = oj * stride[1] - padding[1]
                                inside = rows * (min(w, left + kw) - max(0, left))
                                count = dx.dtype.type(kh * kw if count_include_pad else inside)
                                for ch in range(c):
                                    dx[n, row, column, ch] += dy[n, oi, oj, ch] / count


def avgpool2d(x: Array, out: Array, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool) -> None:
    """Fill `out` (N, OH, OW, C) with the mean of each window of `x` (N, H, W, C), zeros beyond the border."""
    n, oh, ow, c = out.shape
    cost = oh * ow * c * kernel[0] * kernel[1]
    run_chunks(
        _avgpool2d_images,
        n,
        chunk_size(n, cost),
        frozen(x),
        out,
        kernel,
        stride,
        padding,
        count_include_pad,
        flush=False,
    )


def avgpool2d_backward(
    dy: Array, dx: Array, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool
) -> None:
    """Fill `dx` (N, H, W, C): each number of `dy` (N, OH, OW, C) is shared out evenly over its window."""
    n, oh, ow, c = dy.shape
    cost = oh * ow * c * kernel[0] * kernel[1]
    run_chunks(
        _avgpool2d_backward_images,
        n,
        chunk_size(n, cost),
        frozen(dy),
        dx,
        kernel,
        stride,
        padding,
        count_include_pad,
        flush=False,
    )
