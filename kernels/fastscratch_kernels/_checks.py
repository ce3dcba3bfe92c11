"""What the public ops ask of their arrays, once for all backends."""

from __future__ import annotations

import functools
import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._memory import CACHE_LINE, address, from_cache_line, unfilled

Array = np.ndarray[Any, np.dtype[Any]]

_SMALL = 65536  # numbers; finding the place takes as long as it saves there

ANY = "..."

FLOATS = "fd"
"""float32 and float64, as `dtype.char` has them."""


@functools.cache
def _count(axes: str) -> int:
    return len(axes.split())


def check_array(
    name: str, array: Any, axes: str, dtype: np.dtype[Any] | None = None, kinds: str = FLOATS
) -> Array:
    """Return `array` C-contiguous and aligned, else a copy that is, after checking its type and number of axes.

    Parameters
    ----------
    name : str
        The parameter's name, for the error.
    array : ndarray
        What the caller passed.
    axes : str
        The axes it must have, one word each: "N H W C"; "..." allows any.
    dtype : dtype, optional
        The dtype it must have; None allows all of `kinds`.
    kinds : str
        The dtypes allowed, a letter each as in ``dtype.char``; float32 and float64 without it.

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
        and array.dtype.char in kinds
        and (axes == ANY or array.ndim == _count(axes))
        and array.flags.carray  # C-contiguous, aligned, and writable, as arrays are
        and array.dtype.isnative
    ):
        return array  # as it is in every step of a training run
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be an ndarray of shape ({axes.replace(' ', ', ')}), got {type(array).__name__}")
    if dtype is None:
        allowed = [np.dtype(kind) for kind in kinds]
        if array.dtype not in allowed:
            listed = ", ".join(map(str, allowed[:-1])) + " or " * (len(allowed) > 1) + str(allowed[-1])
            raise TypeError(f"{name} must be {listed}, got {array.dtype}")
    elif array.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, as the other arrays are, got {array.dtype}")
    if axes != ANY and array.ndim != _count(axes):
        raise ValueError(f"{name} must have the axes ({axes.replace(' ', ', ')}), got shape {array.shape}")
    # Where numbers do not lie at multiples of their size, C may not read them.
    return array if array.flags.c_contiguous and array.flags.aligned else np.array(array, order="C")


def check_shape(name: str, array: Array, shape: Sequence[int], because: str) -> None:
    """Raise ValueError unless `array` has `shape`; `because` names the values that ask for it."""
    if array.shape != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {array.shape}: {because}")


def empty(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Return a new array that begins at a cache line, unless it is small: vectors then never straddle two of them."""
    size = math.prod(shape)
    if size < _SMALL:
        return np.empty(shape, dtype)
    return from_cache_line(unfilled(size + CACHE_LINE // dtype.itemsize, dtype), size).reshape(shape)


def check_out(name: str, out: Any, shape: Sequence[int], dtype: np.dtype[Any], /, **others: Array | None) -> Array:
    """Return an array to fill: a new one where `out` is None, else `out` after checking that it can be filled.

    Parameters
    ----------
    name : str
        The parameter's name, for the error.
    out : ndarray or None
        What the caller passed.
    shape, dtype
        What it must have.
    **others : ndarray or None
        Arrays by name that are read, or filled too, while `out` is being filled.

    Raises
    ------
    TypeError
        If `out` is no array or of another dtype.
    ValueError
        If it has another shape, is not C-contiguous and aligned, cannot be written, or shares memory with one of the
        others.
    """
    if out is None:
        return empty(shape, dtype)
    shape = tuple(shape)
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        raise TypeError(f"{name} must be an ndarray of {dtype}, got {getattr(out, 'dtype', type(out).__name__)}")
    if out.shape != shape or not out.flags.carray:
        raise ValueError(
            f"{name} must be a writable C-contiguous array of shape {shape}, got shape {out.shape}, "
            f"C-contiguous {out.flags.c_contiguous}, writable {out.flags.writeable}, aligned {out.flags.aligned}"
        )
    for other, array in others.items():
        # Others that are not contiguous are copied before they are read; of the rest the bounds tell all.
        if isinstance(array, np.ndarray) and array.flags.c_contiguous and np.may_share_memory(out, array):
            raise ValueError(f"{name} must not share memory with {other}, which is in use while {name} is filled")
    return out


def check_given(
    name: str, out: Any, shape: Sequence[int], dtype: np.dtype[Any], /, **others: Array | None
) -> Array | None:
    """Return `out` after the checks of `check_out`, or None where there is none."""
    return None if out is None else check_out(name, out, shape, dtype, **others)


def check_in_place(name: str, out: Any, own_name: str, own: Array, /, **others: Array | None) -> Array:
    """Return `out` after the checks of `check_out`, or a new array like `own`; `out` may be `own`, but no part of it.

    Parameters
    ----------
    name, out, **others
        As in `check_out`.
    own_name : str
        The other parameter's name, for the error.
    own : ndarray
        The C-contiguous array whose next value is filled in, number by number.
    """
    if out is not own and isinstance(out, np.ndarray) and (out.shape != own.shape or address(out) != address(own)):
        others = {own_name: own, **others}
    return check_out(name, out, own.shape, own.dtype, **others)


def check_number(name: str, value: Any) -> float:
    """Return a parameter as a float.

    Raises
    ------
    TypeError
        If it is no real number.
    """
    if type(value) is not float and not isinstance(value, numbers.Real):  # which takes several times as long
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(value)


def check_input_shape(input_shape: Any) -> tuple[int, ...]:
    """Return the shape (N, H, W, C) of the input that a backward op is asked for.

    Raises
    ------
    ValueError
        If it is not a sequence of four whole numbers of at least 0.
    """
    try:
        shape = tuple(operator.index(size) for size in input_shape)
    except TypeError:
        shape = ()
    if len(shape) != 4 or min(shape) < 0:
        raise ValueError(f"input_shape must be (N, H, W, C), got {input_shape!r}")
    return shape
