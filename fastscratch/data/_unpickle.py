"""Read a pickle that may hold arrays of bytes, lists, dicts, strings and numbers, and nothing else.

A pickle is a program: it may name any function of any module and have it called. Of the names in a file, only the few
below are answered, and each with a stand-in of this module that can do nothing but keep bytes. So no code that the file
chooses is ever looked up, imported or run; NumPy itself sees the bytes only after their number and shape were checked.
What is not prevented: a file made to use much memory.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray


class RefusedError(ValueError):
    """The pickle names something that it may not have."""


class StoredArray:
    """Stands in for ``numpy.ndarray``: first made empty, then given its content, as a pickle does it."""

    def __init__(self, *_: object) -> None:
        self.content: NDArray[np.uint8] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_columns, raw = state
        self.content = _array(raw, dtype, shape, "F" if by_columns else "C")


class StoredDtype:
    """Stands in for ``numpy.dtype``, of which uint8 is the only one admitted."""

    def __init__(self, code: object, *_: object) -> None:
        if code not in ("u1", b"u1"):
            raise RefusedError(f"holds an array of {code!r}, only bytes ('u1') are read")

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and fields, which bytes have not."""


def _array(raw: bytes | bytearray, dtype: StoredDtype, shape: tuple[int, ...], order: Any) -> NDArray[np.uint8]:
    if not isinstance(dtype, StoredDtype) or not isinstance(raw, bytes | bytearray):
        raise RefusedError("holds an array that is not made of bytes")
    return np.frombuffer(raw, np.uint8).reshape(shape, order=order)


def _find(module: str, name: str) -> Any:
    """Return the stand-in for a name. Functions are made anew, so that a file can leave no mark on them."""
    match module, name:
        case ("numpy", "ndarray") | ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct"):
            return StoredArray
        case "numpy", "dtype":
            return StoredDtype
        case "numpy.core.numeric" | "numpy._core.numeric", "_frombuffer":  # protocol 5
            return lambda raw, dtype, shape, order: _array(raw, dtype, shape, order)
        case "_codecs", "encode":  # how Python 3 writes bytes for Python 2
            return _latin1_encoder()
    raise RefusedError(f"asks for {module}.{name}, but only arrays, bytes, lists and dicts are read")


def _latin1_encoder() -> Any:
    def encode(text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise RefusedError(f"asks for the encoding {encoding!r}")
        return text.encode("latin1")

    return encode


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _find(module, name)


def load_plain(raw: bytes) -> Any:
    """Read a pickle of plain values.

    Parameters
    ----------
    raw : bytes
        The whole file, of any protocol, written by Python 2 or 3 and NumPy 1 or 2.

    Returns
    -------
    object
        Strings of Python 2 as bytes; arrays, which must be uint8, as read-only ndarrays where they are values of an
        outer dict.

    Raises
    ------
    ValueError
        The pickle is damaged, or asks for anything else; `RefusedError` in the latter case.
    """
    try:
        value = _Reader(io.BytesIO(raw), encoding="bytes").load()
    except RefusedError:
        raise
    except Exception as error:  # bytes at random can make the unpickler raise nearly any type
        raise ValueError(f"is truncated or damaged ({type(error).__name__}: {error})") from error
    if isinstance(value, dict):
        return {key: item.content if isinstance(item, StoredArray) else item for key, item in value.items()}
    return value
