"""How far the gradients of single batches lie from the mean of all, at fixed weights.

The gradient of a batch of B images is the whole set's, G, plus noise whose variance, summed over all parameters, is
tr(Σ) / B. Their ratio tr(Σ) / B / |G|² says how much of a step is noise; B tr(Σ) / B / |G|² is the batch for which both
are alike, the "simple noise scale" of McCandlish et al., "An empirical model of large-batch training" (2018).
"""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import numpy as np
from job import Job
from runner import prepare

from fastscratch.data import ImageDataset, Loader
from fastscratch.training import Trainer

BATCH_SIZES = (4, 8, 16, 32)
BATCHES = 256
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
        total, squares, count = 0.0, 0.0, 0
        with contextlib.closing(loader.epoch(EPOCH)) as batches:
            for images, labels in itertools.islice(batches, BATCHES):
                trainer.criterion.forward(trainer.model.forward(images), labels)
                trainer.model.backward(trainer.criterion.backward(), input_grad=False)
                gradient = np.concatenate([p.grad.ravel() for p in trainer.optimizer.parameters]).astype(np.float64)
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
