"""Checkpoint files: arrays in safetensors, everything else as JSON in its header, one atomic write.

A checkpoint holds no pickle, so reading one runs no code. What it means (weights, moments, positions) is the
business of `fastscratch.training.state`; this module only stores a dictionary of arrays and one of plain values.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from fastscratch.training.atomic import write_atomically

FILE_NAME = "checkpoint.safetensors"
FORMAT = "fastscratch-checkpoint-1"

Arrays = dict[str, np.ndarray[Any, Any]]
Meta = dict[str, Any]


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, cannot be written, or belongs to another run."""


def file_of(path: str | os.PathLike[str]) -> Path:
    """Return the checkpoint file meant by a path: itself, or the newest one of a run's folder.

    Parameters
    ----------
    path : path-like
        A file, or a folder that holds ``checkpoint.safetensors``.

    Returns
    -------
    Path
        The file, whether or not it exists.
    """
    path = Path(path)
    return path / FILE_NAME if path.is_dir() else path


def previous_of(path: str | os.PathLike[str]) -> Path:
    """Return the name under which `save` keeps the file it replaces: ``<stem>.previous<suffix>``."""
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save(path: str | os.PathLike[str], arrays: Arrays, meta: Meta, *, keep_previous: bool = True) -> None:
    """Write a checkpoint in one step, keeping the one before.

    Parameters
    ----------
    path : path-like
        The file; folders above it are made where they are missing.
    arrays : dict of str to ndarray
        Numeric arrays of any shape, stored with their exact bits.
    meta : dict
        Values that JSON can hold (floats come back with the same bits), under str keys.
    keep_previous : bool
        Keep the file that is replaced under `previous_of(path)`.

    Raises
    ------
    CheckpointError
        If the folder cannot be made or written, or the disk is full. The old checkpoint is then intact.
    TypeError, ValueError
        If `meta` holds something that JSON cannot, such as an object or NaN.
    """
    from safetensors.numpy import save as to_bytes

    # safetensors reads the raw memory, so it must be contiguous; np.ascontiguousarray would make 0-d arrays 1-d.
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = json.dumps(meta, allow_nan=False)
    header = {"format": FORMAT, "meta": text, "sha256": _digest(arrays, text)}
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, to_bytes(arrays, header), previous=previous_of(path) if keep_previous else None)
    except OSError as error:
        kept = "; the one that is there is as it was" if os.path.exists(path) else ""
        raise CheckpointError(f"checkpoint {path} cannot be written: {error.strerror or error}{kept}") from error


def load(path: str | os.PathLike[str]) -> tuple[Arrays, Meta]:
    """Read a checkpoint and check it from end to end.

    Parameters
    ----------
    path : path-like
        The file, or a folder that holds ``checkpoint.safetensors``.

    Returns
    -------
    arrays : dict of str to ndarray
        As given to `save`, bit for bit.
    meta : dict
        As given to `save`, after a turn through JSON (tuples come back as lists).

    Raises
    ------
    CheckpointError
        If the file is missing, truncated, damaged (its SHA-256 is checked), or no checkpoint of this project.
        Nothing else is read in its place; where the checkpoint before it exists, the message names it.
    """
    from safetensors import SafetensorError, safe_open

    file = file_of(path)
    if not file.is_file():
        raise _unreadable(file, "there is no such file")
    try:
        with safe_open(file, framework="numpy") as opened:
            header: dict[str, str] = opened.metadata() or {}
            arrays: Arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(file, f"it is truncated or damaged: {error}") from error
    if header.get("format") != FORMAT:
        raise _unreadable(file, f"its format is {header.get('format')!r}, this version reads {FORMAT!r}")
    text = header.get("meta", "")
    if header.get("sha256") != _digest(arrays, text):
        raise _unreadable(file, "it is damaged: its content does not have the SHA-256 it was written with")
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(file, f"its description is not JSON: {error}") from error
    if not isinstance(meta, dict):
        raise _unreadable(file, f"its description is a JSON {type(meta).__name__}, not an object")
    return arrays, meta


def is_sound(path: Path) -> bool:
    """Return whether `load` can read the file."""
    try:
        load(path)
    except CheckpointError:
        return False
    return True


def _unreadable(file: Path, reason: str) -> CheckpointError:
    previous = previous_of(file)
    hint = f"; the checkpoint before it is {previous}: rename it to {file.name} to go on from there"
    return CheckpointError(f"checkpoint {file} cannot be read: {reason}{hint if previous.is_file() else ''}")


def _digest(arrays: Arrays, text: str) -> str:
    """Return the SHA-256 over names, dtypes, shapes and bytes of all arrays, and the description."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
