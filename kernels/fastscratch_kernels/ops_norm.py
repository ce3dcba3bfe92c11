"""Public batch normalization: validate once, allocate, dispatch."""

from __future__ import annotations

from ._checks import Array, check_array, check_out, check_shape
from ._registry import kernel


def _check_channels(x: Array, **vectors: Array) -> list[Array]:
    """Return `vectors` after checking that each holds one number a channel of `x`."""
    checked = []
    for name, vector in vectors.items():
        vector = check_array(name, vector, "C", x.dtype)
        check_shape(name, vector, x.shape[3:], f"x {x.shape}")
        checked.append(vector)
    return checked


def _check_images(x: Array) -> Array:
    x = check_array("x", x, "N H W C")
    if min(x.shape[1:]) < 1:
        raise ValueError(f"H, W and C must be at least 1, N alone may be 0: x {x.shape}")
    return x


def channel_moments(
    x: Array, *, mean: Array | None = None, var: Array | None = None, backend: str | None = None
) -> tuple[Array, Array]:
    """Return the mean and the biased variance of each channel, over N, H and W.

    Parameters
    ----------
    x : ndarray of shape (N, H, W, C), float32 or float64
        Images, channels last; at least one. Made C-contiguous where they are not.
    mean, var : ndarray of shape (C,), optional
        Arrays of x's dtype to fill; None makes them.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    mean, var : ndarray of shape (C,)
        The variance is divided by M = N H W, not by M - 1.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, or no images.
    """
    x = _check_images(x)
    if len(x) == 0:
        raise ValueError(f"a mean needs at least one image, got x {x.shape}")
    mean = check_out("mean", mean, x.shape[3:], x.dtype, x=x)
    var = check_out("var", var, x.shape[3:], x.dtype, x=x, mean=mean)
    kernel("channel_moments", backend)(x, mean, var)
    return mean, var


def batchnorm2d(
    x: Array,
    mean: Array,
    var: Array,
    weight: Array,
    bias: Array,
    *,
    eps: float = 1e-5,
    relu: bool = False,
    out: Array | None = None,
    backend: str | None = None,
) -> Array:
    """Normalize each channel, scale and shift it, and apply ReLU where that is asked for.

    Parameters
    ----------
    x : ndarray of shape (N, H, W, C), float32 or float64
        Images, channels last. Made C-contiguous where they are not.
    mean, var : ndarray of shape (C,), same dtype
        Of the batch (`channel_moments`), or in evaluation the running ones.
    weight, bias : ndarray of shape (C,), same dtype
        Scale and shift.
    eps : float
        Added to the variance.
    relu : bool
        Whether ReLU follows.
    out : ndarray of shape (N, H, W, C), optional
        C-contiguous array of x's dtype to fill; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of shape (N, H, W, C)
        ``weight (x - mean) / sqrt(var + eps) + bias``, or with `relu` the larger of that and 0.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape.

    Notes
    -----
    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
    2015.
    """
    x = _check_images(x)
    mean, var, weight, bias = _check_channels(x, mean=mean, var=var, weight=weight, bias=bias)
    out = check_out("out", out, x.shape, x.dtype, x=x, mean=mean, var=var, weight=weight, bias=bias)
    kernel("batchnorm2d", backend)(x, mean, var, weight, bias, out, float(eps), bool(relu))
    return out


def batchnorm2d_backward(
    dy: Array,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array,
    bias: Array,
    *,
    eps: float = 1e-5,
    relu: bool = False,
    training: bool = True,
    input_grad: bool = True,
    dx: Array | None = None,
    dweight: Array | None = None,
    dbias: Array | None = None,
    backend: str | None = None,
) -> tuple[Array | None, Array, Array]:
    """Return the gradients of `batchnorm2d` with respect to its input, scale and shift.

    Parameters
    ----------
    dy : ndarray of shape (N, H, W, C), float32 or float64
        Gradient of the loss with respect to the output.
    x, mean, var, weight, bias, eps, relu
        As in the forward pass.
    training : bool
        Whether `mean` and `var` are those of `x` and have a share in the gradient, or constants.
    input_grad : bool
        Whether `dx` is wanted.
    dx, dweight, dbias : ndarray, optional
        C-contiguous arrays to fill; None makes them.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    dx : ndarray of shape (N, H, W, C), or None
    dweight, dbias : ndarray of shape (C,)

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape.
    """
    x = _check_images(x)
    dy = check_array("dy", dy, "N H W C", x.dtype)
    check_shape("dy", dy, x.shape, f"x {x.shape}")
    mean, var, weight, bias = _check_channels(x, mean=mean, var=var, weight=weight, bias=bias)
    inputs = {"dy": dy, "x": x, "mean": mean, "var": var, "weight": weight, "bias": bias}
    dx = check_out("dx", dx, x.shape, x.dtype, **inputs) if input_grad else None
    dweight = check_out("dweight", dweight, x.shape[3:], x.dtype, **inputs, dx=dx)
    dbias = check_out("dbias", dbias, x.shape[3:], x.dtype, **inputs, dx=dx, dweight=dweight)
    kernel("batchnorm2d_backward", backend)(
        dy, x, mean, var, weight, bias, dx, dweight, dbias, float(eps), bool(relu), bool(training)
    )
    return dx, dweight, dbias
