"""Data sets of one's own: a folder of pictures, `train/<class>/*.png` and `test/<class>/*.png`."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastscratch.data.dataset import ImageDataset
from fastscratch.data.decoding import on_white, open_picture

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
GRAY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "F")  # more than 8 bits: "I", "I;16", "I;16B", "F"


def load(path: str | os.PathLike[str]) -> tuple[ImageDataset, ImageDataset]:
    """Read a data set from a folder of pictures, one subfolder for each class.

    Parameters
    ----------
    path : path-like
        Folder that holds ``train`` and ``test``, each with one folder per class, the same in both. Files other than
        pictures, and hidden ones, are passed over.

    Returns
    -------
    train, test : tuple of ImageDataset
        Classes and files in the order of their names. Gray (C = 1) where every picture is, else RGB (C = 3);
        transparent parts become white. The data set is called as the folder is.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or it lacks ``train`` or ``test``.
    ValueError
        A class is empty or in one part only, pictures differ in size, or one cannot be read; the message names it.
    """
    folder = Path(os.path.expanduser(path))
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    for part in ("train", "test"):
        if not (folder / part).is_dir():
            raise FileNotFoundError(f"{folder} lacks the folder {part!r}; expected: {part}/<class>/*.png or .jpg")
    classes = _classes(folder)
    files, labels = [], []
    for part in ("train", "test"):
        for label, name in enumerate(classes):
            found = _pictures(folder / part / name)
            files += found
            labels += [label] * len(found)
        if part == "train":
            border = len(files)
    pixels, ids, name = _read(files), np.array(labels, dtype=np.int64), folder.resolve().name
    return (
        ImageDataset(pixels[:border], ids[:border], classes, name),
        ImageDataset(pixels[border:], ids[border:], classes, name),
    )


def _classes(folder: Path) -> tuple[str, ...]:
    train, test = (
        {entry.name for entry in (folder / part).iterdir() if entry.is_dir() and not entry.name.startswith(".")}
        for part in ("train", "test")
    )
    if not train:
        raise ValueError(f"{folder / 'train'} holds no class folders; expected: train/<class>/*.png or .jpg")
    if train != test:
        only = [f"only in {part}: {', '.join(sorted(some))}" for part, some in
                (("train", train - test), ("test", test - train)) if some]  # fmt: skip
        raise ValueError(f"{folder}: train and test must hold the same classes; {'; '.join(only)}")
    return tuple(sorted(train))


def _pictures(folder: Path) -> list[Path]:
    files = sorted(
        entry
        for entry in folder.iterdir()
        # Not `is_file`: a link that leads nowhere is read, too, and named in the error.
        if entry.suffix.lower() in SUFFIXES and not entry.is_dir() and not entry.name.startswith(".")
    )
    if not files:
        raise ValueError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    return files


def _read(files: list[Path]) -> NDArray[np.uint8]:
    """Read all pictures into one array (N, H, W, C)."""
    pictures: list[NDArray[np.uint8]] = []
    for file in files:
        pictures.append(_read_picture(file))
        if pictures[-1].shape[:2] != pictures[0].shape[:2]:
            raise ValueError(_say_odd_size(files))
    channels = max(picture.shape[2] for picture in pictures)
    pixels = np.empty((len(pictures), *pictures[0].shape[:2], channels), np.uint8)
    for k, picture in enumerate(pictures):
        pixels[k] = picture  # a gray picture among colored ones fills all three channels
    return pixels


def _read_picture(file: Path) -> NDArray[np.uint8]:
    """Read one picture: (H, W, 1) if it is gray, else (H, W, 3)."""
    picture = open_picture(file)
    if picture.mode.startswith(DEEP_MODES):
        raise ValueError(f"picture {file} has more than 8 bits a pixel (mode {picture.mode}): convert it to 8 bits")
    gray = picture.mode in GRAY_MODES
    pixels = np.asarray(on_white(picture).convert("L" if gray else "RGB"))
    return pixels[..., None] if gray else pixels


def _say_odd_size(files: list[Path]) -> str:
    """Describe the pictures whose size is the rarest, beside the most common one."""
    sizes = {file: "{1} x {0}".format(*_read_picture(file).shape) for file in files}
    counts = Counter(sizes.values()).most_common()
    (usual, most), (odd, few) = counts[0], counts[-1]
    example = next(file for file, size in sizes.items() if size == odd)
    return (
        f"all pictures must have one size (width x height): {most} of {len(files)} are {usual}, "
        f"but {example} is {odd}" + (f" (one of {few})" if few > 1 else "")
    )
