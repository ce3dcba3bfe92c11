"""Max-pooling in Numba, forward and backward: one window after the other, one chunk of images a thread.

Ties, the border and NaN go as in the NumPy version: the first of equal numbers wins, the border never, NaN always.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import compiled, frozen
from ._parallel import chunk_size, run_chunks
from .shapes import Pair

Array = np.ndarray[Any, np.dtype[Any]]


@compiled
def _maxpool2d_images(
    x: Array, out: Array, argmax: Array, kernel: Pair, stride: Pair, padding: Pair, start: int, stop: int
) -> None:
    _, h, w, c = x.shape
    _, oh, ow, _ = out.shape
    kh, kw = kernel
    for n in range(start, stop):
        for oi in range(oh):
            top = oi * stride[0] - padding[0]
            for oj in range(ow):
                left = oj * stride[1] - padding[1]
                place = max(0, -top) * kw + max(0, -left)  # the first one inside the image
                for ch in range(c):
                    out[n, oi, oj, ch] = x[n, max(0, top), max(0, left), ch]
                    argmax[n, oi, oj, ch] = place
                for i in range(max(0, -top), min(kh, h - top)):
                    for j in range(max(0, -left), min(kw, w - left)):
                        place = i * kw + j
                        for ch in range(c):
                            candidate = x[n, top + i, left + j, ch]
                            best = out[n, oi, oj, ch]
                            wins = (candidate > best) | (candidate != candidate)
                            out[n, oi, oj, ch] = candidate if wins else best
                            argmax[n, oi, oj, ch] = place if wins else argmax[n, oi, oj, ch]


@compiled
def _maxpool2d_backward_images(
    dy: Array, argmax: Array, dx: Array, kernel: Pair, stride: Pair, padding: Pair, start: int, stop: int
) -> None:
    _, h, w, c = dx.shape
    _, oh, ow, _ = dy.shape
    kh, kw = kernel
    dx[start:stop] = 0
    for n in range(start, stop):
        # Places of the window outermost, as in NumPy: every pixel then gets its terms in the same order.
        for i in range(kh):
            for j in range(kw):
                place = i * kw + j
                for oi in range(oh):
                    row = oi * stride[0] + i - padding[0]
                    if 0 <= row < h:
                        for oj in range(ow):
                            column = oj * stride[1] + j - padding[1]
                            if 0 <= column < w:
                                for ch in range(c):
                                    chosen = argmax[n, oi, oj, ch] == place
                                    dx[n, row, column, ch] += dy[n, oi, oj, ch] if chosen else dx.dtype.type(0)


def maxpool2d(x: Array, out: Array, argmax: Array, kernel: Pair, stride: Pair, padding: Pair) -> None:
    """Fill `out` (N, OH, OW, C) with the largest number of each window of `x` (N, H, W, C), `argmax` with its place.

    A place is ``i * KW + j``, for row i and column j of the window.
    """
    n, oh, ow, c = out.shape
    cost = oh * ow * c * kernel[0] * kernel[1]
    run_chunks(_maxpool2d_images, n, chunk_size(n, cost), frozen(x), out, argmax, kernel, stride, padding, flush=False)


def maxpool2d_backward(dy: Array, argmax: Array, dx: Array, kernel: Pair, stride: Pair, padding: Pair) -> None:
    """Fill `dx` (N, H, W, C): each number of `dy` (N, OH, OW, C) goes to the place that `argmax` names, zero elsewhere.

    A place outside the window (the "dead" one of the fused block) takes its gradient nowhere.
    """
    n, oh, ow, c = dy.shape
    cost = oh * ow * c * kernel[0] * kernel[1]
    run_chunks(
        _maxpool2d_backward_images,
        n,
        chunk_size(n, cost),
        frozen(dy),
        frozen(argmax),
        dx,
        kernel,
        stride,
        padding,
        flush=False,
    )
