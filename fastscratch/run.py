"""From a config to a run: data, network, loss, optimizer, schedule and trainer, and the folder that keeps it all.

>>> from fastscratch import run
>>> from fastscratch.config import TrainConfig
>>> started = run.start(TrainConfig(data="shapes10", epochs=1))  # doctest: +SKIP
>>> history = started.fit()  # doctest: +SKIP
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastscratch_kernels
from fastscratch import data as data_sets
from fastscratch import losses, models, optim, schedules
from fastscratch.config import CONFIG_FILE, TrainConfig, known_names, read_run_config
from fastscratch.data import ImageDataset
from fastscratch.data.augment import AUGMENTATIONS
from fastscratch.data.catalog import TrainAndTest
from fastscratch.nn import Module
from fastscratch.training import (
    Callback,
    EarlyStopping,
    History,
    JsonLines,
    Trainer,
    checkpoint,
    collect_metrics,
    write_metrics,
)
from fastscratch.training.atomic import nearest_existing, write_atomically
from fastscratch.training.checks import check_batches, check_data

HISTORY_FILE = "history.jsonl"
METRICS_FILE = "metrics.json"
CURVES_FILE = "curves.png"
RUN_FILES = (CONFIG_FILE, HISTORY_FILE, METRICS_FILE, checkpoint.FILE_NAME, CURVES_FILE)


@dataclasses.dataclass(frozen=True)
class Run:
    """A training run that has its folder and everything it needs.

    Attributes
    ----------
    config : TrainConfig
        As it is stored: validated, and with the data set that "auto" took by name.
    folder : Path
        Where its files are.
    train, valid : ImageDataset
        What it trains and validates on.
    trainer : Trainer
        With the model, the optimizer, and, for a resumed run, the state of the last checkpoint.
    """

    config: TrainConfig
    folder: Path
    train: ImageDataset
    valid: ImageDataset
    trainer: Trainer

    def fit(self) -> History:
        """Train to the last epoch of the config."""
        return self.trainer.fit(self.train, self.valid, epochs=self.config.epochs)

    def write_results(self) -> dict[str, Any]:
        """Evaluate on all data and write ``metrics.json`` and ``curves.png``.

        Returns
        -------
        metrics : dict
            As `fastscratch.training.metrics.collect_metrics` gives it.
        """
        from fastscratch.report import figures

        metrics = collect_metrics(self.trainer, self.train, self.valid)
        write_metrics(self.folder / METRICS_FILE, metrics)
        history, config = self.trainer.history, self.config
        title = (
            f"{config.model} on {self.train.name}, {len(self.train):,} images, batch {config.batch_size}, "
            f"{config.optimizer}, lr {config.lr:g}"
        )
        steps = math.ceil(len(self.train) / config.batch_size)
        curves = figures.curves(history.rows, history.batch_losses, steps_per_epoch=steps, title=title)
        figures.save(curves, self.folder / CURVES_FILE)
        return metrics


def start(config: TrainConfig, *, callbacks: Sequence[Callback] = (), whole: TrainAndTest | None = None) -> Run:
    """Prepare a run: choose kernels, load data, build everything, make the folder or take up the one to resume.

    Parameters
    ----------
    config : TrainConfig
        Validated here. With `config.resume`, the settings that decide the result must be those of that run.
    callbacks : sequence of Callback
        Told about the training in addition to what writes ``history.jsonl``.
    whole : pair of ImageDataset, optional
        Training and test images of `config.data`, where they are loaded already.

    Returns
    -------
    run : Run

    Raises
    ------
    TypeError, ValueError
        For a field that makes no sense, images that do not fit the network, a folder that holds a run already, a
        resumed run with other settings or other data.
    OSError
        If a file or folder cannot be read or made.
    BackendUnavailableError
        If the kernels asked for by name cannot be had.
    """
    _check_places(config.validate())
    config = _with_real_places(config)
    if config.resume is not None:
        check_resumable(config, Path(config.resume))
    elif config.out is not None:
        check_free(Path(config.out))
    use_kernels(config)
    train, valid = load_data(config, whole)
    if config.data == "auto":
        config = dataclasses.replace(config, data=train.name)
    # What can fail comes before the folder is made, so that a mistake leaves none behind.
    model = models.of_config(config, train.image_shape, train.num_classes)
    optimizer = make_optimizer(config, model)
    schedule = make_schedule(config, optimizer, math.ceil(len(train) / config.batch_size))
    criterion = losses.LOSSES[config.loss](label_smoothing=config.label_smoothing)
    check_data(model, train, valid)
    check_batches(model, train, config.batch_size)
    folder = _make_folder(config) if config.resume is None else Path(config.resume)
    own: list[Callback] = [JsonLines(folder / HISTORY_FILE)]
    if config.early_stopping is not None:
        own.append(EarlyStopping("valid_loss", patience=config.early_stopping))
    trainer = Trainer(
        model,
        criterion,
        optimizer,
        schedule=schedule,
        batch_size=config.batch_size,
        seed=config.seed,
        augment=AUGMENTATIONS[config.augment](),
        callbacks=[*own, *callbacks],
        checkpoint=folder,
        checkpoint_every=config.checkpoint_every,
        config=config.fixed_fields(),
    )
    if (folder / checkpoint.FILE_NAME).exists():
        trainer.resume(folder)
        if config.epochs < (finished := trainer.state.epoch):
            raise ValueError(f"epochs must be at least {finished}, those that {folder} has, got {config.epochs}")
    write_atomically(folder / CONFIG_FILE, (json.dumps(config.to_mapping(), indent=2) + "\n").encode())
    return Run(config, folder, train, valid, trainer)


def use_kernels(config: TrainConfig) -> None:
    """Set the backend, the precision and the number of threads that a config asks for.

    "auto" leaves what was chosen before (`use_backend` or ``FASTSCRATCH_BACKEND``), None threads likewise.

    Raises
    ------
    ValueError
        If ``FASTSCRATCH_BACKEND`` names no backend.
    BackendUnavailableError
        If the backend asked for cannot be had.
    """
    if config.backend != "auto":
        fastscratch_kernels.use_backend(config.backend)
    fastscratch_kernels.active_backend()  # a mistake in the environment shows now, not in the first layer
    fastscratch_kernels.use_precision(config.precision)
    fastscratch_kernels.set_num_threads(config.threads or fastscratch_kernels.get_num_threads())


def load_data(config: TrainConfig, whole: TrainAndTest | None = None) -> TrainAndTest:
    """Load the images that a config trains and validates on.

    Parameters
    ----------
    config : TrainConfig
        Its `data`, `subsample`, `validation` and `seed` count.
    whole : pair of ImageDataset, optional
        Training and test images of `config.data`, where they are loaded already.

    Returns
    -------
    train, valid : ImageDataset
        Both subsampled alike, as in the report; `valid` is the test set, or with ``validation`` above 0 a share
        of the training set, which `train` then lacks.
    """
    train, test = (part.subsample(config.subsample, config.seed) for part in whole or data_sets.load(config.data))
    return train.split(config.validation, config.seed) if config.validation else (train, test)


def make_optimizer(config: TrainConfig, model: Module) -> optim.Optimizer:
    """Make the optimizer that a config describes; a weight decay of None leaves the optimizer's own default."""
    options: dict[str, Any] = {"lr": config.lr}
    if config.weight_decay is not None:
        options["weight_decay"] = config.weight_decay
    if config.optimizer == "sgd":
        options |= {"momentum": config.momentum, "nesterov": config.nesterov}
    return optim.OPTIMIZERS[config.optimizer](model.parameters(), **options)


def make_schedule(config: TrainConfig, optimizer: optim.Optimizer, steps_per_epoch: int) -> schedules.Schedule:
    """Make the schedule that a config describes; epochs become steps where the schedule counts those."""
    steps = config.epochs * steps_per_epoch
    options: dict[str, dict[str, Any]] = {
        "constant": {},
        "step": {"step_size": config.step_size, "gamma": config.gamma},
        "multistep": {"milestones": config.milestones, "gamma": config.gamma},
        "cosine": {
            "total_steps": steps,
            # A rise over nearly all epochs may be rounded up to all their steps, but the last.
            "warmup_steps": min(round(config.warmup_epochs * steps_per_epoch), steps - 1),
            "final_lr": config.final_lr,
        },
        "onecycle": {"max_lr": config.lr, "total_steps": steps, "pct_start": config.pct_start},
    }
    return schedules.SCHEDULES[config.schedule](optimizer, **options[config.schedule])


def check_free(folder: Path) -> None:
    """Make sure that a run can be written into a folder, which may exist if it holds no run.

    Raises
    ------
    FileExistsError
        If it holds a run.
    OSError
        If it is a file, lies below one, or cannot be written.
    """
    taken = [name for name in RUN_FILES if (folder / name).exists()]
    if taken:
        raise FileExistsError(
            f"{folder} holds a run already ({taken[0]}); go on with it by --resume {folder}, or choose another --out"
        )
    existing = nearest_existing(folder)
    if not existing.is_dir():
        raise NotADirectoryError(f"cannot write to {folder}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write to {folder}: no permission to make files in {existing}")


def check_resumable(config: TrainConfig, folder: Path) -> None:
    """Make sure that a folder holds a run that a config may go on with.

    Raises
    ------
    ValueError
        If a setting that decides the result differs; all of them are named. Or if there are epochs in the history
        but no checkpoint to go on from.
    OSError
        If there is no run.
    """
    stored = read_run_config(folder).fixed_fields()
    asked = config.fixed_fields()
    differences = [
        f"{name} is {stored.get(name)} there, {asked.get(name)} here"
        for name in {**stored, **asked}
        if stored.get(name) != asked.get(name)
    ]
    if differences:
        raise ValueError(f"cannot resume {folder} with other settings: {'; '.join(differences)}")
    if config.out is not None and Path(config.out).resolve() != folder.resolve():
        raise ValueError(f"a resumed run stays in its folder {folder}; leave out --out {config.out}")
    history = folder / HISTORY_FILE
    if not (folder / checkpoint.FILE_NAME).exists() and history.exists() and history.stat().st_size:
        raise ValueError(f"cannot resume {folder}: it has epochs in {HISTORY_FILE} but no {checkpoint.FILE_NAME}")


def _check_places(config: TrainConfig) -> None:
    """Raise ValueError where a folder is named by nothing, which as a path would be the current one."""
    for name in ("data", "out", "resume"):
        if getattr(config, name) == "":
            raise ValueError(f"{name} must not be empty; the current folder is '.'")


def _with_real_places(config: TrainConfig) -> TrainConfig:
    """Replace ~ in folders by the user's, and a folder of images by its absolute path, for a resume from anywhere."""
    places = {name: getattr(config, name) for name in ("out", "resume")}
    expanded = {name: os.path.expanduser(place) for name, place in places.items() if place is not None}
    if config.data not in known_names()["data"]:
        expanded["data"] = str(Path(os.path.expanduser(config.data)).resolve())
    return dataclasses.replace(config, **expanded)


def _make_folder(config: TrainConfig) -> Path:
    """Make the run's folder: `config.out`, or a new one in ``runs`` named after time, model and data."""
    if config.out is not None:
        folder = Path(config.out)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{config.model}-{Path(config.data).name}"
    folder, number = Path("runs", name), 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:  # another run began in the same second
            number += 1
            folder = Path("runs", f"{name}-{number}")
