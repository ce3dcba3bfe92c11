"""Fashion-MNIST: 70,000 gray pictures of clothes, 28 x 28 pixels, in ten classes.

H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms",
2017; https://github.com/zalandoresearch/fashion-mnist.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastscratch.data._files import DatasetNotFoundError, download, root
from fastscratch.data.dataset import ImageDataset

NAME = "fashion-mnist"
CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"
)  # fmt: skip
FOLDER = "fashion-mnist"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # the package dataset-fashion-mnist
ADDRESSES = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
IMAGES, LABELS = "{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"
MD5 = {
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}  # of the files as they are downloaded, with .gz
MOST_ITEMS = 1_000_000  # a header that claims more is damaged


def find(data_root: Path) -> Path | None:
    """Return the first folder that holds all four files, plain or as .gz, or None.

    Looked at are the data root, ``fashion-mnist`` and torchvision's ``FashionMNIST/raw`` in it, and the folder of
    Debian's package dataset-fashion-mnist.
    """
    for folder in (data_root, data_root / FOLDER, data_root / "FashionMNIST" / "raw", DEBIAN):
        if all(_find_file(folder, name) for name in MD5):
            return folder
    return None


def load(data_root: str | os.PathLike[str] | None = None) -> tuple[ImageDataset, ImageDataset]:
    """Read Fashion-MNIST from where `find` sees it, downloading what is missing (30 MB) where it does not.

    Parameters
    ----------
    data_root : path-like, optional
        Folder to look in and to download to; default: `root`.

    Returns
    -------
    train, test : tuple of ImageDataset
        Images (60000, 28, 28, 1) and (10000, 28, 28, 1).

    Raises
    ------
    DatasetNotFoundError
        It is not there, and a download failed.
    ValueError
        A file is damaged, or is not what it should be; the message names it.
    """
    folder = root(data_root)
    place = find(folder)
    if place is None:
        place = folder / FOLDER
        try:
            for name, md5 in MD5.items():
                if _find_file(place, name) is None:
                    download([f"{address}{name}.gz" for address in ADDRESSES], place / f"{name}.gz", md5)
        except DatasetNotFoundError as error:
            raise DatasetNotFoundError(
                f"Fashion-MNIST is neither in {folder} nor in {DEBIAN}, and cannot be downloaded: {error}"
            ) from error
    return read(place)


def read(place: Path) -> tuple[ImageDataset, ImageDataset]:
    """Read train and test set from a folder that holds the four files; raises as `load` does."""
    return _read_split(place, "train"), _read_split(place, "t10k")


def _find_file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read_split(place: Path, split: str) -> ImageDataset:
    paths = [_find_file(place, name.format(split)) for name in (IMAGES, LABELS)]
    if paths[0] is None or paths[1] is None:
        raise FileNotFoundError(f"Fashion-MNIST: {place} lacks {IMAGES.format(split)} or {LABELS.format(split)}")
    images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
    if images.shape[1:] != (28, 28) or not len(images):
        raise ValueError(f"{paths[0]}: images must have shape (n, 28, 28), got {images.shape}")
    if len(images) != len(labels):
        raise ValueError(f"{paths[1]} holds {len(labels)} labels for the {len(images)} images of {paths[0]}")
    if labels.max() >= len(CLASSES):
        raise ValueError(f"{paths[1]}: labels must lie in 0..9, got {labels.max()}")
    return ImageDataset(images[..., None], labels.astype(np.int64), CLASSES, NAME)  # (n, 28, 28) -> (n, 28, 28, 1)


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read an IDX file of bytes, plain or gzip, told apart by their first bytes.

    Parameters
    ----------
    path : Path
        The file: two zero bytes, 8 for uint8, the number of axes, each length as a big-endian 32-bit number, the bytes.
    axes : int
        Number of axes it must have.

    Returns
    -------
    ndarray, uint8
        With `axes` axes.

    Raises
    ------
    ValueError
        The file is damaged, of another kind, or shorter or longer than its header says.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    start = 4 + 4 * axes
    if len(content) < start or content[:4] != bytes([0, 0, 8, axes]):
        raise ValueError(f"{path} is no IDX file of bytes with {axes} axes: it starts with {content[:4].hex(' ')!r}")
    shape = struct.unpack(f">{axes}I", content[4:start])
    if shape[0] > MOST_ITEMS or len(content) - start != int(np.prod(shape, dtype=object)):
        raise ValueError(f"{path}: the header promises {shape}, {len(content) - start} bytes follow")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
