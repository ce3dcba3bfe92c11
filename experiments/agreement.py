"""0. Do the two engines compute the same? Their losses over the first batches, in float32 and in float64.

Two engines add in another order, so that their last digits differ; training makes small differences grow, the faster
the larger the learning rate. If nothing but rounding is between them, then in float64, whose roundings are a billion
times finer, the losses stay together that much longer.
"""

from __future__ import annotations

import contextlib
import itertools

import numpy as np
from design import Experiment, Setting
from job import Job
from numpy.typing import DTypeLike
from runner import prepare

from fastscratch.config import TrainConfig
from fastscratch.data import Loader
from fastscratch.data.augment import AUGMENTATIONS

BATCHES = 100


def measure(job: Job) -> dict[str, list[float]]:
    """Return the losses of both engines over the first batches: ``float32``, ``float32-torch``, and so in float64."""
    return {
        name: losses
        for dtype in (np.float32, np.float64)
        for name, losses in zip((dtype.__name__, f"{dtype.__name__}-torch"), both(job, dtype), strict=True)
    }


def both(job: Job, dtype: DTypeLike) -> tuple[list[float], list[float]]:
    """Train both engines on the first batches, each on its own, and return their losses."""
    import torch
    from torch_losses import loss_of

    from fastscratch.interop.torch import images_to_torch, to_torch

    config = job.config
    torch.set_num_threads(config.threads or 1)
    trainer, train = prepare(config, dtype)
    twin = to_torch(trainer.model)
    adam = torch.optim.Adam(twin.parameters(), lr=config.lr)
    loader = Loader(
        train,
        config.batch_size,
        seed=config.seed,
        augment=AUGMENTATIONS[config.augment](),
        normalization=trainer.normalization,
        dtype=dtype,
    )
    here, there = [], []
    with contextlib.closing(loader.epoch(0)) as batches:
        for images, labels in itertools.islice(batches, BATCHES):
            here.append(trainer.criterion.forward(trainer.model.forward(images), labels))
            trainer.model.backward(trainer.criterion.backward(), input_grad=False)
            trainer.optimizer.step()
            adam.zero_grad()
            loss = loss_of(config, twin(images_to_torch(images)), torch.from_numpy(labels))
            loss.backward()
            adam.step()
            there.append(loss.item())
    return here, there


EXPERIMENT = Experiment(
    name="agreement",
    title="The two engines",
    fixed=TrainConfig(epochs=1, batch_size=32),
    settings=tuple(
        Setting(name=name, changes=changes, seeds=0, twins=1, measure=measure)
        for name, changes in {
            "lr-3e-4": {},
            "lr-1e-6": {"lr": 1e-6},
            "lr-1e-3": {"lr": 1e-3},
            "lr-5e-3": {"lr": 5e-3},
            "batch-4": {"batch_size": 4},
            "kl": {"loss": "kl-divergence"},
            "augmented": {"augment": "report"},
        }.items()
    ),
)
