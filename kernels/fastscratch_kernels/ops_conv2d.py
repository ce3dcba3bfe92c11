"""Public convolutions, plain and fused with ReLU and max-pooling: they validate, `checked` allocates and dispatches."""

from __future__ import annotations

import operator

from . import checked
from ._checks import Array, check_array, check_given, check_shape
from .shapes import IntPair, Windows, pair, pooling


def _windows(stride: IntPair, padding: IntPair, dilation: IntPair, groups: int) -> Windows:
    try:
        groups = operator.index(groups)
    except TypeError:
        raise TypeError(f"groups must be an int, got {groups!r}") from None
    return pair("stride", stride, 1), pair("padding", padding, 0), pair("dilation", dilation, 1), groups


def _check_inputs(x: Array, w: Array, b: Array | None) -> tuple[Array, Array, Array | None]:
    x = check_array("x", x, "N H W C")
    w = check_array("w", w, "KH KW C/groups F", x.dtype)
    if 0 in w.shape:
        raise ValueError(f"w must not be empty, got shape {w.shape}")
    if b is not None:
        b = check_array("b", b, "F", x.dtype)
        if b.shape != w.shape[3:]:
            check_shape("b", b, w.shape[3:], f"w has {w.shape[3]} filters")
    return x, w, b


def _check_gradients(
    read: dict[str, Array], dx: Array | None, dw: Array | None, db: Array | None
) -> tuple[Array | None, Array | None, Array | None]:
    x, w = read["x"], read["w"]
    return (
        check_given("dx", dx, x.shape, x.dtype, **read),
        check_given("dw", dw, w.shape, x.dtype, **read, dx=dx),
        check_given("db", db, w.shape[3:], x.dtype, **read, dx=dx, dw=dw),
    )


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    out: Array | None = None,
    backend: str | None = None,
    algorithm: str = "auto",
    precision: str | None = None,
) -> Array:
    """Convolve images with filters (cross-correlation: the filters are not flipped, as in every framework).

    Parameters
    ----------
    x : ndarray of shape (N, H, W, C), float32 or float64
        Images, channels last. Arrays that are not C-contiguous are copied.
    w : ndarray of shape (KH, KW, C // groups, F), same dtype
        Filters.
    b : ndarray of shape (F,), same dtype, optional
        Added to every output position.
    stride, padding, dilation : int or (height, width)
        Steps between windows, zeros around the images, steps between the pixels of one window.
    groups : int
        Divides C and F: filters of group g see channels of group g alone; ``groups == C`` is depthwise.
    out : ndarray of shape (N, OH, OW, F), optional
        C-contiguous array of x's dtype to fill; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.
    algorithm : {"auto", "im2col", "direct", "winograd"}
        "im2col" writes the patches into a matrix, "direct" reads them where they lie, "winograd" multiplies less often
        and adds more, for 3 x 3 filters of stride 1; "auto" takes the fastest. The NumPy backend has "im2col" alone.
    precision : {"standard", "fast"}, optional
        "fast" allows Winograd's F(4x4,3x3), with rounding errors about ten times as large; None takes what
        `use_precision` set.

    Returns
    -------
    ndarray of shape (N, OH, OW, F)
        ``y[n, oh, ow, f] = b[f] + sum over i, j, c of x[n, oh sh + i dh - ph, ow sw + j dw - pw, c] w[i, j, c, f]``.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, parameters out of range, or a kernel that does not fit.

    Notes
    -----
    2 N OH OW F KH KW C / groups floating point operations. Where Winograd's algorithm is taken, a NaN or infinity in
    `x` makes the outputs that it takes part in NaN or infinite, as elsewhere, and may make NaN of an infinity or of
    others in the same tile (2 x 2 or 4 x 4 outputs).
    """
    x, w, b = _check_inputs(x, w, b)
    how = _windows(stride, padding, dilation, groups)
    return checked.conv2d(x, w, b, how, out, backend, algorithm, precision)


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    input_grad: bool = True,
    bias: bool = True,
    dx: Array | None = None,
    dw: Array | None = None,
    db: Array | None = None,
    backend: str | None = None,
    algorithm: str = "auto",
    precision: str | None = None,
) -> tuple[Array | None, Array, Array | None]:
    """Return the gradients of `conv2d` with respect to its input, filters and bias.

    Parameters
    ----------
    dy : ndarray of shape (N, OH, OW, F), float32 or float64
        Gradient of the loss with respect to the output.
    x : ndarray of shape (N, H, W, C), same dtype
        The input of the forward pass.
    w : ndarray of shape (KH, KW, C // groups, F), same dtype
        The filters of the forward pass.
    stride, padding, dilation, groups
        As in the forward pass.
    input_grad, bias : bool
        Whether `dx` and `db` are wanted; a first layer saves half its work without `dx`.
    dx, dw, db : ndarray, optional
        C-contiguous arrays to fill; None makes them.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.
    algorithm, precision
        As in the forward pass.

    Returns
    -------
    dx : ndarray of shape (N, H, W, C), or None
    dw : ndarray of shape (KH, KW, C // groups, F)
    db : ndarray of shape (F,), or None

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, parameters out of range, or a kernel that does not fit.
    """
    x, w, _ = _check_inputs(x, w, None)
    how = _windows(stride, padding, dilation, groups)
    dx, dw, db = _check_gradients({"dy": dy, "x": x, "w": w}, dx, dw, db)
    return checked.conv2d_backward(dy, x, w, how, input_grad, bias, dx, dw, db, backend, algorithm, precision)


def conv2d_relu_maxpool2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    pool_kernel_size: IntPair = 2,
    pool_stride: IntPair | None = None,
    pool_padding: IntPair = 0,
    out: Array | None = None,
    argmax: Array | None = None,
    backend: str | None = None,
    algorithm: str = "auto",
) -> tuple[Array, Array]:
    """Convolve, apply ReLU and max-pool as one block, without keeping what lies between.

    Parameters
    ----------
    x, w, b, stride, padding, dilation, groups
        As in `conv2d`.
    pool_kernel_size, pool_stride, pool_padding : int or (height, width)
        As in `maxpool2d`; the stride is the kernel size where it is None.
    out : ndarray of shape (N, PH, PW, F), optional
        C-contiguous array of x's dtype to fill; None makes one.
    argmax : ndarray of shape (N, PH, PW, F), uint8 (int32 for windows of 255 places and more), optional
        C-contiguous array to fill; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.
    algorithm : {"auto", "im2col", "direct", "winograd"}
        As in `conv2d`; "winograd" is there for 3 x 3 and 5 x 5 filters under a pooling of 2 x 2. For 5 x 5 its rounding
        errors are up to five times those of a plain sum.

    Returns
    -------
    y : ndarray of shape (N, PH, PW, F)
        ``maxpool(relu(conv(x, w) + b))``.
    argmax : ndarray of shape (N, PH, PW, F)
        The place ``i * KW + j`` of each number in its pooling window; the largest value of the dtype where ReLU
        switched all of the window off ("dead": no gradient).

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, parameters out of range, or a kernel that does not fit.
    """
    x, w, b = _check_inputs(x, w, b)
    how = _windows(stride, padding, dilation, groups)
    pool = pooling(pool_kernel_size, pool_stride, pool_padding, "pool_")
    return checked.conv2d_relu_maxpool2d(x, w, b, how, pool, out, argmax, backend, algorithm)


def conv2d_relu_maxpool2d_backward(
    dy: Array,
    argmax: Array,
    x: Array,
    w: Array,
    *,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    pool_kernel_size: IntPair = 2,
    pool_stride: IntPair | None = None,
    pool_padding: IntPair = 0,
    input_grad: bool = True,
    bias: bool = True,
    dx: Array | None = None,
    dw: Array | None = None,
    db: Array | None = None,
    backend: str | None = None,
) -> tuple[Array | None, Array, Array | None]:
    """Return the gradients of `conv2d_relu_maxpool2d` with respect to its input, filters and bias.

    Parameters
    ----------
    dy : ndarray of shape (N, PH, PW, F), float32 or float64
        Gradient of the loss with respect to the output.
    argmax : ndarray of shape (N, PH, PW, F)
        What the forward pass returned.
    x, w, stride, padding, dilation, groups, pool_kernel_size, pool_stride, pool_padding
        As in the forward pass.
    input_grad, bias, dx, dw, db, backend
        As in `conv2d_backward`.

    Returns
    -------
    dx : ndarray of shape (N, H, W, C), or None
    dw : ndarray of shape (KH, KW, C // groups, F)
    db : ndarray of shape (F,), or None

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, parameters out of range, or a kernel that does not fit.
    """
    x, w, _ = _check_inputs(x, w, None)
    how = _windows(stride, padding, dilation, groups)
    pool = pooling(pool_kernel_size, pool_stride, pool_padding, "pool_")
    dx, dw, db = _check_gradients({"dy": dy, "argmax": argmax, "x": x, "w": w}, dx, dw, db)
    return checked.conv2d_relu_maxpool2d_backward(
        dy, argmax, x, w, how, pool, input_grad, bias, dx, dw, db, backend
    )
