"""The plain form of a compiled convolution: write the patch matrix, then one product with the filters.

It is what the NumPy column does, out of a backend's own im2col and its own matrix product, a 1 x 1 convolution of the
patches. The direct form, which never writes the matrix, is measured against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .conv2d_numpy import image_blocks
from .shapes import Pair, Windows

Array = np.ndarray[Any, np.dtype[Any]]
Kernel = Callable[..., None]


def _blocks(x: Array, w: Array, out_size: Pair) -> Iterator[slice]:
    return image_blocks(len(x), out_size[0] * out_size[1] * w.shape[0] * w.shape[1] * x.shape[3] * x.itemsize)


def _patches(im2col: Kernel, x: Array, w: Array, out_size: Pair, windows: Windows) -> Array:
    """Return the patches of `x` as the pixels of images (N, OH, OW, groups * K), K = KH * KW * C // groups."""
    kh, kw, cg, _ = w.shape
    stride, padding, dilation, groups = windows
    cols = np.empty((len(x), *out_size, kh * kw * x.shape[3]), dtype=x.dtype)
    im2col(x, cols, (kh, kw), stride, padding, dilation)
    if groups == 1:
        return cols
    # (N, OH, OW, KH * KW, groups, C // groups) -> (N, OH, OW, groups, KH * KW, C // groups): a group's side by side
    apart = cols.reshape(*cols.shape[:3], kh * kw, groups, cg)
    return np.ascontiguousarray(apart.swapaxes(3, 4)).reshape(cols.shape)


def conv2d(
    im2col: Kernel, product: Kernel, x: Array, w: Array, b: Array | None, out: Array, windows: Windows
) -> None:
    """Fill `out` (N, OH, OW, F) by a backend's `im2col`, and its convolution as `product`."""
    k, f = w.shape[0] * w.shape[1] * w.shape[2], w.shape[3]
    for block in _blocks(x, w, out.shape[1:3]):
        cols = _patches(im2col, x[block], w, out.shape[1:3], windows)
        product(cols, w.reshape(1, 1, k, f), b, out[block], (1, 1), (0, 0), (1, 1), windows[3], "direct")


def conv2d_backward(
    im2col: Kernel,
    col2im: Kernel,
    product_backward: Kernel,
    dy: Array,
    x: Array,
    w: Array,
    dx: Array | None,
    dw: Array,
    db: Array | None,
    windows: Windows,
) -> None:
    """Fill `dx`, `dw` and `db` by a backend's `im2col` and `col2im`, and the gradients of its convolution."""
    (kh, kw, cg, f), (stride, padding, dilation, groups) = w.shape, windows
    flat = w.reshape(1, 1, -1, f)
    dw[...] = 0
    if db is not None:
        db[...] = 0
    for block in _blocks(x, w, dy.shape[1:3]):
        cols = _patches(im2col, x[block], w, dy.shape[1:3], windows)
        dcols = None if dx is None else np.empty_like(cols)
        dw_block = np.empty_like(flat)
        db_block = None if db is None else np.empty_like(db)
        product_backward(dy[block], cols, flat, dcols, dw_block, db_block, (1, 1), (0, 0), (1, 1), groups, "direct")
        dw += dw_block.reshape(dw.shape)
        if db is not None:
            db += db_block
        if dx is not None and dcols is not None:
            # (N, OH, OW, groups, KH * KW, C // groups) -> (N, OH, OW, KH * KW, groups, C // groups)
            apart = dcols.reshape(*dcols.shape[:3], groups, kh * kw, cg).swapaxes(3, 4)
            dcols = np.ascontiguousarray(apart).reshape(cols.shape)
            col2im(dcols, dx[block], (kh, kw), stride, padding, dilation)
