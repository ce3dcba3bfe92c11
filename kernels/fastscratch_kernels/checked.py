"""Convolutions whose arguments have been checked: plan, allocate, dispatch.

The public ops end here after their checks. Layers begin here: their windows were checked when they were made and their
parameters are their own, and in a small network the checks of every step cost as much as the arithmetic.

What is taken for granted: `x`, `w` and `b` are C-contiguous arrays of one dtype, float32 or float64, and of fitting
channels; windows are pairs of ints in range. Upstream gradients and arrays to fill are looked at here.
"""

from __future__ import annotations

import functools

from ._algorithms import choose, selected_precision
from ._checks import Array, check_array, check_out, check_shape
from ._registry import find
from .shapes import Pair, argmax_dtype, conv2d_shape, pool2d_shape

Windows = tuple[Pair, Pair, Pair, int]
"""Stride, padding, dilation and groups."""

Pool = tuple[Pair, Pair, Pair]
"""Kernel, stride and padding."""

Shape = tuple[int, int, int, int]
Gradients = tuple[Array | None, Array, Array | None]


@functools.lru_cache(maxsize=1024)  # a network asks for the same few again and again
def _plan(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    itemsize: int,
    how: Windows,
    backend: str,
    algorithm: str,
    precision: str,
) -> tuple[Shape, str]:
    """Return the shape of the output, and the algorithm that the raw kernel is told."""
    shape = conv2d_shape(x_shape, w_shape, *how)
    return shape, choose(backend, algorithm, precision, itemsize, w_shape, shape[1:3], how)


@functools.lru_cache(maxsize=1024)
def _pooled_plan(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    itemsize: int,
    how: Windows,
    pool: Pool,
    backend: str,
    algorithm: str,
) -> tuple[Shape, str]:
    shape = pool2d_shape(conv2d_shape(x_shape, w_shape, *how), *pool)
    covered = shape[1] * pool[1][0], shape[2] * pool[1][1]
    return shape, choose(backend, algorithm, "standard", itemsize, w_shape, covered, how, pool)


def _gradients(
    x: Array, w: Array, input_grad: bool, bias: bool, dx: Array | None, dw: Array | None, db: Array | None
) -> Gradients:
    return (
        check_out("dx", dx, x.shape, x.dtype) if input_grad else None,
        check_out("dw", dw, w.shape, w.dtype),
        check_out("db", db, w.shape[3:], w.dtype) if bias else None,
    )


def _because(x: Array, w: Array, how: Windows) -> str:
    stride, padding, dilation, groups = how
    windows = f"stride {stride}, padding {padding}, dilation {dilation}, groups {groups}"
    return f"x {x.shape}, w {w.shape}, {windows}"


def conv2d(
    x: Array,
    w: Array,
    b: Array | None,
    how: Windows,
    out: Array | None = None,
    backend: str | None = None,
    algorithm: str = "auto",
    precision: str | None = None,
) -> Array:
    """Return what the public `conv2d` returns."""
    taken, fill = find("conv2d", backend)
    shape, form = _plan(x.shape, w.shape, x.itemsize, how, taken, algorithm, precision or selected_precision())
    out = check_out("out", out, shape, x.dtype)
    fill(x, w, b, out, *how, form)
    return out


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    how: Windows,
    input_grad: bool = True,
    bias: bool = True,
    dx: Array | None = None,
    dw: Array | None = None,
    db: Array | None = None,
    backend: str | None = None,
    algorithm: str = "auto",
    precision: str | None = None,
) -> Gradients:
    """Return what the public `conv2d_backward` returns."""
    taken, fill = find("conv2d_backward", backend)
    shape, form = _plan(x.shape, w.shape, x.itemsize, how, taken, algorithm, precision or selected_precision())
    dy = check_array("dy", dy, "N OH OW F", x.dtype)
    if dy.shape != shape:
        check_shape("dy", dy, shape, _because(x, w, how))
    dx, dw, db = _gradients(x, w, input_grad, bias, dx, dw, db)
    fill(dy, x, w, dx, dw, db, *how, form)
    return dx, dw, db


def conv2d_relu_maxpool2d(
    x: Array,
    w: Array,
    b: Array | None,
    how: Windows,
    pool: Pool,
    out: Array | None = None,
    argmax: Array | None = None,
    backend: str | None = None,
    algorithm: str = "auto",
) -> tuple[Array, Array]:
    """Return what the public `conv2d_relu_maxpool2d` returns."""
    taken, fill = find("conv2d_relu_maxpool2d", backend)
    shape, form = _pooled_plan(x.shape, w.shape, x.itemsize, how, pool, taken, algorithm)
    out = check_out("out", out, shape, x.dtype)
    argmax = check_out("argmax", argmax, shape, argmax_dtype(pool[0]))
    fill(x, w, b, out, argmax, *how, *pool, form)
    return out, argmax


def conv2d_relu_maxpool2d_backward(
    dy: Array,
    argmax: Array,
    x: Array,
    w: Array,
    how: Windows,
    pool: Pool,
    input_grad: bool = True,
    bias: bool = True,
    dx: Array | None = None,
    dw: Array | None = None,
    db: Array | None = None,
    backend: str | None = None,
) -> Gradients:
    """Return what the public `conv2d_relu_maxpool2d_backward` returns."""
    taken, fill = find("conv2d_relu_maxpool2d_backward", backend)
    shape, _ = _pooled_plan(x.shape, w.shape, x.itemsize, how, pool, taken, "auto")
    dy = check_array("dy", dy, "N PH PW F", x.dtype)
    argmax = check_array("argmax", argmax, "N PH PW F", argmax_dtype(pool[0]))
    if not dy.shape == argmax.shape == shape:
        where = f"{_because(x, w, how)}, pool kernel {pool[0]}, stride {pool[1]}, padding {pool[2]}"
        check_shape("dy", dy, shape, where)
        check_shape("argmax", argmax, shape, where)
    dx, dw, db = _gradients(x, w, input_grad, bias, dx, dw, db)
    fill(dy, argmax, x, w, dx, dw, db, *how, *pool)
    return dx, dw, db
