"""Average-pooling in NumPy, forward and backward: the specification.

Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .im2col_numpy import pad_images
from .shapes import Pair

Array = np.ndarray[Any, np.dtype[Any]]


def _inside(out_size: int, size: int, kernel: int, stride: int, padding: int) -> Array:
    """Return for each window along an axis how many of its positions lie inside the image."""
    start = stride * np.arange(out_size) - padding
    return np.minimum(start + kernel, size) - np.maximum(start, 0)


def _window_counts(
    x_shape: tuple[int, ...], oh: int, ow: int, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool
) -> Array:
    """Return what each window's sum is divided by, (OH, OW, 1)."""
    if count_include_pad:
        return np.full((oh, ow, 1), kernel[0] * kernel[1])
    rows = _inside(oh, x_shape[1], kernel[0], stride[0], padding[0])
    columns = _inside(ow, x_shape[2], kernel[1], stride[1], padding[1])
    return (rows[:, None] * columns)[:, :, None]


def avgpool2d(
    x: Array, out: Array, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool
) -> None:
    """Fill `out` (N, OH, OW, C) with the mean of each window of `x` (N, H, W, C), zeros beyond the border."""
    _, oh, ow, _ = out.shape
    (sh, sw), dtype = stride, x.dtype
    counts = _window_counts(x.shape, oh, ow, kernel, stride, padding, count_include_pad).astype(dtype)
    x = pad_images(x, padding)
    out[...] = 0
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            out += x[:, i : i + sh * oh : sh, j : j + sw * ow : sw]
    out /= counts


def avgpool2d_backward(
    dy: Array, dx: Array, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool
) -> None:
    """Fill `dx` (N, H, W, C): each number of `dy` (N, OH, OW, C) is shared out evenly over its window."""
    n, h, w, c = dx.shape
    _, oh, ow, _ = dy.shape
    (sh, sw), (ph, pw) = stride, padding
    counts = _window_counts(dx.shape, oh, ow, kernel, stride, padding, count_include_pad)
    share = dy / counts.astype(dy.dtype)
    padded = np.zeros((n, h + 2 * ph, w + 2 * pw, c), dtype=dx.dtype)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            padded[:, i : i + sh * oh : sh, j : j + sw * ow : sw] += share
    dx[...] = padded[:, ph : ph + h, pw : pw + w]
