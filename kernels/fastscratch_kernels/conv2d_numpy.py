"""2-D convolution in NumPy, forward and backward: im2col and a matrix product. The specification.

With a patch as a row of `cols` (M, K), M = N OH OW, K = KH KW C, and the filters as `w` (K, F):

    forward     y  = cols @ w + b
    backward    dw = cols.T @ dy,   db = sum over rows of dy,   dx = col2im(dy @ w.T)

Groups split channels and filters into blocks that do not see each other: the same product once for each.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .im2col_numpy import col2im, im2col
from .shapes import Pair

Array = np.ndarray[Any, np.dtype[Any]]

WORKSPACE_BYTES = 64 << 20
"""The patch matrix is KH * KW times as large as its images: at most this much of it exists at a time."""

CHAIN = 128
"""Products that are added up in one go. Rounding errors grow with the length of a sum, and a BLAS takes as much of it
at a time as suits the processor: 400 products, say, with twice the error of parts that are added up in the end."""


def add_product(a: Array, b: Array, out: Array) -> None:
    """Add the product of `a` (M, K) and `b` (K, F) to `out` (M, F), a part of K after the other."""
    k = a.shape[1]
    parts = -(-k // CHAIN)
    for i in range(parts):
        part = slice(k * i // parts, k * (i + 1) // parts)
        out += a[:, part] @ b[part]


def image_blocks(n: int, bytes_per_image: int) -> Iterator[slice]:
    """Yield the images that are gone through at a time."""
    step = max(1, WORKSPACE_BYTES // max(1, bytes_per_image))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def _patches(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, oh: int, ow: int, groups: int
) -> Array:
    """Return the patches of `x` as (M, KH * KW, groups, C // groups)."""
    n, c = x.shape[0], x.shape[3]
    cols = np.empty((n, oh, ow, kernel[0] * kernel[1] * c), dtype=x.dtype)
    im2col(x, cols, kernel, stride, padding, dilation)
    return cols.reshape(n * oh * ow, kernel[0] * kernel[1], groups, c // groups)


def conv2d(
    x: Array,
    w: Array,
    b: Array | None,
    out: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str = "im2col",  # the one there is
) -> None:
    """Fill `out` (N, OH, OW, F) with the convolution of `x` (N, H, W, C) by `w` (KH, KW, C // groups, F), plus `b`."""
    n, oh, ow, f = out.shape
    kh, kw, cg, _ = w.shape
    fg = f // groups
    out[...] = 0 if b is None else b
    for block in image_blocks(n, oh * ow * kh * kw * x.shape[3] * x.itemsize):
        patches = _patches(x[block], (kh, kw), stride, padding, dilation, oh, ow, groups)
        y = out[block].reshape(-1, f)
        for g in range(groups):
            filters = slice(g * fg, (g + 1) * fg)
            # (M, KH * KW, C // groups) -> (M, K); (KH, KW, C // groups, F // groups) -> (K, F // groups)
            rows = patches[:, :, g].reshape(-1, kh * kw * cg)
            add_product(rows, w[..., filters].reshape(kh * kw * cg, fg), y[:, filters])


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
    algorithm: str = "im2col",  # the one there is
) -> None:
    """Fill `dx` (like x), `dw` (like w) and `db` (F,) from `dy` (N, OH, OW, F); those that are None are left out."""
    n, oh, ow, f = dy.shape
    kh, kw, cg, _ = w.shape
    c, fg = x.shape[3], f // groups
    dw[...] = 0
    if db is not None:
        # One axis after the other: adding all M rows to one sum in float32 has an error that grows with M.
        np.sum(dy.sum(axis=0).sum(axis=0), axis=0, out=db)
    for block in image_blocks(n, oh * ow * kh * kw * c * x.itemsize):
        patches = _patches(x[block], (kh, kw), stride, padding, dilation, oh, ow, groups)
        rows_dy = dy[block].reshape(-1, f)
        dpatches = np.empty_like(patches) if dx is not None else None
        for g in range(groups):
            filters = slice(g * fg, (g + 1) * fg)
            rows = patches[:, :, g].reshape(-1, kh * kw * cg)
            # (K, M) @ (M, F // groups) -> (KH, KW, C // groups, F // groups)
            add_product(rows.T, rows_dy[:, filters], dw.reshape(-1, f)[:, filters])
            if dpatches is not None:
                drows = rows_dy[:, filters] @ w[..., filters].reshape(kh * kw * cg, fg).T
                dpatches[:, :, g] = drows.reshape(-1, kh * kw, cg)
        if dx is not None and dpatches is not None:
            # (M, KH * KW, groups, C // groups) -> (N, OH, OW, KH * KW * C)
            dcols = dpatches.reshape(-1, oh, ow, kh * kw * c)
            col2im(dcols, dx[block], (kh, kw), stride, padding, dilation)
