"""The numbers that 8-bit levels stand for, in NumPy: the specification.

    out[b, h, w, c] = table[images[b, h, w, c], c]

Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def look_up_levels(images: Array, table: Array, out: Array) -> None:
    """Fill `out` (B, H, W, C) with the entries of `table` (256, C) that the levels of `images` (B, H, W, C) name."""
    channels = table.shape[1]
    # The table's entries in a row, and one row of first entries as long as an image's, so that the sum's loop is long.
    first = np.tile(np.arange(channels), images.shape[2])  # (W * C,)
    levels = images.reshape(*images.shape[:2], len(first))  # (B, H, W * C)
    places = np.multiply(levels, channels, dtype=np.intp)
    places += first
    # No place is out of range; mode="clip" only spares NumPy the check and the buffer that it brings.
    np.take(table.reshape(-1), places, out=out.reshape(places.shape), mode="clip")
