"""Picture files into Pillow's pictures, with one clear error for whatever is wrong with a file."""

from __future__ import annotations

import os
import struct
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


_DAMAGED = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ZeroDivisionError, struct.error)
"""What Pillow raises for files that are not as they should be."""

_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""Pillow's names of what sets a picture upright, by the value of the EXIF tag."""


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
    from PIL import Image, UnidentifiedImageError

    bombs = (Image.DecompressionBombWarning, Image.DecompressionBombError)
    with open(path, "rb") as file, warnings.catch_warnings():
        # Pillow warns from some size on and refuses from twice that; a network of small images needs neither.
        warnings.simplefilter("error", bombs[0])
        try:
            with Image.open(file) as opened:
                # By hand: Pillow's own function also writes the other tags anew, and fails where one is damaged.
                turn = _TURNS.get(opened.getexif().get(_ORIENTATION, 1))
                return opened.copy() if turn is None else opened.transpose(Image.Transpose[turn])
        except UnidentifiedImageError:
            raise ValueError(f"{path} is not a picture in a format that can be read") from None
        except (*bombs, *_DAMAGED) as error:
            raise ValueError(f"picture {path} cannot be read: {error}") from error


def on_white(picture: Image.Image) -> Image.Image:
    """Return a picture laid on white where it is transparent; others as they are."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
