"""Convolution, ReLU and max-pooling as one block, in NumPy: the composition of the plain ops, and the specification.

ReLU and pooling can be one step back: a pooled number has a gradient at one place of its window only, the argmax,
and there only where ReLU let it through. The argmax of a number that ReLU switched off is the "dead" place, so the
backward pass needs the argmax alone and never the outputs of the convolution.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .conv2d_numpy import conv2d, conv2d_backward
from .maxpool2d_numpy import maxpool2d, maxpool2d_backward
from .shapes import Pair, Pool, Windows, conv2d_shape, dead_position

Array = np.ndarray[Any, np.dtype[Any]]
Kernel = Callable[..., None]


def compose(
    conv2d: Kernel,
    maxpool2d: Kernel,
    x: Array,
    w: Array,
    b: Array | None,
    out: Array,
    argmax: Array,
    windows: Windows,
    pool: Pool,
    algorithm: str,
) -> None:
    """Fill `out` and `argmax` by the plain ops of a backend."""
    y = np.empty(conv2d_shape(x.shape, w.shape, *windows), dtype=x.dtype)
    conv2d(x, w, b, y, *windows, algorithm)
    np.maximum(y, 0, out=y)
    maxpool2d(y, out, argmax, *pool)
    argmax[out <= 0] = dead_position(argmax.dtype)


def compose_backward(
    conv2d_backward: Kernel,
    maxpool2d_backward: Kernel,
    dy: Array,
    argmax: Array,
    x: Array,
    w: Array,
    dx: Array | None,
    dw: Array,
    db: Array | None,
    windows: Windows,
    pool: Pool,
) -> None:
    """Fill `dx`, `dw` and `db` by the plain ops of a backend."""
    dconv = np.empty(conv2d_shape(x.shape, w.shape, *windows), dtype=x.dtype)
    maxpool2d_backward(dy, argmax, dconv, *pool)
    conv2d_backward(dconv, x, w, dx, dw, db, *windows)


def conv2d_relu_maxpool2d(
    x: Array,
    w: Array,
    b: Array | None,
    out: Array,
    argmax: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    pool_kernel: Pair,
    pool_stride: Pair,
    pool_padding: Pair,
    algorithm: str = "im2col",  # the one there is
) -> None:
    """Fill `out` (N, PH, PW, F) with maxpool(relu(conv(x, w) + b)), `argmax` with each number's place or "dead"."""
    windows, pool = (stride, padding, dilation, groups), (pool_kernel, pool_stride, pool_padding)
    compose(conv2d, maxpool2d, x, w, b, out, argmax, windows, pool, algorithm)


def conv2d_relu_maxpool2d_backward(
    dy: Array,
    argmax: Array,
    x: Array,
    w: Array,
    dx: Array | None,
    dw: Array,
    db: Array | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    pool_kernel: Pair,
    pool_stride: Pair,
    pool_padding: Pair,
) -> None:
    """Fill `dx` (like x), `dw` (like w) and `db` (F,) from `dy` and `argmax` (N, PH, PW, F); None is left out."""
    windows, pool = (stride, padding, dilation, groups), (pool_kernel, pool_stride, pool_padding)
    compose_backward(conv2d_backward, maxpool2d_backward, dy, argmax, x, w, dx, dw, db, windows, pool)
