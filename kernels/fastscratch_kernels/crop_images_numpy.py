"""Shifted and mirrored images in NumPy: the specification.

    out[b, i, j] = images[b, tops[b] + i, lefts[b] + (W - 1 - j if mirrored[b] else j)],   0 outside the image

Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def crop_images(images: Array, tops: Array, lefts: Array, mirrored: Array, out: Array) -> None:
    """Fill `out` (B, H, W, C) with `images` (B, H, W, C), each cut out at its own place and mirrored or not."""
    _, height, width, _ = images.shape
    out[...] = 0
    places = zip(tops.tolist(), lefts.tolist(), mirrored.tolist(), strict=True)
    for image, cut, (top, left, mirror) in zip(images, out, places, strict=True):
        rows, source_rows = _shared(top, height)
        columns, source_columns = _shared(left, width)
        seen = cut[:, ::-1] if mirror else cut
        seen[rows, columns] = image[source_rows, source_columns]


def _shared(start: int, size: int) -> tuple[slice, slice]:
    """Return what a cut of `size` that begins at `start` of an axis as long shares with it, in the cut and in it."""
    start = min(max(start, -size), size)
    first, last = max(0, -start), size - max(0, start)
    return slice(first, last), slice(first + start, last + start)
