"""Public im2col and col2im: validate once, allocate, dispatch."""

from __future__ import annotations

from ._checks import Array, check_array, check_input_shape, check_out, check_shape
from ._registry import kernel
from .shapes import IntPair, pair, window_shape


def im2col(
    x: Array,
    kernel_size: IntPair,
    *,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    out: Array | None = None,
    backend: str | None = None,
) -> Array:
    """Lay out the patch that each output position of a convolution sees as one row.

    Parameters
    ----------
    x : ndarray of shape (N, H, W, C), float32 or float64
        Images, channels last. Made C-contiguous where they are not.
    kernel_size, stride, padding, dilation : int or (height, width)
        The windows. Beyond the border the images are zero.
    out : ndarray of shape (N, OH, OW, KH * KW * C), optional
        C-contiguous array of x's dtype to fill; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of shape (N, OH, OW, KH * KW * C)
        ``out[n, oh, ow, (i * KW + j) * C + c] = x[n, oh * sh + i * dh - ph, ow * sw + j * dw - pw, c]``.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, parameters out of range, or windows that do not fit.

    Notes
    -----
    The result is KH * KW times as large as `x` where the stride is 1. With it, a convolution is
    ``cols @ w.reshape(KH * KW * C, F)``: Chellapilla, Puri and Simard, "High performance convolutional neural
    networks for document processing", 2006.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)
    >>> im2col(x, (2, 2))[0, 0]
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.]], dtype=float32)
    """
    x = check_array("x", x, "N H W C")
    k, s = pair("kernel_size", kernel_size, 1), pair("stride", stride, 1)
    p, d = pair("padding", padding, 0), pair("dilation", dilation, 1)
    oh, ow = window_shape(x.shape, k, s, p, d)
    out = check_out("out", out, (x.shape[0], oh, ow, k[0] * k[1] * x.shape[3]), x.dtype, x=x)
    kernel("im2col", backend)(x, out, k, s, p, d)
    return out


def col2im(
    cols: Array,
    input_shape: tuple[int, int, int, int],
    kernel_size: IntPair,
    *,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    out: Array | None = None,
    backend: str | None = None,
) -> Array:
    """Add the rows of a patch matrix back into images: the adjoint of `im2col`, not its inverse.

    Parameters
    ----------
    cols : ndarray of shape (N, OH, OW, KH * KW * C), float32 or float64
        One patch a row.
    input_shape : (N, H, W, C)
        The shape of the images.
    kernel_size, stride, padding, dilation : int or (height, width)
        As they were for `im2col`.
    out : ndarray of shape (N, H, W, C), optional
        C-contiguous array of cols' dtype to fill; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of shape (N, H, W, C)
        At each pixel the sum of all entries of `cols` that `im2col` would have read there;
        ``sum(im2col(x) * cols) == sum(x * col2im(cols))`` for all x.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, parameters out of range, or windows that do not fit.
    """
    cols = check_array("cols", cols, "N OH OW KH*KW*C")
    shape = check_input_shape(input_shape)
    k, s = pair("kernel_size", kernel_size, 1), pair("stride", stride, 1)
    p, d = pair("padding", padding, 0), pair("dilation", dilation, 1)
    oh, ow = window_shape(shape, k, s, p, d)
    because = f"input_shape {shape}, kernel_size {k}, stride {s}, padding {p}, dilation {d}"
    check_shape("cols", cols, (shape[0], oh, ow, k[0] * k[1] * shape[3]), because)
    out = check_out("out", out, shape, cols.dtype, cols=cols)
    kernel("col2im", backend)(cols, out, k, s, p, d)
    return out
