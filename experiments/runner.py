"""Training runs on fastscratch: gone on with after a stop, and never done twice."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import outcome
from job import Job
from numpy.typing import DTypeLike, NDArray

import fastscratch_kernels
from fastscratch import data, losses, models, run
from fastscratch.config import CONFIG_FILE, TrainConfig
from fastscratch.data import ImageDataset, Loader, Normalization
from fastscratch.data.augment import AUGMENTATIONS
from fastscratch.data.catalog import TrainAndTest
from fastscratch.training import BestCheckpoint, ProgressBar, Trainer, read_model

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
    where: dict[str, Any] = {"resume": str(folder)} if (folder / CONFIG_FILE).exists() else {"out": str(folder)}
    keepers = [BestCheckpoint(folder / BEST_FILE, "valid_loss")] if config.validation else []
    started = run.start(dataclasses.replace(config, **where), callbacks=[ProgressBar(), *keepers], whole=whole)
    started.fit()
    return started


def loader_of(config: TrainConfig, train: ImageDataset, normalization: Normalization | None, **more: Any) -> Loader:
    """Return what serves the batches of a config's training run; `more` are further arguments of `Loader`."""
    augment = AUGMENTATIONS[config.augment]()
    return Loader(train, config.batch_size, seed=config.seed, augment=augment, normalization=normalization, **more)


def prepare(config: TrainConfig, dtype: DTypeLike = np.float32) -> tuple[Trainer, ImageDataset]:
    """Return a trainer that keeps nothing on disk, and its training images, for what is measured beside training."""
    run.use_kernels(config)
    train, _ = run.load_data(config, whole(config.data))
    model = models.of_config(config, train.image_shape, train.num_classes).astype(dtype)
    trainer = Trainer(
        model,
        losses.LOSSES[config.loss](label_smoothing=config.label_smoothing),
        run.make_optimizer(config, model),
        batch_size=config.batch_size,
        seed=config.seed,
        normalization=Normalization.from_images(train.images),
        callbacks=[ProgressBar()],
    )
    return trainer, train


def gradients(trainer: Trainer, images: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Leave the gradients of a batch in the parameters, and return its loss."""
    loss = trainer.criterion.forward(trainer.model.forward(images), labels)
    trainer.model.backward(trainer.criterion.backward(), input_grad=False)
    return loss


def run_job(job: Job, folder: Path) -> dict[str, Any]:
    """Do a run, and return its result: train and test, or whatever is measured in its place."""
    if job.measure is not None:
        return outcome.finding(job, job.measure(job), made())
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
    return outcome.result(job, trainer.history, final, best=best, weights=weights, made=made())


def made() -> dict[str, Any]:
    """Return what a run was made with."""
    return outcome.made_by(
        fastscratch_kernels.get_num_threads(),
        backend=fastscratch_kernels.active_backend(),
        isa=fastscratch_kernels.isa(),
    )
