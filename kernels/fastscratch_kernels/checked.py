"""Convolutions, dense products and what rectifies them, with arguments that have been checked: allocate, dispatch.

The public ops end here after their checks. Layers begin here: their windows were checked when they were made and their
parameters are their own, and in a small network the checks of every step cost as much as the arithmetic.

What is taken for granted: `x`, `w` and `b` are C-contiguous arrays of one dtype, float32 or float64, and of fitting
channels; windows are pairs of ints in range; arrays that take gradients fit. Upstream gradients are looked at here.
"""

from __future__ import annotations

import functools

from ._algorithms import choose, selected_precision
from ._checks import ANY, Array, check_array, check_out, check_shape, empty
from ._registry import find
from .shapes import Pool, Windows, argmax_dtype, conv2d_shape, pool2d_shape

PLAIN: Windows = ((1, 1), (0, 0), (1, 1), 1)

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
    if not input_grad:
        dx = None
    elif dx is None:
        dx = empty(x.shape, x.dtype)
    if not bias:
        db = None
    elif db is None:
        db = empty(w.shape[-1:], w.dtype)
    return dx, empty(w.shape, w.dtype) if dw is None else dw, db


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
    out = check_out("out", out, shape, x.dtype, x=x, w=w, b=b)
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
    out = check_out("out", out, shape, x.dtype, x=x, w=w, b=b)
    argmax = check_out("argmax", argmax, shape, argmax_dtype(pool[0]), x=x, w=w, b=b, out=out)
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


def _as_image(rows: Array) -> Array:
    """Return a view of (N, features) as one image of N pixels in a row; without rows, as no image at all."""
    return rows[None, None] if len(rows) else rows[:, None, None]


def linear(x: Array, w: Array, b: Array | None, backend: str | None = None) -> Array:
    """Return what the public `linear` returns."""
    y = empty((x.shape[0], w.shape[1]), x.dtype)
    find("conv2d", backend)[1](_as_image(x), w[None, None], b, _as_image(y), *PLAIN)
    return y


def linear_backward(
    dy: Array,
    x: Array,
    w: Array,
    input_grad: bool = True,
    bias: bool = True,
    dw: Array | None = None,
    db: Array | None = None,
    backend: str | None = None,
) -> Gradients:
    """Return what the public `linear_backward` returns."""
    dy = check_array("dy", dy, "N out", x.dtype)
    if dy.shape != (x.shape[0], w.shape[1]):
        check_shape("dy", dy, (x.shape[0], w.shape[1]), f"x {x.shape}, w {w.shape}")
    dx, dw, db = _gradients(x, w, input_grad, bias, None, dw, db)
    find("conv2d_backward", backend)[1](
        _as_image(dy), _as_image(x), w[None, None], None if dx is None else _as_image(dx), dw[None, None], db, *PLAIN
    )
    return dx, dw, db


def relu(x: Array, out: Array, backend: str | None = None) -> None:
    """Fill `out`, which may be `x`, as the public `relu` does."""
    find("relu", backend)[1](x.reshape(-1), out.reshape(-1))


def relu_backward(dy: Array, y: Array, dx: Array | None = None, backend: str | None = None) -> Array:
    """Return what the public `relu_backward` returns."""
    dy = check_array("dy", dy, ANY, y.dtype)
    if dy.shape != y.shape:
        check_shape("dy", dy, y.shape, f"y {y.shape}")
    if dx is None:
        dx = empty(y.shape, y.dtype)
    find("relu_backward", backend)[1](dy.reshape(-1), y.reshape(-1), dx.reshape(-1))
    return dx
