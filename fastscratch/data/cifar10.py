"""CIFAR-10: 60,000 photographs of 32 x 32 pixels in ten classes.

A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastscratch.data._files import DatasetNotFoundError, download, file_md5, root
from fastscratch.data._unpickle import load_plain
from fastscratch.data.dataset import ImageDataset

NAME = "cifar10"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"
ADDRESSES = ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",)
TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_FILE = "test_batch"
NAMES_FILE = "batches.meta"

# Gives the content of one of the files, and a text that says where it is.
Opener = Callable[[str], tuple[bytes, str]]


def find(data_root: Path) -> Path | None:
    """Return the official folder or archive in a data root (which may itself be that folder), or None."""
    for folder in (data_root, data_root / FOLDER):
        if (folder.name == FOLDER and folder.is_dir()) or (folder / TRAIN_FILES[0]).is_file():
            return folder
    archive = data_root / ARCHIVE
    return archive if archive.is_file() else None


def load(data_root: str | os.PathLike[str] | None = None) -> tuple[ImageDataset, ImageDataset]:
    """Read CIFAR-10 from the data root, downloading the official archive (163 MB) where it is not there.

    Parameters
    ----------
    data_root : path-like, optional
        Folder that holds, or is, ``cifar-10-batches-py``, or holds ``cifar-10-python.tar.gz``; default: `root`.

    Returns
    -------
    train, test : tuple of ImageDataset
        Images (50000, 32, 32, 3) and (10000, 32, 32, 3), in the order of the files.

    Raises
    ------
    DatasetNotFoundError
        It is not there, and the download failed.
    FileNotFoundError
        The folder lacks a batch.
    ValueError
        A file is damaged, or is not what it should be; the message names it.

    Notes
    -----
    The batches are pickles. They are read by a reader that runs none of their code (see `_unpickle`), from the archive
    straight into memory: nothing is ever unpacked onto the disk. The archive must be the official one, by its MD5 sum;
    a folder is taken as it is.
    """
    folder = root(data_root)
    place = find(folder)
    if place is None:
        place = folder / ARCHIVE
        try:
            download(ADDRESSES, place, ARCHIVE_MD5)
        except DatasetNotFoundError as error:
            raise DatasetNotFoundError(
                f"CIFAR-10 is not in {folder} (neither {FOLDER} nor {ARCHIVE}), and cannot be downloaded: {error}"
            ) from error
    return read(place)


def read(place: Path) -> tuple[ImageDataset, ImageDataset]:
    """Read train and test set from the official folder or archive; raises as `load` does."""
    opener = _open_folder(place) if place.is_dir() else _open_archive(place)
    parts = [_read_batch(*opener(name)) for name in TRAIN_FILES]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    test_images, test_labels = _read_batch(*opener(TEST_FILE))
    _check_names(opener)
    return ImageDataset(images, labels, CLASSES, NAME), ImageDataset(test_images, test_labels, CLASSES, NAME)


def _open_folder(folder: Path) -> Opener:
    def opener(name: str) -> tuple[bytes, str]:
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"CIFAR-10: {path} is missing")
        return path.read_bytes(), str(path)

    return opener


def _open_archive(archive: Path) -> Opener:
    """Read the archive's files into memory. Names are compared, not followed: paths and links lead nowhere."""
    md5 = file_md5(archive)
    if md5 != ARCHIVE_MD5:
        raise ValueError(
            f"{archive} is not the official archive, or is damaged: its MD5 sum is {md5}, expected {ARCHIVE_MD5}. "
            f"Delete it to have it downloaded; a folder {FOLDER} beside it would be read without this check"
        )
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                stored = tar.extractfile(member) if member.isreg() else None
                if stored is not None:
                    contents[member.name] = stored.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{archive} cannot be read: {error}") from error

    def opener(name: str) -> tuple[bytes, str]:
        member = f"{FOLDER}/{name}"
        if member not in contents:
            raise FileNotFoundError(f"CIFAR-10: {archive} holds no file {member}")
        return contents[member], f"{archive}:{member}"

    return opener


def _read_batch(raw: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images (n, 32, 32, 3) and labels (n,) of one batch; `where` is for the error."""
    batch = _read_dict(raw, where)
    pixels, ids = batch.get("data"), batch.get("labels")
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != 3072 or not len(pixels):
        got = f"shape {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise ValueError(f"{where}: 'data' must be a uint8 array of shape (n, 3072), got {got}")
    if not isinstance(ids, list) or not all(type(k) is int for k in ids) or len(ids) != len(pixels):
        raise ValueError(f"{where}: 'labels' must be a list of {len(pixels)} whole numbers, one for each image")
    if min(ids) < 0 or max(ids) >= len(CLASSES):
        raise ValueError(f"{where}: labels must lie in 0..9, got values from {min(ids)} to {max(ids)}")
    planes = pixels.reshape(-1, 3, 32, 32)  # a row holds the red plane, then green, then blue
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))  # (n, 3, 32, 32) -> (n, 32, 32, 3)
    return images, np.array(ids, dtype=np.int64)


def _check_names(opener: Opener) -> None:
    """Refuse a set whose own list of classes is another one; a set without the list is fine."""
    try:
        raw, where = opener(NAMES_FILE)
    except FileNotFoundError:
        return
    names = _read_dict(raw, where).get("label_names")
    if isinstance(names, list):
        names = [name.decode("latin1") if isinstance(name, bytes) else name for name in names]
    if names != list(CLASSES):
        raise ValueError(f"{where}: 'label_names' must be {list(CLASSES)}, got {names}")


def _read_dict(raw: bytes, where: str) -> dict[str, object]:
    """Read a pickled dict; its keys are bytes if Python 2 wrote them, as it did officially."""
    try:
        content = load_plain(raw)
    except ValueError as error:
        raise ValueError(f"{where} {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{where} must hold a dict, holds {type(content).__name__}")
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in content.items()}
