"""Public dense product and its gradients: a convolution of 1 x 1, so that it has a version on every backend."""

from __future__ import annotations

from ._checks import Array, check_array, check_shape
from .ops_conv2d import conv2d, conv2d_backward


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
    x = check_array("x", x, "N in")
    w = check_array("w", w, "in out", x.dtype)
    check_shape("w", w, (x.shape[1], w.shape[1]), f"x has rows of {x.shape[1]}")
    return conv2d(_as_image(x), w[None, None], b, backend=backend).reshape(len(x), w.shape[1])


def linear_backward(
    dy: Array, x: Array, w: Array, *, input_grad: bool = True, bias: bool = True, backend: str | None = None
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
    x = check_array("x", x, "N in")
    w = check_array("w", w, "in out", x.dtype)
    check_shape("w", w, (x.shape[1], w.shape[1]), f"x has rows of {x.shape[1]}")
    dy = check_array("dy", dy, "N out", x.dtype)
    check_shape("dy", dy, (len(x), w.shape[1]), f"x {x.shape}, w {w.shape}")
    dx, dw, db = conv2d_backward(
        _as_image(dy), _as_image(x), w[None, None], input_grad=input_grad, bias=bias, backend=backend
    )
    return None if dx is None else dx.reshape(x.shape), dw[0, 0], db
