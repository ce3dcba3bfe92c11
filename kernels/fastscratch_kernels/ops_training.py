"""Public ops of the training step beside the layers: the optimizers' updates, and softmax with its cross entropy."""

from __future__ import annotations

from ._checks import Array, check_array, check_in_place, check_number, check_out, check_shape
from ._registry import kernel


def _check_alike(value: Array, **others: Array) -> list[Array]:
    """Return `others` after checking that they have the shape and dtype of `value`."""
    checked = []
    for name, other in others.items():
        other = check_array(name, other, "size", value.dtype)
        check_shape(name, other, value.shape, f"value {value.shape}")
        checked.append(other)
    return checked


def sgd_step(
    value: Array,
    grad: Array,
    velocity: Array | None = None,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    decay: float = 0.0,
    out: Array | None = None,
    out_velocity: Array | None = None,
    backend: str | None = None,
) -> tuple[Array, Array | None]:
    """Return the parameters after a step of stochastic gradient descent, and their velocities.

    Parameters
    ----------
    value, grad : ndarray of shape (size,), float32 or float64
        All parameters in a row, and their gradients.
    velocity : ndarray of shape (size,), same dtype, optional
        None for a step without momentum.
    lr, momentum, decay : float
        Learning rate, the velocity's share that survives, the share of `value` that is added to `grad`.
    nesterov : bool
        Whether the gradient is taken as if the coming part of the velocity were already gone along.
    out, out_velocity : ndarray of shape (size,), optional
        C-contiguous arrays to fill, which may be `value` and `velocity`; None makes them. Without `velocity` there is
        no `out_velocity` to fill.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    value : ndarray of shape (size,)
    velocity : ndarray of shape (size,), or None

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, one to fill that shares memory with one that is read, or a number that is
        none.

    Notes
    -----
    ``u = momentum u + g`` with ``g = grad + decay value``; ``value - lr u``, or with Nesterov ``value - lr (g +
    momentum u)``.
    """
    lr, momentum, decay = map(check_number, ("lr", "momentum", "decay"), (lr, momentum, decay))
    value = check_array("value", value, "size")
    (grad,) = _check_alike(value, grad=grad)
    if velocity is not None:
        (velocity,) = _check_alike(value, velocity=velocity)
    out = check_in_place("out", out, "value", value, grad=grad, velocity=velocity)
    if velocity is not None:
        read = {"value": value, "grad": grad, "out": out}
        out_velocity = check_in_place("out_velocity", out_velocity, "velocity", velocity, **read)
    elif out_velocity is not None:
        raise TypeError(f"out_velocity must be None without velocity, got {type(out_velocity).__name__}")
    kernel("sgd_step", backend)(value, grad, velocity, out, out_velocity, lr, momentum, bool(nesterov), decay)
    return out, out_velocity


def adam_step(
    value: Array,
    grad: Array,
    m: Array,
    v: Array,
    *,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    decay: float = 0.0,
    shrink: float = 1.0,
    out: Array | None = None,
    out_m: Array | None = None,
    out_v: Array | None = None,
    backend: str | None = None,
) -> tuple[Array, Array, Array]:
    """Return the parameters after a step of Adam, and both moments.

    Parameters
    ----------
    value, grad : ndarray of shape (size,), float32 or float64
        All parameters in a row, and their gradients.
    m, v : ndarray of shape (size,), same dtype
        The mean gradient and the mean squared gradient.
    lr, eps : float
        Learning rate and ε, with whatever makes up for moments that began at 0.
    beta1, beta2 : float
        The shares of m and v that survive.
    decay, shrink : float
        The share of `value` that is added to `grad`; what `value` is multiplied by instead, in AdamW.
    out, out_m, out_v : ndarray of shape (size,), optional
        C-contiguous arrays to fill, which may be `value`, `m` and `v`; None makes them.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    value, m, v : ndarray of shape (size,)

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, one to fill that shares memory with one that is read, or a number that is
        none.

    Notes
    -----
    ``m = beta1 m + (1 - beta1) g``, ``v = beta2 v + (1 - beta2) g^2``, ``shrink value - lr m / (sqrt(v) + eps)``.
    """
    lr, beta1, beta2 = map(check_number, ("lr", "beta1", "beta2"), (lr, beta1, beta2))
    eps, decay, shrink = map(check_number, ("eps", "decay", "shrink"), (eps, decay, shrink))
    value = check_array("value", value, "size")
    grad, m, v = _check_alike(value, grad=grad, m=m, v=v)
    out = check_in_place("out", out, "value", value, grad=grad, m=m, v=v)
    out_m = check_in_place("out_m", out_m, "m", m, value=value, grad=grad, v=v, out=out)
    out_v = check_in_place("out_v", out_v, "v", v, value=value, grad=grad, m=m, out=out, out_m=out_m)
    kernel("adam_step", backend)(value, grad, m, v, out, out_m, out_v, lr, beta1, beta2, eps, decay, shrink)
    return out, out_m, out_v


def log_softmax(z: Array, *, out: Array | None = None, backend: str | None = None) -> Array:
    """Return the logarithm of the softmax of each row.

    Parameters
    ----------
    z : ndarray of shape (N, K), float32 or float64
        Logits; K at least 1. Made C-contiguous where they are not.
    out : ndarray of shape (N, K), optional
        C-contiguous array to fill; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of shape (N, K)
        ``z - max z - log sum exp(z - max z)``; where a row holds NaN or +inf, all of it is NaN.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, or one to fill that shares memory with one that is read.
    """
    z = check_array("z", z, "N K")
    if z.shape[1] < 1:
        raise ValueError(f"K must be at least 1: z {z.shape}")
    out = check_out("out", out, z.shape, z.dtype, z=z)
    kernel("log_softmax", backend)(z, out)
    return out


def cross_entropy_backward(
    log_p: Array, q: Array, *, dz: Array | None = None, backend: str | None = None
) -> Array:
    """Return the gradient of ``mean over N of -sum q log p`` with respect to the logits.

    Parameters
    ----------
    log_p : ndarray of shape (N, K), float32 or float64
        What `log_softmax` returned.
    q : ndarray of shape (N, K), same dtype
        The wanted distributions.
    dz : ndarray of shape (N, K), optional
        C-contiguous array to fill; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of shape (N, K)
        ``(exp(log_p) sum(q) - q) / N``.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape, or one to fill that shares memory with one that is read.
    """
    log_p = check_array("log_p", log_p, "N K")
    q = check_array("q", q, "N K", log_p.dtype)
    check_shape("q", q, log_p.shape, f"log_p {log_p.shape}")
    dz = check_out("dz", dz, log_p.shape, log_p.dtype, log_p=log_p, q=q)
    kernel("cross_entropy_backward", backend)(log_p, q, dz)
    return dz
