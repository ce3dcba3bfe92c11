"""Public dense product and its gradients: a convolution of 1 x 1, so that it has a version on every backend."""

from __future__ import annotations

import numpy as np

from ._checks import Array, check_array, check_out, check_shape
from ._registry import kernel

_PLAIN = ((1, 1), (0, 0), (1, 1), 1)  # stride, padding, dilation, groups


def _check_inputs(x: Array, w: Array) -> tuple[Array, Array]:
    x = check_array("x", x, "N in")
    w = check_array("w", w, "in out", x.dtype)
    if 0 in w.shape:
        raise ValueError(f"w must not be empty, got shape {w.shape}")
    if w.shape[0] != x.shape[1]:
        check_shape("w", w, (x.shape[1], w.shape[1]), f"x has rows of {x.shape[1]}")
    return x, w


def _as_image(rows: Array) -> Array:
    """Return a view of (N, features) as one image of N pixels in a row; without rows, as no image at all."""
    return rows[None, None] if len(rows) else rows[:, None, None]


def linear(x: Array, w: Array, b: Array | None = None, *, backend: str | None = None) -> Array:
    """Return ``x @ w + b``.

    Parameters
    ----------
    x : ndarray of shape (N, in), float32 or float64
        Rows.
    w : ndarray of shape (in, out), same dtype
        Weights.
    b : ndarray of shape (out,), same dtype, optional
        Added to every row.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of shape (N, out)

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape.

    Notes
    -----
    The compiled backends take their own register tile rather than BLAS: threads of two libraries in turn wait for each
    other actively, and a network's small products then cost more than its convolutions.
    """
    x, w = _check_inputs(x, w)
    if b is not None:
        b = check_array("b", b, "out", x.dtype)
        if b.shape != w.shape[1:]:
            check_shape("b", b, w.shape[1:], f"w {w.shape}")
    y = np.empty((len(x), w.shape[1]), x.dtype)
    kernel("conv2d", backend)(_as_image(x), w[None, None], b, _as_image(y), *_PLAIN)
    return y


def linear_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    input_grad: bool = True,
    bias: bool = True,
    dw: Array | None = None,
    db: Array | None = None,
    backend: str | None = None,
) -> tuple[Array | None, Array, Array | None]:
    """Return the gradients of `linear`: ``dx = dy @ w.T``, ``dw = x.T @ dy``, ``db`` = the sum of dy's rows.

    Parameters
    ----------
    dy : ndarray of shape (N, out), float32 or float64
        Gradient of the loss with respect to the output.
    x : ndarray of shape (N, in), same dtype
        The input of the forward pass.
    w : ndarray of shape (in, out), same dtype
        The weights of the forward pass.
    input_grad, bias : bool
        Whether `dx` and `db` are wanted.
    dw, db : ndarray, optional
        C-contiguous arrays to fill; None makes them.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    dx : ndarray of shape (N, in), or None
    dw : ndarray of shape (in, out)
    db : ndarray of shape (out,), or None

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape.
    """
    x, w = _check_inputs(x, w)
    dy = check_array("dy", dy, "N out", x.dtype)
    if dy.shape != (len(x), w.shape[1]):
        check_shape("dy", dy, (len(x), w.shape[1]), f"x {x.shape}, w {w.shape}")
    dx = np.empty(x.shape, x.dtype) if input_grad else None
    dw = check_out("dw", dw, w.shape, x.dtype)
    db = check_out("db", db, w.shape[1:], x.dtype) if bias else None
    dx_image = None if dx is None else _as_image(dx)
    kernel("conv2d_backward", backend)(
        _as_image(dy), _as_image(x), w[None, None], dx_image, dw[None, None], db, *_PLAIN
    )
    return dx, dw, db
