"""Memory for new arrays that earlier arrays have done with.

The operating system hands out memory page by page and clears each of them. Of shorter arrays the C library keeps the
memory, but long ones it asks for and gives back each time, so that a training step on a large batch pays again for
arrays that the step before had, with some 5 % of its time.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

LEAST = 32 << 20
"""Bytes of an array that is worth it: up to here glibc's malloc comes to keep what has been freed."""


class _Kept(threading.local):
    free: dict[int, list[Array]] | None = None
    """Memory that no array uses, by its bytes; None where nothing is kept."""


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
