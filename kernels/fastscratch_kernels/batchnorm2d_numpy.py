"""Batch normalization in NumPy, with ReLU or without: the specification.

    forward     xhat = (x - mean) / sqrt(var + eps),   y = weight xhat + bias,   and ReLU: y = max(y, 0)
    backward    dbias = sum dy,   dweight = sum dy xhat,
                dx = weight / sqrt(var + eps) (dy - mean(dy) - xhat mean(dy xhat))

where dy counts only where ReLU let through. Sums and means are over N, H and W; where mean and variance are constants
(evaluation), the last two terms of dx are missing.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def _channel_sums(x: Array) -> Array:
    """Return the sums over N, H and W: (N, H, W, C) -> (C,).

    One axis after the other: N H W float32 numbers added to one sum in a row lose digits as it grows; here a number
    goes through N + H + W additions at most. It is faster, too.
    """
    sums: Array = x.sum(axis=0).sum(axis=0).sum(axis=0)  # -> (H, W, C) -> (W, C) -> (C,)
    return sums


def channel_moments(x: Array, mean: Array, var: Array) -> None:
    """Fill `mean` and `var` (C,) with the mean and the biased variance of `x` (N, H, W, C) over N, H and W."""
    m = x.dtype.type(x.size // x.shape[3])
    mean[...] = _channel_sums(x) / m
    var[...] = _channel_sums(np.square(x - mean)) / m


def batchnorm2d(
    x: Array, mean: Array, var: Array, weight: Array, bias: Array, out: Array, eps: float, relu: bool
) -> None:
    """Fill `out` (N, H, W, C) with the normalized `x`, scaled by `weight` and shifted by `bias` (C,)."""
    np.subtract(x, mean, out=out)
    out *= weight / np.sqrt(var + x.dtype.type(eps))
    out += bias
    if relu:
        np.maximum(out, 0, out=out)


def batchnorm2d_backward(
    dy: Array,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array,
    bias: Array,
    dx: Array | None,
    dweight: Array,
    dbias: Array,
    eps: float,
    relu: bool,
    training: bool,
) -> None:
    """Fill `dx` (like x), unless it is None, `dweight` and `dbias` (C,) from `dy` (N, H, W, C)."""
    inv_std = 1 / np.sqrt(var + x.dtype.type(eps))
    scale = weight * inv_std
    centered = x - mean
    if relu:
        dy = np.where(centered * scale + bias <= 0, dy.dtype.type(0), dy)
    dbias[...] = _channel_sums(dy)
    dweight[...] = _channel_sums(dy * centered) * inv_std
    if dx is None:
        return
    if training:
        m = x.dtype.type(max(1, x.size // x.shape[3]))
        centered *= dweight * inv_std / m  # xhat mean(dy xhat)
        np.subtract(dy, dbias / m, out=dx)
        dx -= centered
        dx *= scale
    else:
        np.multiply(dy, scale, out=dx)
