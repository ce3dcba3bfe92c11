"""How far the gradients of single batches lie from the mean of all, at fixed weights.

The gradient of a batch of B images is the whole set's, G, plus noise whose variance, summed over all parameters, is
tr(Σ) / B. Their ratio tr(Σ) / B / |G|² says how much of a step is noise; B tr(Σ) / B / |G|² is the batch for which both
are alike, the "simple noise scale" of McCandlish et al., "An empirical model of large-batch training" (2018).
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any

import drawing
import numpy as np
from claims import FAILS, HOLDS, Verdict
from job import Job
from matplotlib.figure import Figure
from runner import gradients, prepare
from tabular import Table

from fastscratch.data import ImageDataset, Loader
from fastscratch.training import Trainer

if TYPE_CHECKING:
    from findings import Findings

BATCH_SIZES = (4, 8, 16, 32)
BATCHES = 256
LEEWAY = 0.25
"""How far the noise may be from one over the batch size, as a share, for that rule to hold."""
EPOCH = 1_000_000
"""An epoch that no training gets to: its batches are drawn for the measurement alone."""


def measure(job: Job) -> dict[str, Any]:
    """Measure at the first weights, after one epoch, and after the last.

    Returns
    -------
    dict
        ``rows``, each with ``epoch``, ``batch_size``, ``batches`` (how many gradients), ``signal`` (|G|², without bias)
        and ``noise`` (the gradients' variance, summed over all parameters).
    """
    trainer, train = prepare(job.config)
    rows = spread(trainer, train)
    for epochs in sorted({1, job.config.epochs}):
        trainer.fit(train, epochs=epochs)
        rows += spread(trainer, train)
    return {"rows": rows}


def spread(trainer: Trainer, train: ImageDataset) -> list[dict[str, Any]]:
    """Return a row for each batch size, at the weights that the trainer's model has now."""
    rows = []
    for size in BATCH_SIZES:
        loader = Loader(train, size, seed=trainer.seed, normalization=trainer.normalization, drop_last=True)
        total: Any = 0.0
        squares, count = 0.0, 0
        with contextlib.closing(loader.epoch(EPOCH)) as batches:
            for images, labels in itertools.islice(batches, BATCHES):
                gradients(trainer, images, labels)
                grads = [p.grad.ravel() for p in trainer.optimizer.parameters if p.grad is not None]
                gradient = np.concatenate(grads).astype(np.float64)
                total, squares, count = total + gradient, squares + float(gradient @ gradient), count + 1
        signal, noise = moments(total / count, squares / count, count)
        rows.append({
            "epoch": trainer.state.epoch, "batch_size": size, "batches": count, "signal": signal, "noise": noise
        })  # fmt: skip
    return rows


def moments(mean: Any, mean_square: float, count: int) -> tuple[float, float]:
    """Return the squared length of the true mean and the summed variance, both without bias.

    Parameters
    ----------
    mean : ndarray of shape (parameters,)
        Of `count` vectors.
    mean_square : float
        Of their squared lengths.
    count : int
        At least 2.

    Notes
    -----
    The squared length of a mean of n vectors is on average their true mean's plus a share 1/n of the variance.
    """
    length = float(mean @ mean)
    noise = (mean_square - length) * count / (count - 1)
    return length - noise / count, noise


def by_epoch(findings: Findings) -> dict[int, list[dict[str, Any]]]:
    """Return the rows that were measured, by epoch; the signal is in each the largest batches', which is the surest."""
    rows: dict[int, list[dict[str, Any]]] = {}
    for row in findings.first("noise")["found"]["rows"]:
        rows.setdefault(row["epoch"], []).append(row)
    return {epoch: [{**row, "signal": group[-1]["signal"]} for row in group] for epoch, group in rows.items()}


def when(epoch: int) -> str:
    """Return in words after how many epochs."""
    return {0: "before training", 1: "after 1 epoch"}.get(epoch, f"after {epoch} epochs")


def table(findings: Findings) -> Table:
    """Return noise, signal and noise scale at each epoch that was looked at."""
    rows = []
    for epoch, group in by_epoch(findings).items() if findings.by_seed("noise") else ():
        signal = group[0]["signal"]
        scale = group[-1]["noise"] * group[-1]["batch_size"] / signal if signal > 0 else None
        rows.append([
            when(epoch),
            f"{signal:.3g}",
            *(f"{row['noise']:.3g}" for row in group),
            "-" if scale is None else f"{scale:,.0f}",
        ])  # fmt: skip
    head = ("network", "signal", *(f"noise, batch {size}" for size in BATCH_SIZES), "noise scale, images")
    note = "Signal: squared length of the mean gradient. Noise: variance of batches' gradients, over all parameters."
    missing = [["not run yet", *["-"] * (len(head) - 1)]]
    return Table("Gradients of single batches", head, rows or missing, note)


def check(findings: Findings) -> Verdict:
    """Decide whether the noise falls with the batch size, as one over it."""
    texts, inside = [], True
    for epoch, group in by_epoch(findings).items():
        ratio = group[0]["noise"] / group[-1]["noise"]
        expected = group[-1]["batch_size"] / group[0]["batch_size"]
        inside &= abs(ratio / expected - 1) <= LEEWAY
        texts.append(f"{ratio:.1f} {when(epoch)}")
    sizes = f"noise of a batch of {BATCH_SIZES[0]} over that of {BATCH_SIZES[-1]} (in theory {expected:g})"
    return Verdict(HOLDS if inside else FAILS, f"{sizes}: {', '.join(texts)}")


def draw(findings: Findings) -> Figure:
    """Draw the noise over the batch size."""
    series = {
        when(epoch): ([row["batch_size"] for row in group], [row["noise"] for row in group])
        for epoch, group in by_epoch(findings).items()
    }
    return drawing.lines(series, "Batch size", "Variance of the gradient", log="xy")
