"""Memory for new arrays that earlier arrays have done with.

The operating system hands out memory page by page and clears each of them. Of shorter arrays the C library keeps the
memory, but long ones it asks for and gives back each time, so that a training step on a large batch pays again for
arrays that the step before had, with some 5 % of its time. So does a step on a small batch for what a kernel works in.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

CACHE_LINE = 64
"""Bytes. NumPy's own alignment is 16."""

LEAST = 32 << 20
"""Bytes of an array that is worth it: up to here glibc's malloc comes to keep what has been freed."""


class _Kept(threading.local):
    free: dict[int, list[Array]] | None = None
    """Memory that no array uses, by its bytes; None where nothing is kept."""

    def __init__(self) -> None:
        self.working: dict[str, Array] = {}


_kept = _Kept()


@contextmanager
def reuse_memory() -> Iterator[None]:
    """Keep the memory of this thread's large arrays for later ones of the same size, inside a ``with`` block.

    An op's result is made in memory that no array or view uses any more, and holds anything until it is filled, as a
    new array does; numbers do not depend on it. At the end of the block what is not in use is given back. A block
    inside another has memory of its own.

    >>> import numpy as np
    >>> import fastscratch_kernels as kernels
    >>> x = np.ones((64, 32, 32, 3), np.float32)
    >>> with kernels.reuse_memory():
    ...     for _ in range(10):
    ...         y = kernels.avgpool2d(x, 2)
    """
    before, _kept.free = _kept.free, {}
    try:
        yield
    finally:
        _kept.free = before


class working_memory:
    """An array (size,) for the time of a ``with`` block, which holds anything and begins at a cache line.

    Its memory is kept, and is that of the calling thread's next block of the same name: the largest that was asked for,
    until the thread ends. A kernel that a signal handler calls inside the block gets memory of its own. After an error
    nothing is kept: where an interrupt is followed by another one, a helper may be at work still.

    Parameters
    ----------
    name : str
        What it is for.
    size : int
        How many numbers.
    dtype : dtype
        Of which kind.
    """

    __slots__ = ("_bytes", "_dtype", "_memory", "_name")

    def __init__(self, name: str, size: int, dtype: np.dtype[Any]) -> None:
        self._name, self._bytes, self._dtype = name, size * dtype.itemsize, dtype

    def __enter__(self) -> Array:
        memory = _kept.working.pop(self._name, None)
        if memory is None or len(memory) < self._bytes:
            memory = from_cache_line(np.empty(self._bytes + CACHE_LINE, np.uint8), self._bytes)
        self._memory = memory
        return memory[: self._bytes].view(self._dtype)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            _kept.working[self._name] = self._memory


def address(array: Array) -> int:
    """Return where an array's first number lies."""
    place: int = array.__array_interface__["data"][0]
    return place


def from_cache_line(room: Array, size: int) -> Array:
    """Return `size` numbers of `room`, which has a cache line more, from where one begins."""
    start = -address(room) % CACHE_LINE // room.itemsize
    return room[start : start + size]


def unfilled(size: int, dtype: np.dtype[Any]) -> Array:
    """Return an array (size,) that holds anything, in kept memory where there is some of its size."""
    length = size * dtype.itemsize
    if _kept.free is None or length < LEAST:
        return np.empty(size, dtype)
    free = _kept.free.setdefault(length, [])
    memory = free.pop() if free else np.empty(length, np.uint8)
    # All views of this array hold it, and not `memory`: they would, if it were made of an array.
    array: Array = np.frombuffer(memoryview(memory), dtype)  # type: ignore[arg-type]
    weakref.finalize(array, free.append, memory).atexit = False
    return array
