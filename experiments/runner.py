"""Training runs on fastscratch: gone on with after a stop, and never done twice."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import outcome
from plan import Job

import fastscratch_kernels
from fastscratch import data, run
from fastscratch.config import CONFIG_FILE, TrainConfig
from fastscratch.data import ImageDataset
from fastscratch.data.catalog import TrainAndTest
from fastscratch.training import BestCheckpoint, ProgressBar, read_model

BEST_FILE = "best.safetensors"


@functools.lru_cache(maxsize=1)
def whole(name: str) -> TrainAndTest:
    """Return the training and the test images of a data set, which the next run will want, too."""
    return data.load(name)


def test_images(job: Job) -> ImageDataset:
    """Return the images that the finished network is tested on."""
    return whole(job.config.data)[1].subsample(job.test_share, job.config.seed)


def train(config: TrainConfig, folder: Path, whole: TrainAndTest | None = None) -> run.Run:
    """Train to the last epoch, from the last checkpoint in the folder if there is one.

    Parameters
    ----------
    config : TrainConfig
        What is trained. `out` and `resume` are set here.
    folder : Path
        Of the run. Where images are kept apart for validation, it has the best epoch's network in `BEST_FILE`.
    whole : pair of ImageDataset, optional
        The data set, where it is loaded already.
    """
    where = {"resume": str(folder)} if (folder / CONFIG_FILE).exists() else {"out": str(folder)}
    keepers = [BestCheckpoint(folder / BEST_FILE, "valid_loss")] if config.validation else []
    started = run.start(dataclasses.replace(config, **where), callbacks=[ProgressBar(), *keepers], whole=whole)
    started.fit()
    return started


def run_job(job: Job, folder: Path) -> dict[str, Any]:
    """Train, test, and return the result."""
    started = train(job.config, folder, whole(job.config.data))
    trainer, test = started.trainer, test_images(job)
    parts = {"train": started.train, "valid": started.valid, "test": test}
    final = {name: outcome.measured(trainer.evaluate(part), part) for name, part in parts.items()}
    weights = trainer.model.state_dict()
    best = None
    if job.config.validation:
        saved = read_model(folder / BEST_FILE)
        trainer.model.load_state_dict(saved.weights)
        best = {"epoch": saved.epoch, "test": outcome.measured(trainer.evaluate(test), test)}
    made = outcome.made_by(
        fastscratch_kernels.get_num_threads(),
        backend=fastscratch_kernels.active_backend(),
        isa=fastscratch_kernels.isa(),
    )
    return outcome.result(job, trainer.history, final, best=best, weights=weights, made=made)
