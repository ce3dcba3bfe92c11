"""What the public ops ask of their arrays, once for all backends."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

CACHE_LINE = 64
_SMALL = 65536  # numbers; finding the place takes as long as it saves there. NumPy's own alignment is 16 bytes

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


@functools.cache
def _count(axes: str) -> int:
    return len(axes.split())


def check_array(name: str, array: Any, axes: str, dtype: np.dtype[Any] | None = None) -> Array:
    """Return `array` C-contiguous after checking its type and number of axes.

    Parameters
    ----------
    name : str
        The parameter's name, for the error.
    array : ndarray
        What the caller passed.
    axes : str
        The axes it must have, one word each: "N H W C".
    dtype : dtype, optional
        The dtype it must have; None allows float32 and float64.

    Raises
    ------
    TypeError
        If it is no array, or of another dtype.
    ValueError
        If it has another number of axes.
    """
    if (
        type(array) is np.ndarray
        and array.dtype is (dtype or array.dtype)
        and array.dtype.char in "fd"
        and array.ndim == _count(axes)
        and array.flags.c_contiguous
        and array.dtype.isnative
    ):
        return array  # as it is in every step of a training run
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be an ndarray of shape ({axes.replace(' ', ', ')}), got {type(array).__name__}")
    if dtype is None:
        if array.dtype not in _DTYPES:
            raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    elif array.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, as the other arrays are, got {array.dtype}")
    if array.ndim != _count(axes):
        raise ValueError(f"{name} must have the axes ({axes.replace(' ', ', ')}), got shape {array.shape}")
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def check_shape(name: str, array: Array, shape: Sequence[int], because: str) -> None:
    """Raise ValueError unless `array` has `shape`; `because` names the values that ask for it."""
    if array.shape != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {array.shape}: {because}")


def empty(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Return a new array that begins at a cache line, unless it is small: vectors then never straddle two of them."""
    size = math.prod(shape)
    if size < _SMALL:
        return np.empty(shape, dtype)
    room = np.empty(size + CACHE_LINE // dtype.itemsize, dtype)
    start = -room.__array_interface__["data"][0] % CACHE_LINE // dtype.itemsize
    return room[start : start + size].reshape(shape)


def check_out(name: str, out: Any, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Return an array to fill: a new one where `out` is None, else `out` after checking that it can be filled.

    Raises
    ------
    TypeError
        If `out` is no array or of another dtype.
    ValueError
        If it has another shape, is not C-contiguous or cannot be written.
    """
    if out is None:
        return empty(shape, dtype)
    shape = tuple(shape)
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        raise TypeError(f"{name} must be an ndarray of {dtype}, got {getattr(out, 'dtype', type(out).__name__)}")
    if out.shape != shape or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(
            f"{name} must be a writable C-contiguous array of shape {shape}, got shape {out.shape}, "
            f"C-contiguous {out.flags.c_contiguous}, writable {out.flags.writeable}"
        )
    return out


def check_given(name: str, out: Any, shape: Sequence[int], dtype: np.dtype[Any]) -> Array | None:
    """Return `out` after the checks of `check_out`, or None where there is none."""
    return None if out is None else check_out(name, out, shape, dtype)


def check_input_shape(input_shape: Any, axes: int = 4) -> tuple[int, ...]:
    """Return the shape of the input that a backward op is asked for, as a tuple of `axes` sizes.

    Raises
    ------
    ValueError
        If it is not a sequence of `axes` whole numbers of at least 0.
    """
    try:
        shape = tuple(int(size) for size in input_shape)
    except (TypeError, ValueError):
        shape = ()
    if len(shape) != axes or min(shape) < 0:
        raise ValueError(f"input_shape must be (N, H, W, C), got {input_shape!r}")
    return shape
