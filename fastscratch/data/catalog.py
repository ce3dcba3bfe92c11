"""Data sets by name: how one is loaded, and which are there."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from fastscratch.data import cifar10, fashion_mnist, folder, shapes10
from fastscratch.data._files import root
from fastscratch.data.dataset import ImageDataset

log = logging.getLogger("fastscratch.data")

TrainAndTest: TypeAlias = tuple[ImageDataset, ImageDataset]

DATASETS: dict[str, Callable[[str | os.PathLike[str] | None], TrainAndTest]] = {
    cifar10.NAME: cifar10.load,
    fashion_mnist.NAME: fashion_mnist.load,
    shapes10.NAME: shapes10.load,
}
"""The named data sets: name -> function of the data root that loads it."""

_SOURCES: tuple[tuple[ModuleType, str], ...] = (
    (cifar10, "not here; loading it downloads 163 MB"),
    (fashion_mnist, "not here; loading it downloads 30 MB"),
    (shapes10, "not drawn yet; loading it takes some 20 s, once"),
)


@dataclass(frozen=True)
class DatasetInfo:
    """What `describe` says about one data set.

    Parameters
    ----------
    name : str
        By which `load` knows it.
    place : Path or None
        Folder or file it is read from; None where it is not there.
    train, test : ImageDataset or None
        The two parts; None where it is not there or damaged.
    note : str
        What is wrong or would have to be done; empty where all is well.
    """

    name: str
    place: Path | None
    train: ImageDataset | None
    test: ImageDataset | None
    note: str


def load(name: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> TrainAndTest:
    """Load a data set.

    Parameters
    ----------
    name : str or path-like
        "cifar10", "fashion-mnist", "shapes10"; "auto": cifar10 where it can be had, from disk or by download, else
        shapes10, and the log says which; or the path of a folder ``train/<class>/*.png``, ``test/<class>/*.png``.
    root : path-like, optional
        Where named sets are looked for and kept. Default: the environment variable ``FASTSCRATCH_DATA``, else
        ``fastscratch`` in the user's cache folder.

    Returns
    -------
    train, test : tuple of ImageDataset
        Both with the same classes and image shape.

    Raises
    ------
    ValueError
        The name is unknown, or a file is damaged; the message names it. "auto" does not pass over a damaged CIFAR-10.
    FileNotFoundError, NotADirectoryError
        Files or the folder are missing, or it is a file; `DatasetNotFoundError` if it is the whole of a named set, and
        it cannot be downloaded.
    TypeError
        The name is neither a string nor a path.
    """
    if not isinstance(name, str | os.PathLike):
        raise TypeError(f"a data set is named by a string or a path, got {name!r}")
    if name in DATASETS:
        return DATASETS[str(name)](root)
    if name == "auto":
        return _load_auto(root)
    path = Path(os.path.expanduser(name))
    if str(name) and path.is_dir():
        return folder.load(path)
    if isinstance(name, os.PathLike) or "/" in name or os.sep in name:
        if path.exists():
            raise NotADirectoryError(f"{path} is a file, not a folder of images")
        raise FileNotFoundError(f"there is no folder of images {path}")
    raise ValueError(f"unknown data set {str(name)!r}; known: auto, {', '.join(DATASETS)}, or the path of a folder")


def _load_auto(data_root: str | os.PathLike[str] | None) -> TrainAndTest:
    try:
        parts = cifar10.load(data_root)
    except OSError as error:
        if cifar10.find(root(data_root)) is not None:  # there is one, with a fault that should not be passed over
            raise
        log.warning("data 'auto' takes shapes10: %s", error)
        return shapes10.load(data_root)
    log.info("data 'auto' takes cifar10: %s is there", cifar10.find(root(data_root)))
    return parts


def describe(data_root: str | os.PathLike[str] | None = None) -> list[DatasetInfo]:
    """Say of every named data set whether it is there, where, and what it holds; nothing is downloaded or drawn.

    Parameters
    ----------
    data_root : path-like, optional
        As in `load`.

    Returns
    -------
    list of DatasetInfo
        In the order of `DATASETS`. A set that is there has been read, which takes a second or two.
    """
    infos = []
    for source, missing in _SOURCES:
        place = source.find(root(data_root))
        train = test = None
        note = missing
        if place is not None:
            try:
                train, test = source.read(place)
                note = ""
            except (ValueError, OSError) as error:
                note = str(error)
        infos.append(DatasetInfo(source.NAME, place, train, test, note))
    return infos
