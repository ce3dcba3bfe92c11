"""Write a file so that a crash, a full disk or a power cut never leaves half of it; say what a new one lies in."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path


def nearest_existing(path: Path) -> Path:
    """Return `path`, or the nearest thing above it that is there: what decides whether `path` can be made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def write_atomically(path: str | os.PathLike[str], data: bytes, *, previous: Path | None = None) -> None:
    """Replace a file's content in one step.

    The bytes go into a file beside it (``<name>.tmp``), are flushed to the disk, and only then take the
    name. Whoever reads `path` finds the old content or the new one, whole, at every moment.

    Parameters
    ----------
    path : path-like
        The file to write; its folder must exist.
    data : bytes
        The whole content.
    previous : Path, optional
        A name in the same folder under which the content that `path` had until now is kept, replaced in one
        step as well. `path` itself exists all the while.

    Raises
    ------
    OSError
        If the folder is missing or cannot be written, or the disk is full. `path` is then as it was.

    Notes
    -----
    One writer at a time: two processes that write the same file would share the name beside it.
    """
    path = Path(path)
    aside = path.with_name(path.name + ".tmp")
    try:
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            _keep_as(path, previous)
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    _sync_folder(path.parent)


def _keep_as(path: Path, previous: Path) -> None:
    """Give the content of `path` the second name `previous` in one step."""
    aside = previous.with_name(previous.name + ".tmp")
    aside.unlink(missing_ok=True)
    try:
        os.link(path, aside)
    except OSError:  # a file system without hard links
        try:
            shutil.copyfile(path, aside)
            with open(aside, "rb+") as file:
                os.fsync(file.fileno())
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    os.replace(aside, previous)


def _sync_folder(folder: Path) -> None:
    """Flush the folder's entries, so that the new name survives a power cut too."""
    if os.name != "posix":  # Windows cannot open a folder; its rename is journaled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that do not do this to folders
            raise
    finally:
        os.close(descriptor)
