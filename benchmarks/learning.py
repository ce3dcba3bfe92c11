"""A training run whose clock stands still while it is examined; the same loop for every engine."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import numpy as np

from fastscratch import data
from fastscratch.data import Loader, Normalization
from fastscratch.data.augment import AUGMENTATIONS

EXAMINED_AT_ONCE = 250
SHOWN = 5000
"""Training images, about, that a network is shown before."""


def learn(
    engine: Any,
    *,
    model: str,
    dataset: str,
    augment: str,
    subsample: int,
    epochs: int,
    batch: int,
    lr: float,
    seed: int,
    until: float,
) -> list[dict[str, float]]:
    """Train by Adam, the learning rate falling along half a cosine, and return accuracy after each epoch.

    Parameters
    ----------
    engine : FastscratchEngine or TorchEngine
    model : str
        A name of `fastscratch.models.MODELS`; weights depend on `seed` alone, as the batches do.
    dataset, augment : str
        As ``fastscratch train`` takes them.
    subsample : int
        Every so many-th image, of training and of test images.
    epochs, batch : int
    lr : float
        At the first step.
    seed : int
    until : float
        The run ends with the epoch that reaches this accuracy, though its learning rate has not fallen to zero.

    Returns
    -------
    list of dict
        One an epoch: ``epoch``, ``seconds`` of training so far (loading included, examination not), ``accuracy``.
    """
    train, test = (part.subset(np.arange(0, len(part), subsample)) for part in data.load(dataset))
    normalization = Normalization.from_images(train.images)
    loader = Loader(train, batch, seed=seed, augment=AUGMENTATIONS[augment](), normalization=normalization)
    some = normalization.apply(train.images[:: max(1, len(train) // SHOWN)])
    warm, learner = (engine.learner(model, seed, some) for _ in range(2))
    with contextlib.closing(loader.epoch(0)) as batches:
        warm.train(*next(batches), lr)  # whatever is compiled or allocated at a first step
    steps, step, seconds = epochs * len(loader), 0, 0.0
    history = []
    for epoch in range(epochs):
        started = time.perf_counter()
        with contextlib.closing(loader.epoch(epoch)) as batches:
            for images, labels in batches:
                learner.train(images, labels, lr * (1 + math.cos(math.pi * step / steps)) / 2)
                step += 1
        seconds += time.perf_counter() - started
        right = 0
        for images, labels in Loader(test, EXAMINED_AT_ONCE, shuffle=False, normalization=normalization).epoch(0):
            right += int((learner.predict(images) == labels).sum())
        history.append({"epoch": epoch + 1, "seconds": seconds, "accuracy": right / len(test)})
        if history[-1]["accuracy"] >= until:
            break
    return history
