"""Public ops of the rectified linear unit."""

from __future__ import annotations

from . import checked
from ._checks import ANY, Array, check_array, check_in_place


def relu(x: Array, *, out: Array | None = None, backend: str | None = None) -> Array:
    """Return ``max(x, 0)``, number by number.

    Parameters
    ----------
    x : ndarray of any shape, float32 or float64
        Made C-contiguous where it is not.
    out : ndarray of the shape of `x`, optional
        C-contiguous array to fill, which may be `x`; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of the shape of `x`
        NaN where `x` is NaN.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, or one to fill that shares a part of its memory with `x`.
    """
    x = check_array("x", x, ANY)
    out = check_in_place("out", out, "x", x)
    checked.relu(x, out, backend)
    return out


def relu_backward(dy: Array, y: Array, *, dx: Array | None = None, backend: str | None = None) -> Array:
    """Return the gradient of the loss with respect to the input of `relu`.

    Parameters
    ----------
    dy : ndarray of any shape, float32 or float64
        The gradient with respect to the output. Made C-contiguous where it is not.
    y : ndarray of the shape and dtype of `dy`
        The output; where it is not positive, the input was not.
    dx : ndarray of the shape of `dy`, optional
        C-contiguous array to fill, which may be `dy`; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of the shape of `dy`
        `dy` where `y` is positive or NaN, else 0: at 0, where there is no derivative, it is taken as 0.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, or one to fill that shares memory with one that is read.
    """
    y = check_array("y", y, ANY)
    dy = check_array("dy", dy, ANY, y.dtype)
    return checked.relu_backward(dy, y, check_in_place("dx", dx, "dy", dy, y=y), backend)
