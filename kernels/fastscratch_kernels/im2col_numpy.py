"""im2col and col2im in NumPy: the specification.

im2col lays the patch that each output position sees into one row of a matrix, so that a convolution becomes one
matrix product. col2im is its adjoint: it adds every row back to where its numbers came from.

Raw kernels: they fill their caller's `out` and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .shapes import Pair

Array = np.ndarray[Any, np.dtype[Any]]


def pad_images(x: Array, padding: Pair, value: float = 0.0) -> Array:
    """Return `x` (N, H, W, C) with a border of `value`, (N, H + 2 PH, W + 2 PW, C); `x` itself without one."""
    ph, pw = padding
    if ph == 0 and pw == 0:
        return x
    return np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=value)


def windows(x: Array, kernel: Pair, stride: Pair, dilation: Pair, oh: int, ow: int) -> Array:
    """Return a read-only view (N, OH, OW, KH, KW, C) of all windows of `x`, which is padded already."""
    n, _, _, c = x.shape
    sn, sh, sw, sc = x.strides
    return as_strided(
        x,
        shape=(n, oh, ow, *kernel, c),
        strides=(sn, sh * stride[0], sw * stride[1], sh * dilation[0], sw * dilation[1], sc),
        writeable=False,
    )


def im2col(x: Array, out: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Fill `out` (N, OH, OW, KH * KW * C) with the patches of `x` (N, H, W, C), zeros beyond the border."""
    n, oh, ow, _ = out.shape
    patches = windows(pad_images(x, padding), kernel, stride, dilation, oh, ow)
    # (N, OH, OW, KH * KW * C) -> (N, OH, OW, KH, KW, C): a view, so the copy writes into `out`
    out.reshape(n, oh, ow, *kernel, x.shape[3])[...] = patches


def col2im(cols: Array, out: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Fill `out` (N, H, W, C) with the sums of the entries of `cols` (N, OH, OW, KH * KW * C) read from there."""
    n, h, w, c = out.shape
    oh, ow = cols.shape[1:3]
    (kh, kw), (sh, sw), (ph, pw) = kernel, stride, padding
    cols = cols.reshape(n, oh, ow, kh, kw, c)
    padded = np.zeros((n, h + 2 * ph, w + 2 * pw, c), dtype=out.dtype)
    # One slice a kernel position: within it no two windows touch the same pixel, so += loses nothing.
    for i in range(kh):
        for j in range(kw):
            top, left = i * dilation[0], j * dilation[1]
            padded[:, top : top + sh * oh : sh, left : left + sw * ow : sw] += cols[:, :, :, i, j]
    out[...] = padded[:, ph : ph + h, pw : pw + w]
