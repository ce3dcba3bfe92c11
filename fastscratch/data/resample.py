"""Rotation and Gaussian blur of whole batches with explicit parameters: operations that mix neighboring pixels.

Both take a batch (B, H, W, C) and one parameter for each image, return a new C-contiguous array of the same shape and
dtype, and leave their input as it was. No Python loop runs over images. uint8 images are computed in float32 and
rounded to the nearest level, halves to the even one, as `torch.round` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastscratch.data.image_ops import check_images, per_image
from fastscratch.nn.checks import check_size

__all__ = ["check_kernel_size", "gaussian_blur", "rotate"]

# Temporaries of this many pixels (64 KiB in float32) stay in the second-level cache and come from the heap;
# larger ones are mapped and cleared by the system at every call, which costs more than the arithmetic.
BLOCK_PIXELS = 2**14


def rotate(images: NDArray[Any], angles: ArrayLike) -> NDArray[Any]:
    """Rotate every image about its center by its own angle, bilinearly, with black outside.

    Parameters
    ----------
    images : ndarray of shape (B, H, W, C), uint8, float32 or float64
        The batch.
    angles : array_like of shape (B,)
        Degrees, counter-clockwise.

    Returns
    -------
    ndarray of shape (B, H, W, C), dtype of `images`
        The rotated images; the size is kept, so corners are cut off. uint8 is rounded half to even.

    Raises
    ------
    TypeError
        If `images` is not an array of an allowed dtype or `angles` not numbers.
    ValueError
        If a shape does not fit or an angle is not finite.

    Notes
    -----
    With x and y counted from the center, to the right and down, the output pixel (x, y) reads the input at
    ``(x cos a - y sin a, x sin a + y cos a)`` and mixes the four pixels around that place by their distances.
    Computed in float64 for float64 images and in float32 otherwise. The images are not filtered before sampling.
    """
    check_images(images)
    radians = np.deg2rad(per_image("angles", angles, images, np.float64))
    out = np.empty(images.shape, images.dtype)
    for block in _blocks(images):
        _rotate_block(images[block], radians[block], out[block])
    return out


def _rotate_block(images: NDArray[Any], radians: NDArray[np.float64], out: NDArray[Any]) -> None:
    """Rotate `images` (B, H, W, C) by `radians` (B,) into `out`; both small enough for the cache."""
    count, height, width, channels = images.shape
    dtype = _compute_dtype(images)
    cos = np.cos(radians).astype(dtype)[:, None, None]
    sin = np.sin(radians).astype(dtype)[:, None, None]
    x = np.arange(width, dtype=dtype) - dtype.type((width - 1) / 2)  # (W,)
    y = np.arange(height, dtype=dtype)[:, None] - dtype.type((height - 1) / 2)  # (H, 1)
    # Where each output pixel reads, in an image with a border of one black pixel: (B, H, W)
    source_x = (cos * x + dtype.type((width + 1) / 2)) - sin * y
    source_y = (sin * x + dtype.type((height + 1) / 2)) + cos * y
    # Past the border everything is black, so places further out may be moved onto it. The second black pixel on
    # the right and at the bottom is the neighbor of a place that lies exactly on the border.
    np.clip(source_x, 0, width + 1, out=source_x)
    np.clip(source_y, 0, height + 1, out=source_y)
    pitch = width + 3
    left, top = np.floor(source_x), np.floor(source_y)
    source_x -= left
    source_y -= top
    corner = (top.astype(np.int32) * np.int32(pitch) + left.astype(np.int32)).astype(np.intp)
    corner += (np.arange(count) * ((height + 3) * pitch))[:, None, None]

    # Weights of the four neighbors, which sum to one; the arrays above are used up and hold them from here on.
    both = np.multiply(source_x, source_y, out=left)
    right, below = np.subtract(source_x, both, out=source_x), np.subtract(source_y, both, out=source_y)
    here = np.subtract(1, right, out=top)
    here -= below
    here -= both

    padded = np.zeros((count, height + 3, pitch), dtype)
    pixels = padded.reshape(-1)
    total, neighbor = np.empty_like(here), np.empty_like(here)
    for channel in range(channels):
        padded[:, 1 : height + 1, 1 : width + 1] = images[..., channel]
        # No index is out of range; mode="clip" only spares NumPy the check and the buffer that it brings.
        np.take(pixels, corner, out=total, mode="clip")
        total *= here
        for shift, weight in ((1, right), (pitch, below), (pitch + 1, both)):
            np.take(pixels[shift:], corner, out=neighbor, mode="clip")
            neighbor *= weight
            total += neighbor
        _store(total, out[..., channel])


def gaussian_blur(images: NDArray[Any], sigmas: ArrayLike, kernel_size: int = 3) -> NDArray[Any]:
    """Blur every image with a Gaussian kernel of its own width, the border reflected.

    Parameters
    ----------
    images : ndarray of shape (B, H, W, C), uint8, float32 or float64
        The batch.
    sigmas : array_like of shape (B,)
        Standard deviations in pixels, > 0.
    kernel_size : int
        Odd number of pixels that the kernel spans; ``kernel_size // 2`` must be smaller than H and W.

    Returns
    -------
    ndarray of shape (B, H, W, C), dtype of `images`
        The blurred images. uint8 is rounded half to even.

    Raises
    ------
    TypeError
        If `images` is not an array of an allowed dtype or another argument not a number.
    ValueError
        If a shape does not fit, a sigma is not positive, or the kernel is even or too large for the images.

    Notes
    -----
    The kernel is the outer product of ``w[i] = exp(-i² / (2 sigma²)) / sum(w)`` with itself, so it is applied along
    the columns, then along the rows. No pixel can change by more than ``range * (1 - w[0]²)``. Where that is below
    half a level, an 8-bit image rounds back to itself and is copied without any arithmetic: so it is with three taps
    and sigma up to 0.256.
    """
    check_images(images)
    check_kernel_size(kernel_size)
    widths = per_image("sigmas", sigmas, images, np.float64)
    if not np.all(widths > 0):
        raise ValueError(f"sigmas must be > 0, got {widths.min()}")
    height, width = images.shape[1:3]
    radius = kernel_size // 2
    if radius >= min(height, width):
        raise ValueError(
            f"blur kernel {kernel_size} does not fit images of {height} x {width} pixels: "
            f"the reflected border of {radius} must be smaller than either side"
        )
    with np.errstate(over="ignore", under="ignore"):  # a tiny sigma: exp(-inf) = 0 is the right weight
        taps = np.exp(-0.5 * (np.arange(radius + 1) / widths[:, None]) ** 2)  # (B, radius + 1), the center first
    taps /= taps[:, :1] + 2 * taps[:, 1:].sum(axis=1, keepdims=True)

    if images.dtype == np.uint8:
        # 0.499 instead of 0.5 leaves room for the rounding of float32 sums.
        changed = np.flatnonzero(255 * (1 - taps[:, 0] ** 2) >= 0.499)
        out = images.copy()
        if changed.size:
            out[changed] = _blur(images[changed], taps[changed])
        return out
    return _blur(images, taps)


def _blur(images: NDArray[Any], taps: NDArray[np.float64]) -> NDArray[Any]:
    """Correlate (B, H, W, C) with symmetric kernels along H and W; `taps` (B, radius + 1) starts at the center."""
    dtype = _compute_dtype(images)
    radius = taps.shape[1] - 1
    border = ((0, 0), (radius, radius), (radius, radius), (0, 0))
    weights = taps.astype(dtype)[:, :, None, None, None]  # (B, radius + 1, 1, 1, 1)
    out = np.empty(images.shape, images.dtype)
    for block in _blocks(images):
        total = np.pad(images[block].astype(dtype), border, mode="reflect")
        for axis in (1, 2):
            total = _correlate(total, weights[block], axis)
        _store(total, out[block])
    return out


def _correlate(x: NDArray[Any], weights: NDArray[Any], axis: int) -> NDArray[Any]:
    """Apply symmetric taps along `axis` of `x` (B, ., ., C), "valid" placements only; `weights` as in `_blur`."""
    radius = weights.shape[1] - 1
    size = x.shape[axis] - 2 * radius

    def shifted(offset: int) -> NDArray[Any]:
        window = slice(radius + offset, radius + offset + size)
        return x[:, window] if axis == 1 else x[:, :, window]

    total: NDArray[Any] = shifted(0) * weights[:, 0]
    for offset in range(1, radius + 1):
        pair = shifted(-offset) + shifted(offset)
        pair *= weights[:, offset]
        total += pair
    return total


def check_kernel_size(kernel_size: object) -> None:
    """Raise TypeError unless `kernel_size` is an integer, ValueError unless it is odd and positive."""
    if check_size("kernel_size", kernel_size) % 2 == 0:
        raise ValueError(f"kernel_size must be odd, got {kernel_size}")


def _blocks(images: NDArray[Any]) -> Iterator[slice]:
    """Yield slices of consecutive images that hold about `BLOCK_PIXELS` pixels, at least one image each."""
    count, height, width, _ = images.shape
    step = max(1, BLOCK_PIXELS // (height * width))
    for start in range(0, count, step):
        yield slice(start, start + step)


def _compute_dtype(images: NDArray[Any]) -> np.dtype[Any]:
    """Return the dtype to compute in: float64 for float64 images, else float32."""
    return np.dtype(np.float64 if images.dtype == np.float64 else np.float32)


def _store(values: NDArray[Any], out: NDArray[Any]) -> None:
    """Write floats to `out`, rounded half to even (as `torch.round`) where it holds integers; may change `values`."""
    if out.dtype == np.uint8:
        np.rint(values, out=values)
    out[...] = values
