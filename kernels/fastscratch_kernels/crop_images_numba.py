"""Shifted and mirrored images in Numba: row by row, the bytes of a pixel one after the other.

One thread: a batch is prepared while another is trained on, whose threads have the cores.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import compiled, copy, frozen

Array = np.ndarray[Any, np.dtype[Any]]


@compiled
def _crop_images(images: Array, tops: Array, lefts: Array, mirrored: Array, out: Array) -> None:
    _, height, width, size = images.shape  # size: the bytes of a pixel
    for b in range(images.shape[0]):
        top, left = min(max(tops[b], -height), height), min(max(lefts[b], -width), width)
        # The columns of the cut that show some image, before it is mirrored: `before` and `after` them it is black.
        before, after = max(0, -left), max(0, left)
        first, last = before + left, width - after + left
        if mirrored[b]:
            before, after = after, before
        if top or left:
            out[b] = 0
        for i in range(max(0, -top), height - max(0, top)):
            row, cut = images[b, top + i, first:last], out[b, i, before : width - after]
            if mirrored[b]:
                row_backwards = row[::-1]
                for c in range(size):  # not the inner loop, for it is short
                    for j in range(cut.shape[0]):
                        cut[j, c] = row_backwards[j, c]
            else:
                copy(row.reshape(row.size), cut.reshape(cut.size))


def crop_images(images: Array, tops: Array, lefts: Array, mirrored: Array, out: Array) -> None:
    """Fill `out` (B, H, W, C) with `images` (B, H, W, C), each cut out at its own place and mirrored or not."""
    places = frozen(tops), frozen(lefts), frozen(mirrored)
    _crop_images(frozen(images.view(np.uint8)), *places, out.view(np.uint8))
