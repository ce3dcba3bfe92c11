"""What must fit together before a run starts: the parts of a trainer, and its data."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastscratch.data.augment import check_transform
from fastscratch.data.dataset import ImageDataset
from fastscratch.data.normalization import Normalization
from fastscratch.losses import Loss
from fastscratch.nn import BatchNorm2d, Module, Residual, Sequential
from fastscratch.nn.parameter import Shape
from fastscratch.optim import Optimizer
from fastscratch.schedules import Schedule
from fastscratch.training.callbacks import Callback


def check_parts(
    model: Any,
    criterion: Any,
    optimizer: Any,
    schedule: Any,
    augment: Any,
    normalization: Any,
    callbacks: Sequence[Any],
) -> None:
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
        *([("normalization", normalization, Normalization)] if normalization is not None else []),
        *(("each callback", callback, Callback) for callback in callbacks),
    ):
        if not isinstance(part, kind):
            raise TypeError(f"{name} must be an instance of {kind.__name__}, got {part!r}")
    if augment is not None:
        check_transform("augment", augment)
    own = {id(parameter) for parameter in model.parameters()}
    foreign = [parameter.name for parameter in optimizer.parameters if id(parameter) not in own]
    if foreign:
        raise ValueError(f"the optimizer holds parameters that are not the model's: {', '.join(foreign)}")
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("the schedule must be made with the optimizer that the trainer gets")


def plain_config(config: Any) -> dict[str, Any]:
    """Return `config` as it comes back from JSON, so that tuples compare equal to what a checkpoint holds.

    Raises
    ------
    TypeError
        If it is no mapping, or holds something that JSON cannot.
    ValueError
        If a number in it is not finite.
    """
    if not isinstance(config, Mapping):
        raise TypeError(f"config must be a mapping, got {config!r}")
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(config), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise type(error)(f"config must hold what JSON can, got {dict(config)!r}: {error}") from error
    return plain


def check_batches(model: Module, train: ImageDataset, batch_size: int) -> None:
    """Raise ValueError if an epoch has a batch of one image, and a batch norm sees one pixel of it."""
    last = len(train) % batch_size or min(batch_size, len(train))
    if last == 1 and (norm := next(_norms_of_one_pixel(model, train.image_shape), None)):
        raise ValueError(
            f"the last batch of an epoch has one image ({len(train)} images, batch_size {batch_size}), and of that "
            f"{norm!r} sees one pixel, which has no variance: choose another batch_size"
        )


def _norms_of_one_pixel(module: Module, shape: Shape) -> Iterator[BatchNorm2d]:
    """Yield the batch norms in containers whose inputs, for an image of `shape`, have one pixel."""
    if isinstance(module, Sequential):
        for layer in module.layers:
            yield from _norms_of_one_pixel(layer, shape)
            shape = layer.output_shape(shape)
    elif isinstance(module, Residual):
        for _, part in module.children():
            yield from _norms_of_one_pixel(part, shape)
    elif isinstance(module, BatchNorm2d) and math.prod(shape[:-1]) == 1:
        yield module


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
