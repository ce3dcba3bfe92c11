"""Picture files into Pillow's pictures, with one clear error for whatever is wrong with a file."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def open_picture(path: str | os.PathLike[str]) -> Image.Image:
    """Open a picture file, decode all of it, and turn it as its camera's tag says.

    Parameters
    ----------
    path : path-like
        A file in any format that Pillow reads.

    Raises
    ------
    ValueError
        If the file is no picture, is damaged, or holds more pixels than Pillow thinks safe.
    OSError
        If the file cannot be opened.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    bombs = (Image.DecompressionBombWarning, Image.DecompressionBombError)
    with open(path, "rb") as file, warnings.catch_warnings():
        # Pillow warns from some size on and refuses from twice that; a network of small images needs neither.
        warnings.simplefilter("error", bombs[0])
        try:
            with Image.open(file) as opened:
                picture = ImageOps.exif_transpose(opened)
                picture.load()
                return picture
        except UnidentifiedImageError:
            raise ValueError(f"{path} is not a picture in a format that can be read") from None
        except (*bombs, OSError, EOFError, SyntaxError, ValueError) as error:
            raise ValueError(f"picture {path} cannot be read: {error}") from error


def on_white(picture: Image.Image) -> Image.Image:
    """Return a picture laid on white where it is transparent; others as they are."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
