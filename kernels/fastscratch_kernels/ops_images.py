"""Public ops of the data pipeline: batches of images before a network sees them. Each uses one thread."""

from __future__ import annotations

import numpy as np

from ._checks import FLOATS, Array, check_array, check_out, check_shape
from ._registry import kernel

# What may be asked for, as `dtype.char` has it.
_LEVELS = np.dtype(np.uint8).char
_PLACES = np.dtype(np.intp).char
_CHOICES = np.dtype(np.bool_).char


def _check_images(images: Array, kinds: str) -> Array:
    """Return a batch of images C-contiguous after checking its type and shape."""
    images = check_array("images", images, "B H W C", kinds=kinds)
    if 0 in images.shape[1:]:
        raise ValueError(f"H, W and C must be at least 1, B alone may be 0: images {images.shape}")
    return images


def _check_each(name: str, values: Array, images: Array, kinds: str) -> Array:
    """Return one value for each image C-contiguous after checking its type and shape."""
    values = check_array(name, values, "B", kinds=kinds)
    check_shape(name, values, images.shape[:1], f"images {images.shape}")
    return values


def look_up_levels(images: Array, table: Array, *, out: Array | None = None, backend: str | None = None) -> Array:
    """Return the numbers that the levels of 8-bit images stand for, each channel's in a column of a table.

    Parameters
    ----------
    images : ndarray of shape (B, H, W, C), uint8
        Made C-contiguous where they are not. B may be 0.
    table : ndarray of shape (256, C), float32 or float64
        What each level becomes.
    out : ndarray of shape (B, H, W, C), dtype of `table`, optional
        C-contiguous array to fill; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of shape (B, H, W, C), dtype of `table`
        ``out[b, h, w, c] = table[images[b, h, w, c], c]``.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape.
    """
    images = _check_images(images, _LEVELS)
    table = check_array("table", table, "level C")
    check_shape("table", table, (256, images.shape[3]), f"images {images.shape}")
    out = check_out("out", out, images.shape, table.dtype, images=images, table=table)
    kernel("look_up_levels", backend)(images, table, out)
    return out


def crop_images(
    images: Array,
    tops: Array,
    lefts: Array,
    mirrored: Array,
    *,
    out: Array | None = None,
    backend: str | None = None,
) -> Array:
    """Return images of the same size, each cut out at its own place, with black outside, and mirrored or not.

    Parameters
    ----------
    images : ndarray of shape (B, H, W, C), uint8, float32 or float64
        Made C-contiguous where they are not. B may be 0.
    tops, lefts : ndarray of shape (B,), intp
        The row and the column at which each cut begins; any, also outside the image.
    mirrored : ndarray of shape (B,), bool
        Whether the cut is mirrored left to right.
    out : ndarray of shape (B, H, W, C), dtype of `images`, optional
        C-contiguous array to fill, which may not be `images`; None makes one.
    backend : str, optional
        "numpy", "numba", "cython" or "auto"; None takes the one in force.

    Returns
    -------
    ndarray of shape (B, H, W, C), dtype of `images`
        ``out[b, i, j] = images[b, tops[b] + i, lefts[b] + (W - 1 - j if mirrored[b] else j)]``, zero outside.

    Raises
    ------
    TypeError, ValueError
        For arrays of another dtype or shape.
    """
    images = _check_images(images, _LEVELS + FLOATS)
    tops = _check_each("tops", tops, images, _PLACES)
    lefts = _check_each("lefts", lefts, images, _PLACES)
    mirrored = _check_each("mirrored", mirrored, images, _CHOICES)
    others = {"tops": tops, "lefts": lefts, "mirrored": mirrored}
    out = check_out("out", out, images.shape, images.dtype, images=images, **others)
    kernel("crop_images", backend)(images, tops, lefts, mirrored, out)
    return out
