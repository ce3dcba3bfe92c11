"""What must fit together before a run starts: the parts of a trainer, and its data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastscratch.data.dataset import ImageDataset
from fastscratch.losses import Loss
from fastscratch.nn import Module
from fastscratch.optim import Optimizer
from fastscratch.schedules import Schedule
from fastscratch.training.callbacks import Callback


def check_parts(model: Any, criterion: Any, optimizer: Any, schedule: Any, callbacks: Sequence[Any]) -> None:
    """Check the parts of a trainer against each other.

    Raises
    ------
    TypeError
        If one is of the wrong kind.
    ValueError
        If the optimizer holds parameters of another model, or the schedule is another optimizer's.
    """
    for name, part, kind in (
        ("model", model, Module),
        ("criterion", criterion, Loss),
        ("optimizer", optimizer, Optimizer),
        *([("schedule", schedule, Schedule)] if schedule is not None else []),
        *(("each callback", callback, Callback) for callback in callbacks),
    ):
        if not isinstance(part, kind):
            raise TypeError(f"{name} must be an instance of {kind.__name__}, got {part!r}")
    own = {id(parameter) for parameter in model.parameters()}
    foreign = [parameter.name for parameter in optimizer.parameters if id(parameter) not in own]
    if foreign:
        raise ValueError(f"the optimizer holds parameters that are not the model's: {', '.join(foreign)}")
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("the schedule must be made with the optimizer that the trainer gets")


def check_data(model: Module, train: Any, valid: Any) -> None:
    """Check that data sets fit the model and each other; `valid` may be None.

    Raises
    ------
    TypeError
        If one is no ImageDataset.
    ValueError
        If classes or image shapes differ, or the model has no score for each class.
    """
    for name, dataset in (("train", train), *([("valid", valid)] if valid is not None else [])):
        if not isinstance(dataset, ImageDataset):
            raise TypeError(f"{name} must be an ImageDataset, got {type(dataset).__name__}")
    if valid is not None and valid.image_shape != train.image_shape:
        raise ValueError(f"training images are {train.image_shape}, validation images {valid.image_shape}")
    if valid is not None and valid.classes != train.classes:
        raise ValueError(f"training classes are {train.classes}, validation classes {valid.classes}")
    scores = model.output_shape(train.image_shape)
    if len(scores) != 1 or scores[0] < train.num_classes:
        raise ValueError(
            f"the model returns {scores} for an image of {train.image_shape}, "
            f"it must return a score for each of {train.num_classes} classes"
        )
