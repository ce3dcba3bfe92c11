"""Public dense product and its gradients: a convolution of 1 x 1, so that it has a version on every backend."""

from __future__ import annotations

from . import checked
from ._checks import Array, check_array, check_given, check_shape


def _check_inputs(x: Array, w: Array) -> tuple[Array, Array]:
    x = check_array("x", x, "N in")
    w = check_array("w", w, "in out", x.dtype)
    if 0 in w.shape:
        raise ValueError(f"w must not be empty, got shape {w.shape}")
    if w.shape[0] != x.shape[1]:
        check_shape("w", w, (x.shape[1], w.shape[1]), f"x has rows of {x.shape[1]}")
    return x, w


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
    return checked.linear(x, w, b, backend)


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
    dw = check_given("dw", dw, w.shape, x.dtype, dy=dy, x=x, w=w)
    db = check_given("db", db, w.shape[1:], x.dtype, dy=dy, x=x, w=w, dw=dw)
    return checked.linear_backward(dy, x, w, input_grad, bias, dw, db, backend)
