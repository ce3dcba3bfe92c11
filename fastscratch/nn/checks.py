"""What layers, losses, optimizers and schedules ask of their inputs, sizes and settings."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from fastscratch_kernels.shapes import Pair, pair

if TYPE_CHECKING:
    from .module import Module
    from .parameter import Array, Shape

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


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
        size = None
    if size is None or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if size < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {value}")
    return size


def check_pair(name: str, value: Any, *, at_least: int) -> Pair:
    """Return `value` as a (height, width) pair of ints of `at_least`; raises as `check_size`."""
    if any(isinstance(size, bool) for size in (value if isinstance(value, tuple | list) else [value])):
        raise TypeError(f"{name} must be an int or a pair (height, width) of ints, got {value!r}")
    return pair(name, value, at_least)


def check_shape(shape: Any) -> Shape:
    """Return `shape`, that of one image without N, as a tuple of ints.

    Raises
    ------
    TypeError
        If it is no sequence of ints.
    ValueError
        If one is negative.
    """
    try:
        sizes = tuple(shape)
    except TypeError:
        raise TypeError(f"input_shape must be a tuple of ints, that of one image without N, got {shape!r}") from None
    return tuple(check_size("each size of input_shape", size, at_least=0) for size in sizes)


def check_image_shape(layer: Module, shape: Any, channels: int | None = None) -> Shape:
    """Return `shape` as (H, W, C); raises as `check_shape`, or ValueError for other axes or channels."""
    sizes = check_shape(shape)
    if len(sizes) != 3 or (channels is not None and sizes[2] != channels):
        raise ValueError(f"{layer!r} takes (H, W, {channels or 'C'}) an image, got {sizes}")
    return sizes


def check_float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return `dtype` as a NumPy dtype; raise TypeError unless it is float32 or float64."""
    try:
        checked = None if dtype is None else np.dtype(dtype)  # of None NumPy makes float64
    except TypeError:
        checked = None
    if checked is None or checked not in FLOATS:  # None equals NumPy's default, float64
        raise TypeError(f"dtype must be float32 or float64, got {dtype if checked is None else checked}")
    return checked


def check_number(
    name: str,
    value: Any,
    *,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Return `value` as a float in the given range; a bound of `above` or `below` is itself outside.

    Raises
    ------
    TypeError
        If it is no real number.
    ValueError
        If it is not finite, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:  # of an int that no float holds
        number = -math.inf if value < 0 else math.inf
    if not (at_least <= number <= at_most and above < number < below):  # written so that NaN and infinities fail
        bounds = [("at least", at_least), ("above", above), ("at most", at_most), ("below", below)]
        allowed = [f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound)]
        if not allowed or number == math.inf == min(at_most, below):
            allowed.append("finite")
        raise ValueError(f"{name} must be {' and '.join(allowed)}, got {value}")
    return number


def check_float(layer: Module, x: Any, dtype: np.dtype[Any] | None = None) -> None:
    """Raise TypeError unless `x` is an array of `dtype`, or of float32 or float64 where that is None."""
    if type(x) is np.ndarray and (x.dtype == dtype if dtype is not None else x.dtype in FLOATS):
        return
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{layer!r} takes an ndarray, got {type(x).__name__}")
    if dtype is None:
        if x.dtype not in FLOATS:
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
    if dy.dtype not in FLOATS:
        raise TypeError(f"{layer!r} takes a gradient of float32 or float64, got {dy.dtype}")
