"""Picture files of any size and kind, made into images that a network takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastscratch.data.decoding import on_white, open_picture

if TYPE_CHECKING:
    from PIL import Image

MODES = {1: "L", 3: "RGB"}


def read_picture(path: str | os.PathLike[str], image_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Read a picture file, cut out its middle and scale that to a given size.

    Parameters
    ----------
    path : path-like
        A file in any format that Pillow reads; it is turned as its camera's tag says, transparent parts become
        white, deep levels are scaled to 8 bits.
    image_shape : (H, W, C)
        Of the result; C is 1 (gray) or 3 (RGB).

    Returns
    -------
    image : ndarray of shape (H, W, C), uint8
        The largest middle part with the proportions of H and W, scaled bicubically; scaled down, every pixel is a
        weighted mean of all that it covers.

    Raises
    ------
    ValueError
        If the file is no picture, is damaged, holds NaN or infinities, or more pixels than Pillow thinks safe; or if C
        is neither 1 nor 3.
    OSError
        If the file cannot be opened.
    """
    from PIL import Image, ImageOps

    height, width, channels = image_shape
    if channels not in MODES:
        raise ValueError(f"pictures have 1 or 3 channels, the network takes images of {channels}")
    picture = _in_mode(path, open_picture(path), MODES[channels])
    fitted = ImageOps.fit(picture, (width, height), method=Image.Resampling.BICUBIC)
    return np.asarray(fitted, dtype=np.uint8).reshape(height, width, channels)


def _in_mode(path: str | os.PathLike[str], picture: Image.Image, mode: str) -> Image.Image:
    """Convert a picture to 8 bits of gray or RGB, on white where it is transparent."""
    from PIL import Image

    if picture.mode == "F" or picture.mode.startswith("I"):
        # 16 or 32 bits, or floats: Pillow's own conversion would cut off all above 255.
        levels = np.asarray(picture, dtype=np.float64)
        if not np.isfinite(levels).all():
            raise ValueError(f"picture {path} holds numbers that are not finite")
        ranges = (65535.0,) if picture.mode.startswith("I;16") else (1.0, 255.0, 65535.0)
        highest = next((top for top in ranges if levels.max() <= top), levels.max())
        picture = Image.fromarray(np.clip(np.rint(255 * levels / highest), 0, 255).astype(np.uint8))
    return on_white(picture).convert(mode)
