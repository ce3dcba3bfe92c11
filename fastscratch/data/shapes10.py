"""shapes10: a data set that needs no download, drawn by the project itself.

60,000 pictures of 32 x 32 pixels, 50,000 to train and 10,000 to test, in ten classes: eight shapes (circle, square,
triangle, star, heart, cross, ring, spiral) and two textures (stripes, checkers). A picture is painted back to front:

1. a background of two cloudy colors that meet in a gradient or at a horizon, now and then with a faint texture;
2. a few thin bars, and sometimes a small form of another class in a corner: clutter, to be ignored;
3. the form itself: placed, scaled, tilted, stretched and sheared at random; filled with a gradient, or for the textures
   with their pattern in two colors; some hollow, some faint; with a soft edge, a rim and a shadow;
4. in some pictures, a thick bar in front of it;
5. light from one side, another saturation, contrast and exposure, and grain.

All of it is chosen at random for each picture, so that color, place and size say nothing about the class. It is made to
behave as CIFAR-10 does: a small network gets most pictures right after an epoch, more of them with more training, and
does far better on what it has seen than on the rest when it trains on a tenth of the pictures (numbers: docs/data.md).

>>> from fastscratch.data import shapes10
>>> few = shapes10.draw("train", 0, 20)  # the first twenty of the training set
>>> few
ImageDataset('shapes10': 20 images of 32 x 32 x 3, 10 classes)
>>> few.classes[few.labels[3]]
'star'
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import numpy as np

from fastscratch.data._files import root
from fastscratch.data._shapes10_draw import SIZE, draw_block
from fastscratch.data._shapes10_forms import CLASSES
from fastscratch.data.dataset import ImageDataset
from fastscratch.nn.checks import check_size

log = logging.getLogger("fastscratch.data")

NAME = "shapes10"
SPLITS = {"train": 50_000, "test": 10_000}
SEED = 10
BLOCK = 250  # images drawn at once: their planes fit the cache of one core
VERSION = 1  # of the pictures: counts up whenever any of their pixels change, and so do the cached files


def draw(split: str, start: int = 0, stop: int | None = None, *, seed: int = SEED) -> ImageDataset:
    """Draw images `start` to `stop` of a split; image i shows class i mod 10.

    Parameters
    ----------
    split : str
        "train" or "test": two independent streams of pictures.
    start, stop : int, optional
        Which pictures, 0 <= start < stop; by default all of the split. More than the split's 50,000 or 10,000 exist.
    seed : int, optional
        Another seed gives another data set of the same kind; 0 <= seed < 2**64.

    Returns
    -------
    ImageDataset
        Image i depends on `split`, i and `seed` alone, and has the same bits on every machine.

    Raises
    ------
    ValueError
        The split is unknown, or the range or the seed impossible.
    TypeError
        If `start`, `stop` or `seed` is no int.
    """
    if split not in SPLITS:
        raise ValueError(f"shapes10 has the splits {', '.join(SPLITS)}; got {split!r}")
    start = check_size("start", start, at_least=0)
    stop = SPLITS[split] if stop is None else check_size("stop", stop)
    seed = check_size("seed", seed, at_least=0)
    if not start < stop < 2**63:
        raise ValueError(f"shapes10: need start < stop < 2**63, got start {start} and stop {stop}")
    if seed >= 2**64:
        raise ValueError(f"shapes10: the seed must lie in 0..2**64 - 1, got {seed}")
    images = np.empty((stop - start, SIZE, SIZE, 3), np.uint8)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        images[first - start : last - start] = draw_block(seed, list(SPLITS).index(split), first, last)
    labels = np.arange(start, stop, dtype=np.int64) % len(CLASSES)
    return ImageDataset(images, labels, CLASSES, NAME)


def find(data_root: Path) -> Path | None:
    """Return the file that keeps the drawn data set in a data root, or None."""
    path = _cache(data_root)
    return path if path.is_file() else None


def load(data_root: str | os.PathLike[str] | None = None) -> tuple[ImageDataset, ImageDataset]:
    """Read shapes10 from the data root, or draw it (once, in well under a minute) and keep it there.

    Parameters
    ----------
    data_root : path-like, optional
        Folder of the cached file, 184 MB; default: `root`. If it cannot be written, a warning is logged and the set is
        drawn each time.

    Returns
    -------
    train, test : tuple of ImageDataset
        Images (50000, 32, 32, 3) and (10000, 32, 32, 3). A cached file whose pixels no longer have the fingerprint that
        was stored with them is drawn anew, and the log says so.
    """
    path = _cache(root(data_root))
    if path.is_file():
        try:
            return read(path)
        except ValueError as error:
            log.warning("%s, so it is drawn anew", error)
    log.info("drawing shapes10, %s images, into %s", f"{sum(SPLITS.values()):,}", path)
    began = time.perf_counter()
    parts = draw("train"), draw("test")
    log.info("drew shapes10 in %.0f s", time.perf_counter() - began)
    try:
        _write(path, *parts)
    except OSError as error:
        log.warning("shapes10 cannot be kept in %s and will be drawn again next time: %s", path.parent, error)
    return parts


def read(path: Path) -> tuple[ImageDataset, ImageDataset]:
    """Read a cached file and check it; ValueError if it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            train, test = (
                ImageDataset(arrays[f"{split}_images"], arrays[f"{split}_labels"], CLASSES, NAME) for split in SPLITS
            )
            stored = arrays["fingerprints"].tolist()
    except Exception as error:  # NumPy, zipfile and zlib each have their own errors for damaged bytes
        raise ValueError(f"cached {path} is damaged ({error})") from error
    if [train.fingerprint, test.fingerprint] != stored:
        raise ValueError(f"cached {path} is damaged (its fingerprints should be {' and '.join(map(str, stored))})")
    return train, test


def _cache(data_root: Path) -> Path:
    return data_root / f"shapes10-v{VERSION}.npz"


def _write(path: Path, train: ImageDataset, test: ImageDataset) -> None:
    """Write the cached file aside and rename it, so that no other process ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            np.savez(
                file,
                train_images=train.images, train_labels=train.labels,
                test_images=test.images, test_labels=test.labels,
                fingerprints=np.array([train.fingerprint, test.fingerprint]),
            )  # fmt: skip
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
