"""The numbers that 8-bit levels stand for, in Numba: a table of each channel, image by image.

One thread: a batch is prepared while another is trained on, whose threads have the cores.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import compiled, frozen

Array = np.ndarray[Any, np.dtype[Any]]


@compiled
def _look_up_levels(images: Array, table: Array, out: Array) -> None:
    for b in range(images.shape[0]):
        for c in range(images.shape[2]):
            for p in range(images.shape[1]):
                out[b, p, c] = table[images[b, p, c], c]


def look_up_levels(images: Array, table: Array, out: Array) -> None:
    """Fill `out` (B, H, W, C) with the entries of `table` (256, C) that the levels of `images` (B, H, W, C) name."""
    pixels = len(images), -1, images.shape[3]
    if images.size:
        _look_up_levels(frozen(images.reshape(pixels)), frozen(table), out.reshape(pixels))
