"""What is kept of a finished run: the same for both engines, and as little as the tables and figures need."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
from job import Job
from numpy.typing import NDArray
from store import FREE, RESULTS

from fastscratch.data import ImageDataset
from fastscratch.training import Evaluation, History
from fastscratch.training.machine import describe_machine

FORMAT = 1
CURVE_POINTS = 200
"""Batch losses kept of an epoch, for the light curve behind the strong one."""
FIRST_BATCHES = 100
"""Batch losses kept in full, by which the engines are compared."""
COLUMNS = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "lr", "seconds", "images")
PACKAGES = ("numpy", "numba", "torch")


def columns(history: History) -> dict[str, list[Any]]:
    """Return the history by columns, a value an epoch."""
    return {name: history[name] for name in COLUMNS}


def batch_losses(losses: Sequence[float], batches: int) -> dict[str, Any]:
    """Return what is kept of the losses of single batches.

    Parameters
    ----------
    losses : sequence of float
        Of all batches of all epochs.
    batches : int
        Of one epoch.

    Returns
    -------
    dict
        ``per_epoch`` (their number), ``mean`` and ``sd`` of each epoch, ``curve`` (of each epoch at most `CURVE_POINTS`
        evenly spaced ones, of four digits), ``first`` (the first `FIRST_BATCHES`).
    """
    table = np.asarray(losses, dtype=np.float64).reshape(-1, batches)  # (epochs, batches)
    chosen = np.unique(np.linspace(0, batches - 1, min(batches, CURVE_POINTS)).round().astype(int))
    return {
        "per_epoch": batches,
        "mean": table.mean(axis=1).tolist(),
        "sd": table.std(axis=1, ddof=min(1, batches - 1)).tolist(),
        "curve": [[float(f"{loss:.4g}") for loss in row] for row in table[:, chosen].tolist()],
        "first": table.ravel()[:FIRST_BATCHES].tolist(),
    }


def measured(evaluation: Evaluation, dataset: ImageDataset) -> dict[str, Any]:
    """Return loss, accuracy and the accuracy of each class, with the images that they were measured on."""
    accuracies = [None if np.isnan(value) else float(value) for value in evaluation.class_accuracy]
    return {
        "images": evaluation.images,
        "fingerprint": dataset.fingerprint,
        "loss": evaluation.loss,
        "accuracy": evaluation.accuracy,
        "class_accuracy": dict(zip(dataset.classes, accuracies, strict=True)),
    }


def digest(weights: Mapping[str, NDArray[Any]]) -> str:
    """Return the first 16 hex digits of the SHA-256 of all weights, by which two runs have the same bits or not."""
    sha = hashlib.sha256()
    for name, array in sorted(weights.items()):
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()[:16]


def made_by(threads: int, **more: Any) -> dict[str, Any]:
    """Return what a run was made with: machine, versions, threads, and what the engine adds."""
    versions: dict[str, str | None] = {}
    for package in ("fastscratch", *PACKAGES):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    machine = describe_machine()
    kept = {name: machine[name] for name in ("cpu", "cores", "platform", "python")}
    return {**kept, "versions": versions, "commit": COMMIT, "threads": threads, **more}


def commit() -> str | None:
    """Return the commit that the code is at, with a + where it was changed since; None outside a repository."""
    git = ["git", "-C", str(RESULTS.parent)]
    try:
        name = subprocess.run([*git, "rev-parse", "--short=9", "HEAD"], capture_output=True, text=True, check=False)
        diff = [*git, "diff", "--quiet", "HEAD", "--", ":(top)", f":(exclude){RESULTS}"]
        changed = subprocess.run(diff, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return name.stdout.strip() + "+" * (changed.returncode == 1) or None


COMMIT = commit()
"""Of this process, whatever the repository comes to while it runs."""


def result(
    job: Job,
    history: History,
    final: Mapping[str, Any],
    *,
    best: Mapping[str, Any] | None,
    weights: Mapping[str, NDArray[Any]],
    made: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what is kept of a run.

    Parameters
    ----------
    job : Job
        What was asked for.
    history : History
        With the losses of all batches.
    final : mapping
        ``train``, ``valid`` and ``test`` as `measured` returns them, of the network after the last epoch. ``valid`` is
        what was looked at after every epoch: images kept apart, or, as in the report, the test images.
    best : mapping or None
        ``epoch`` with the lowest validation loss and ``test`` of the network after it, where images were kept apart.
    weights : mapping of str to ndarray
        Of the network after the last epoch, in this project's layout.
    made : mapping
        As `made_by` returns it.
    """
    return {
        **_head(job),
        "history": columns(history),
        "final": final,
        "best": best,
        "weights": digest(weights),
        "made": made,
        "batches": batch_losses(history.batch_losses, len(history.batch_losses) // len(history)),
    }


def finding(job: Job, found: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a measurement."""
    return {**_head(job), "found": found, "made": made}


def _head(job: Job) -> dict[str, Any]:
    config = {name: value for name, value in job.config.to_mapping().items() if name not in FREE}
    return {"format": FORMAT, "engine": job.engine, "config": config}
