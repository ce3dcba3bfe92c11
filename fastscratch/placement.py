"""Where arrays lie in memory, for those that are gone through side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from .nn.parameter import Array

_PAGE, _CACHE_LINE = 4096, 64  # bytes


def arrays_apart(count: int, size: int, dtype: np.dtype[Any]) -> list[Array]:
    """Return `count` arrays of `size` zeros, each from a cache line on, at different places of their pages.

    Arrays from the system begin at the same place of a page. Where a step goes through all of them side by side, a load
    then waits for a store 4096 bytes away that is under way: that took half of the time.
    """
    length = size * dtype.itemsize
    step = -(-length // _PAGE) * _PAGE + _PAGE // count // _CACHE_LINE * _CACHE_LINE
    room = np.zeros(count * step + _CACHE_LINE, np.uint8)
    start = -room.ctypes.data % _CACHE_LINE
    return [room[at : at + length].view(dtype) for at in range(start, start + count * step, step)]
