"""Public max- and average-pooling: validate once, allocate, dispatch."""

from __future__ import annotations

from ._checks import Array, check_array, check_input_shape, check_out, check_shape
from ._registry import kernel
from .shapes import IntPair, Pool, argmax_dtype, pool2d_shape, pooling


def _describe(shape: tuple[int, ...], pool: Pool) -> str:
    return f"input_shape {shape}, kernel_size {pool[0]}, stride {pool[1]}, padding {pool[2]}"


def maxpool2d(
    x: Array,
    kernel_size: IntPair,
    *,
    stride: IntPair | None = None,
    padding: IntPair = 0,
    out: Array | None = None,
    argmax: Array | None = None,
    backend: str | None = None,
) -> tuple[Array, Array]:
    """Take the largest number of each window.

    Parameters
    ----------
    x : ndarray of shape (N, H, W, C), float32 or float64
        Images, channels last. Made C-contiguous where they are not.
    kernel_size : int or (height, width)
        The window.
    stride : int or (height, width), optional
        Steps between windows; None takes the kernel size.
    padding : int or (height, width)
        A border of -inf, at most half the kernel wide.
    out : ndarray of shape (N, OH, OW, C), optional
        C-contiguous array of x's dtype to fill; None makes one.
    argmax : ndarray of shape (N, OH, OW, C), uint8 (int32 for windows of 255 places and more), optional
        C-contiguous array to fill; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    y : ndarray of shape (N, OH, OW, C)
        The maxima. NaN where a window holds a NaN.
    argmax : ndarray of shape (N, OH, OW, C)
        The place ``i * KW + j`` of each maximum in its window: of equal ones the first, as in PyTorch.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, parameters out of range, or a window that does not fit.

    Notes
    -----
    Rows and columns that are left over at the bottom and right are ignored (PyTorch's ``ceil_mode=False``).
    """
    x = check_array("x", x, "N H W C")
    pool = pooling(kernel_size, stride, padding)
    shape = pool2d_shape(x.shape, *pool)
    out = check_out("out", out, shape, x.dtype, x=x)
    argmax = check_out("argmax", argmax, shape, argmax_dtype(pool[0]), x=x, out=out)
    kernel("maxpool2d", backend)(x, out, argmax, *pool)
    return out, argmax


def maxpool2d_backward(
    dy: Array,
    argmax: Array,
    input_shape: tuple[int, int, int, int],
    kernel_size: IntPair,
    *,
    stride: IntPair | None = None,
    padding: IntPair = 0,
    dx: Array | None = None,
    backend: str | None = None,
) -> Array:
    """Return the gradient of `maxpool2d` with respect to its input: each number goes to its argmax.

    Parameters
    ----------
    dy : ndarray of shape (N, OH, OW, C), float32 or float64
        Gradient of the loss with respect to the output.
    argmax : ndarray of shape (N, OH, OW, C)
        What the forward pass returned.
    input_shape : (N, H, W, C)
        The shape of the forward pass's input.
    kernel_size, stride, padding
        As in the forward pass.
    dx : ndarray of shape (N, H, W, C), optional
        C-contiguous array to fill; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of shape (N, H, W, C)

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, parameters out of range, or a window that does not fit.
    """
    dy = check_array("dy", dy, "N OH OW C")
    shape = check_input_shape(input_shape)
    pool = pooling(kernel_size, stride, padding)
    out_shape = pool2d_shape(shape, *pool)
    check_shape("dy", dy, out_shape, _describe(shape, pool))
    argmax = check_array("argmax", argmax, "N OH OW C", argmax_dtype(pool[0]))
    check_shape("argmax", argmax, out_shape, _describe(shape, pool))
    dx = check_out("dx", dx, shape, dy.dtype, dy=dy, argmax=argmax)
    kernel("maxpool2d_backward", backend)(dy, argmax, dx, *pool)
    return dx


def avgpool2d(
    x: Array,
    kernel_size: IntPair,
    *,
    stride: IntPair | None = None,
    padding: IntPair = 0,
    count_include_pad: bool = True,
    out: Array | None = None,
    backend: str | None = None,
) -> Array:
    """Take the mean of each window.

    Parameters
    ----------
    x : ndarray of shape (N, H, W, C), float32 or float64
        Images, channels last. Made C-contiguous where they are not.
    kernel_size, stride, padding
        As in `maxpool2d`, with a border of zeros.
    count_include_pad : bool
        Whether a window at the border is divided by its whole size, or by its part inside the image.
    out : ndarray of shape (N, OH, OW, C), optional
        C-contiguous array of x's dtype to fill; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of shape (N, OH, OW, C)

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, parameters out of range, or a window that does not fit.
    """
    x = check_array("x", x, "N H W C")
    pool = pooling(kernel_size, stride, padding)
    out = check_out("out", out, pool2d_shape(x.shape, *pool), x.dtype, x=x)
    kernel("avgpool2d", backend)(x, out, *pool, bool(count_include_pad))
    return out


def avgpool2d_backward(
    dy: Array,
    input_shape: tuple[int, int, int, int],
    kernel_size: IntPair,
    *,
    stride: IntPair | None = None,
    padding: IntPair = 0,
    count_include_pad: bool = True,
    dx: Array | None = None,
    backend: str | None = None,
) -> Array:
    """Return the gradient of `avgpool2d` with respect to its input: each number is shared out over its window.

    Parameters
    ----------
    dy : ndarray of shape (N, OH, OW, C), float32 or float64
        Gradient of the loss with respect to the output.
    input_shape : (N, H, W, C)
        The shape of the forward pass's input.
    kernel_size, stride, padding, count_include_pad
        As in the forward pass.
    dx : ndarray of shape (N, H, W, C), optional
        C-contiguous array to fill; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of shape (N, H, W, C)

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, parameters out of range, or a window that does not fit.
    """
    dy = check_array("dy", dy, "N OH OW C")
    shape = check_input_shape(input_shape)
    pool = pooling(kernel_size, stride, padding)
    check_shape("dy", dy, pool2d_shape(shape, *pool), _describe(shape, pool))
    dx = check_out("dx", dx, shape, dy.dtype, dy=dy)
    kernel("avgpool2d_backward", backend)(dy, dx, *pool, bool(count_include_pad))
    return dx
