"""Flips, crops and cutout of whole batches with explicit parameters: what the random transforms of `augment` call.

Every function takes a batch (B, H, W, C) and one parameter for each image, returns a new C-contiguous array of the
same shape and dtype, and leaves its input as it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import fastscratch_kernels as kernels
from fastscratch.nn.checks import check_size

__all__ = ["check_images", "cutout", "horizontal_flip", "pad_crop", "per_image", "vertical_flip"]

DTYPES = (np.uint8, np.float32, np.float64)

# The kinds of NumPy dtypes that a parameter of each type may come in.
_KINDS: dict[type[np.generic], str] = {np.bool_: "b", np.intp: "iu", np.float64: "iuf"}


def horizontal_flip(images: NDArray[Any], selected: ArrayLike) -> NDArray[Any]:
    """Mirror the selected images left to right.

    Parameters
    ----------
    images : ndarray of shape (B, H, W, C), uint8, float32 or float64
        The batch.
    selected : array_like of shape (B,), bool
        Which images to mirror.

    Returns
    -------
    ndarray of shape (B, H, W, C), dtype of `images`
        ``out[b, i, j] = images[b, i, W - 1 - j]`` where selected, a copy elsewhere.

    Raises
    ------
    TypeError
        If `images` is not an array of an allowed dtype or `selected` not boolean.
    ValueError
        If a shape does not fit.
    """
    check_images(images)
    chosen = per_image("selected", selected, images, np.bool_)
    nowhere = np.zeros(len(images), np.intp)
    return kernels.crop_images(images, nowhere, nowhere, chosen)


def vertical_flip(images: NDArray[Any], selected: ArrayLike) -> NDArray[Any]:
    """Mirror the selected images top to bottom.

    Parameters
    ----------
    images : ndarray of shape (B, H, W, C), uint8, float32 or float64
        The batch.
    selected : array_like of shape (B,), bool
        Which images to mirror.

    Returns
    -------
    ndarray of shape (B, H, W, C), dtype of `images`
        ``out[b, i, j] = images[b, H - 1 - i, j]`` where selected, a copy elsewhere.

    Raises
    ------
    TypeError
        If `images` is not an array of an allowed dtype or `selected` not boolean.
    ValueError
        If a shape does not fit.
    """
    check_images(images)
    chosen = per_image("selected", selected, images, np.bool_)
    out = images.copy()
    out[chosen] = images[chosen, ::-1]
    return out


def pad_crop(images: NDArray[Any], tops: ArrayLike, lefts: ArrayLike, padding: int) -> NDArray[Any]:
    """Put a black border around every image and cut the original size out at its own place.

    Parameters
    ----------
    images : ndarray of shape (B, H, W, C), uint8, float32 or float64
        The batch.
    tops, lefts : array_like of shape (B,), int
        First row and column of the cut in the padded image, from 0 to ``2 * padding``; `padding` cuts out the
        image itself.
    padding : int
        Width of the border on each side, >= 0 and smaller than H and W, so that a cut always shows some image.

    Returns
    -------
    ndarray of shape (B, H, W, C), dtype of `images`
        ``out[b, i, j] = padded[b, tops[b] + i, lefts[b] + j]``.

    Raises
    ------
    TypeError
        If `images` is not an array of an allowed dtype or another argument not an integer.
    ValueError
        If a shape does not fit, the padding is negative or too large, or a cut leaves the padded image.
    """
    check_images(images)
    check_size("padding", padding, at_least=0)
    height, width = images.shape[1:3]
    if padding >= min(height, width):
        raise ValueError(
            f"padding {padding} does not fit images of {height} x {width} pixels: it must be smaller than either side"
        )
    places = {"tops": tops, "lefts": lefts}
    rows, columns = (per_image(name, values, images, np.intp) for name, values in places.items())
    for name, values in (("tops", rows), ("lefts", columns)):
        if np.any((values < 0) | (values > 2 * padding)):
            raise ValueError(
                f"{name} must be from 0 to {2 * padding} (twice the padding), got {values.min()} to {values.max()}"
            )
    return kernels.crop_images(images, rows - padding, columns - padding, np.zeros(len(images), np.bool_))


def cutout(images: NDArray[Any], rows: ArrayLike, columns: ArrayLike, size: int) -> NDArray[Any]:
    """Black out a square in every image, centered at its own place and clipped at the borders.

    Parameters
    ----------
    images : ndarray of shape (B, H, W, C), uint8, float32 or float64
        The batch.
    rows, columns : array_like of shape (B,), int
        Centers, inside the image. The square covers rows ``row - size // 2`` to ``row - size // 2 + size - 1``.
    size : int
        Side of the square, from 1 to the smaller side of the images.

    Returns
    -------
    ndarray of shape (B, H, W, C), dtype of `images`
        The images with zeros in their squares.

    Raises
    ------
    TypeError
        If `images` is not an array of an allowed dtype or another argument not an integer.
    ValueError
        If a shape does not fit, the size is not allowed, or a center lies outside.

    Notes
    -----
    T. DeVries and G. W. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout" (2017).
    """
    check_images(images)
    check_size("size", size)
    height, width = images.shape[1:3]
    if size > min(height, width):
        raise ValueError(f"cutout of {size} x {size} does not fit images of {height} x {width} pixels")
    covered = []
    for name, centers, extent in (("rows", rows, height), ("columns", columns, width)):
        first = per_image(name, centers, images, np.intp)
        if np.any((first < 0) | (first >= extent)):
            raise ValueError(f"{name} must be from 0 to {extent - 1}, got {first.min()} to {first.max()}")
        distance = np.arange(extent) - (first - size // 2)[:, None]
        covered.append((distance >= 0) & (distance < size))  # (B, H), then (B, W)
    out = images.copy()
    out[covered[0][:, :, None] & covered[1][:, None, :]] = 0
    return out


def check_images(images: NDArray[Any]) -> None:
    """Raise unless `images` is a batch (B, H, W, C) that the operations of this module take.

    Parameters
    ----------
    images : ndarray of shape (B, H, W, C), uint8, float32 or float64
        What to check; B may be 0, the other sizes may not.

    Raises
    ------
    TypeError
        If it is not an array or has another dtype.
    ValueError
        If it has another number of axes or an empty image.
    """
    if not isinstance(images, np.ndarray):
        raise TypeError(f"images must be a NumPy array, got {type(images).__name__}")
    if images.dtype not in DTYPES:
        raise TypeError(f"images must be uint8, float32 or float64, got {images.dtype}")
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(f"images must be a batch (B, H, W, C) with H, W, C >= 1, got shape {images.shape}")


def per_image(name: str, values: ArrayLike, images: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Return one parameter for each image as an array (B,) of `dtype`.

    Parameters
    ----------
    name : str
        What the parameter is called, for the error.
    values : array_like of shape (B,)
        The parameter.
    images : ndarray of shape (B, ...)
        The batch.
    dtype : {numpy.bool_, numpy.intp, numpy.float64}
        What the parameter is: a choice, a place, or a quantity (which must be finite).

    Returns
    -------
    ndarray of shape (B,), `dtype`
        The converted parameter, a copy.

    Raises
    ------
    TypeError
        If `values` are not of the kind of `dtype`.
    ValueError
        If there is not one for each image, or one is not finite.
    """
    array = np.asarray(values)
    if array.shape != images.shape[:1]:
        raise ValueError(f"{name} must hold one value for each image, shape {images.shape[:1]}, got {array.shape}")
    if array.size == 0:
        return array.astype(dtype)
    if array.dtype.kind not in _KINDS[dtype]:
        raise TypeError(f"{name} must be {dtype.__name__} or convert to it without loss, got {array.dtype}")
    if dtype is np.float64 and not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    return array.astype(dtype)
