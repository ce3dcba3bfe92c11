"""What layers, losses, optimizers and schedules ask of their inputs, sizes and settings."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .module import Module
    from .parameter import Array

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def check_size(name: str, value: Any, *, at_least: int = 1) -> int:
    """Return `value` as an int, which must not be below `at_least`.

    Raises
    ------
    TypeError
        If it is no int.
    ValueError
        If it is too small.
    """
    try:
        size = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, got {value!r}") from None
    if size < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {value}")
    return size


def check_real(name: str, value: Any) -> float:
    """Return `value` as a float; raise TypeError if it is no real number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(value)


def check_number(
    name: str, value: Any, *, at_least: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> float:
    """Return `value` as a float in the given range; a bound of `above` or `below` is itself outside.

    Raises
    ------
    TypeError
        If it is no real number.
    ValueError
        If it is not finite, or out of range.
    """
    number = check_real(name, value)
    if not (at_least <= number and above < number < below):  # written so that NaN and infinities fail
        bounds = [("at least", at_least), ("above", above), ("below", below)]
        allowed = " and ".join(f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound))
        raise ValueError(f"{name} must be {allowed or 'finite'}, got {value}")
    return number


def check_float(layer: Module, x: Any, dtype: np.dtype[Any] | None = None) -> None:
    """Raise TypeError unless `x` is an array of `dtype`, or of float32 or float64 where that is None."""
    if type(x) is np.ndarray and (x.dtype == dtype if dtype is not None else x.dtype in _FLOATS):
        return
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{layer!r} takes an ndarray, got {type(x).__name__}")
    if dtype is None:
        if x.dtype not in _FLOATS:
            raise TypeError(f"{layer!r} takes float32 or float64, got {x.dtype}")
    elif x.dtype != dtype:
        raise TypeError(f"{layer!r} has parameters of {dtype} and takes inputs of it, got {x.dtype}")


def check_images(layer: Module, x: Any, dtype: np.dtype[Any] | None = None, channels: int | None = None) -> None:
    """Raise unless `x` is an array (N, H, W, C) of `dtype` with the right number of channels.

    Raises
    ------
    TypeError
        If it is no array, or of another dtype.
    ValueError
        If it has another number of axes or channels.
    """
    check_float(layer, x, dtype)
    if x.ndim != 4 or (channels is not None and x.shape[3] != channels):
        raise ValueError(f"{layer!r} takes (N, H, W, {channels or 'C'}), got shape {x.shape}")


def check_gradient(layer: Module, dy: Array, shape: tuple[int, ...]) -> None:
    """Raise unless `dy` has the `shape` of the output.

    Raises
    ------
    TypeError
        If it is no array of float32 or float64.
    ValueError
        If it has another shape.
    """
    if not isinstance(dy, np.ndarray):
        raise TypeError(f"{layer!r} takes an ndarray as gradient, got {type(dy).__name__}")
    if dy.shape != shape:
        raise ValueError(f"{layer!r} had an output of shape {shape}, got a gradient of shape {dy.shape}")
    if dy.dtype not in _FLOATS:
        raise TypeError(f"{layer!r} takes a gradient of float32 or float64, got {dy.dtype}")
