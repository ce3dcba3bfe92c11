"""Convolutions with groups in Numba: the plain loops, with the filters of a group innermost.

In a depthwise convolution each group has one filter, and the loop over groups is innermost instead: it is the one
that goes over contiguous memory there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._geometry_numba import crop, pad
from ._jit_numba import compiled, frozen
from ._parallel import chunk_size, run_chunks
from .shapes import Pair

Array = np.ndarray[Any, np.dtype[Any]]


@compiled
def _conv2d_images(
    x: Array, w: Array, bias: Array, out: Array, stride: Pair, dilation: Pair, groups: int, start: int, stop: int
) -> None:
    _, oh, ow, f = out.shape
    kh, kw, cg, _ = w.shape
    fg = f // groups
    for n in range(start, stop):
        for oi in range(oh):
            for oj in range(ow):
                for k in range(f):
                    out[n, oi, oj, k] = bias[k]
                for i in range(kh):
                    row = oi * stride[0] + i * dilation[0]
                    for j in range(kw):
                        column = oj * stride[1] + j * dilation[1]
                        for c in range(cg):
                            if fg == 1:
                                for g in range(groups):
                                    out[n, oi, oj, g] += x[n, row, column, g * cg + c] * w[i, j, c, g]
                            else:
                                for g in range(groups):
                                    number = x[n, row, column, g * cg + c]
                                    for k in range(g * fg, g * fg + fg):
                                        out[n, oi, oj, k] += number * w[i, j, c, k]


@compiled
def _conv2d_dx_images(
    dy: Array, w: Array, dx: Array, stride: Pair, dilation: Pair, groups: int, start: int, stop: int
) -> None:
    _, oh, ow, f = dy.shape
    kh, kw, cg, _ = w.shape
    fg = f // groups
    dx[start:stop] = 0
    for n in range(start, stop):
        for oi in range(oh):
            for oj in range(ow):
                for i in range(kh):
                    row = oi * stride[0] + i * dilation[0]
                    for j in range(kw):
                        column = oj * stride[1] + j * dilation[1]
                        for c in range(cg):
                            if fg == 1:
                                for g in range(groups):
                                    dx[n, row, column, g * cg + c] += dy[n, oi, oj, g] * w[i, j, c, g]
                            else:
                                for g in range(groups):
                                    total = dx[n, row, column, g * cg + c]
                                    for k in range(g * fg, g * fg + fg):
                                        total += dy[n, oi, oj, k] * w[i, j, c, k]
                                    dx[n, row, column, g * cg + c] = total


@compiled
def _conv2d_dw_positions(
    dy: Array, x: Array, dw: Array, stride: Pair, dilation: Pair, groups: int, start: int, stop: int
) -> None:
    count, oh, ow, f = dy.shape
    _, kw, cg, _ = dw.shape
    fg = f // groups
    sums = np.empty((cg, f), dtype=dw.dtype)  # of one image, so that rounding errors stay small
    for position in range(start, stop):
        i, j = position // kw, position % kw
        dw[i, j] = 0
        for n in range(count):
            sums[:] = 0
            for oi in range(oh):
                row = oi * stride[0] + i * dilation[0]
                for oj in range(ow):
                    column = oj * stride[1] + j * dilation[1]
                    for c in range(cg):
                        if fg == 1:
                            for g in range(groups):
                                sums[c, g] += x[n, row, column, g * cg + c] * dy[n, oi, oj, g]
                        else:
                            for g in range(groups):
                                number = x[n, row, column, g * cg + c]
                                for k in range(g * fg, g * fg + fg):
                                    sums[c, k] += number * dy[n, oi, oj, k]
            for c in range(cg):
                for k in range(f):
                    dw[i, j, c, k] += sums[c, k]


def _padded_shape(x: Array, padding: Pair) -> tuple[int, int, int, int]:
    n, h, w, c = x.shape
    return n, h + 2 * padding[0], w + 2 * padding[1], c


def conv2d_grouped(
    x: Array, w: Array, b: Array | None, out: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    """As `conv2d_numba.conv2d`, for any number of groups."""
    n, oh, ow, f = out.shape
    bias = np.zeros(f, dtype=w.dtype) if b is None else b
    images = pad(x, padding).reshape(_padded_shape(x, padding))
    cost = oh * ow * w.size
    run_chunks(
        _conv2d_images, n, chunk_size(n, cost), frozen(images), frozen(w), frozen(bias), out, stride, dilation, groups
    )


def conv2d_backward_grouped(
    dy: Array,
    x: Array,
    w: Array,
    dx: Array | None,
    dw: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> None:
    """As `conv2d_numba.conv2d_backward` without the bias, for any number of groups."""
    n, oh, ow, _ = dy.shape
    kh, kw = w.shape[:2]
    cost = oh * ow * w.size
    images = pad(x, padding).reshape(_padded_shape(x, padding))
    positions = kh * kw
    run_chunks(
        _conv2d_dw_positions,
        positions,
        chunk_size(positions, n * cost // positions),
        frozen(dy),
        frozen(images),
        dw,
        stride,
        dilation,
        groups,
    )
    if dx is None:
        return
    padded = dx if padding == (0, 0) else np.empty(_padded_shape(x, padding), dtype=dx.dtype)
    run_chunks(_conv2d_dx_images, n, chunk_size(n, cost), frozen(dy), frozen(w), padded, stride, dilation, groups)
    if padded is not dx:
        crop(padded, dx, padding)
