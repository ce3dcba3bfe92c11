"""The whole state of a run: what it is made of, how it goes into a checkpoint and comes back.

A run that is taken up again must not differ from one that was never stopped, by a single bit. So a checkpoint holds
everything that a later step depends on: weights and buffers, the optimizer's moments, the schedule, the Generators of
dropout, the position in the epoch and its running sums, the history, the callbacks' memory. The loader needs nothing:
what it draws depends on its seed, the epoch and the batch alone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscratch.data.normalization import Normalization
from fastscratch.training import checkpoint
from fastscratch.training.checkpoint import Arrays, CheckpointError, Meta
from fastscratch.training.history import History, Row
from fastscratch.training.rundata import RunData
from fastscratch.training.settings import describe_settings

if TYPE_CHECKING:
    from fastscratch.nn.parameter import Array
    from fastscratch.training.callbacks import Callback
    from fastscratch.training.metrics import Evaluation
    from fastscratch.training.trainer import Trainer

MODEL, OPTIMIZER, LOSSES = "model.", "optimizer.", "history.batch_losses"

META_TYPES: dict[str, type | tuple[type, ...]] = {
    "settings": dict,
    "config": (dict, type(None)),
    "data": dict,
    "normalization": dict,
    "position": dict,
    "optimizer": dict,
    "schedule": (dict, type(None)),
    "generators": dict,
    "callbacks": dict,
    "history": list,
}
"""What a checkpoint's description must hold."""


@dataclass
class Position:
    """Where a run stands, between two batches.

    Attributes
    ----------
    epoch : int
        Finished epochs.
    batch : int
        Finished batches of the epoch under way.
    step : int
        Optimizer steps so far, over all epochs.
    loss_sum : float
        Over the images of the epoch under way.
    correct, images : int
        Of the epoch under way: images classified rightly, images seen.
    seconds : float
        Time spent on the batches of the epoch under way.
    lr : float
        Learning rate of the last step.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    images: int = 0
    seconds: float = 0.0
    lr: float = 0.0

    def add_batch(self, loss: float, correct: int, images: int) -> None:
        """Count a batch: its mean loss, how many of its images were classified rightly, how many there were."""
        self.batch += 1
        self.step += 1
        self.loss_sum += loss * images
        self.correct += correct
        self.images += images

    def row(self, valid: Evaluation | None) -> Row:
        """Return the history's row of the epoch under way, all of whose batches are done."""
        return {
            "epoch": self.epoch + 1,
            "train_loss": self.loss_sum / self.images,
            "train_accuracy": self.correct / self.images,
            "valid_loss": None if valid is None else valid.loss,
            "valid_accuracy": None if valid is None else valid.accuracy,
            "lr": self.lr,
            "seconds": self.seconds,
            "images": self.images,
        }

    def next_epoch(self) -> None:
        """Finish the epoch under way and clear its sums."""
        self.epoch += 1
        self.batch, self.loss_sum, self.correct, self.images, self.seconds = 0, 0.0, 0, 0, 0.0


@dataclass(frozen=True)
class SavedModel:
    """What a checkpoint says about the network alone: enough to evaluate it or to predict.

    Attributes
    ----------
    weights : dict of str to ndarray
        Parameters and buffers, as `Module.load_state_dict` takes them.
    normalization : Normalization
        That of the training.
    data : RunData
        What it was trained on.
    epoch : int
        Finished epochs.
    """

    weights: Arrays
    normalization: Normalization
    data: RunData
    epoch: int

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the training data's classes."""
        return self.data.classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of its images."""
        return self.data.image_shape


def read_model(path: str | os.PathLike[str]) -> SavedModel:
    """Read a network's weights, and what belongs to them, from a checkpoint.

    Parameters
    ----------
    path : path-like
        The file, or the folder of a run.

    Raises
    ------
    CheckpointError
        If it cannot be read, is no training checkpoint, or a weight is not finite.
    """
    file = checkpoint.file_of(path)
    arrays, meta = _load(file)
    try:
        normalization = Normalization.from_state(meta["normalization"])
        data, position = RunData.from_state(meta["data"]), _position(meta["position"])
    except (TypeError, ValueError) as error:
        raise _misfit(file, error) from error
    return SavedModel(_part(arrays, MODEL), normalization, data, position.epoch)


def gather(trainer: Trainer, normalization: Normalization, data: RunData) -> tuple[Arrays, Meta]:
    """Collect the state of a trainer for `checkpoint.save`."""
    optimizer = trainer.optimizer.state_dict()
    arrays = {MODEL + name: array for name, array in trainer.model.state_dict().items()}
    arrays |= {OPTIMIZER + name: array for name, array in optimizer["arrays"].items()}
    arrays[LOSSES] = np.array(trainer.history.batch_losses, dtype=np.float64)
    meta = {
        "settings": describe_settings(trainer),
        "config": trainer.config,
        "data": data.state(),
        "normalization": normalization.state(),
        "position": asdict(trainer.state),
        "optimizer": optimizer["scalars"],
        "schedule": None if trainer.schedule is None else trainer.schedule.state_dict(),
        "generators": {
            name: _plain(generator.bit_generator.state) for name, generator in trainer.model.generators().items()
        },
        "callbacks": {name: state for name, callback in _named_callbacks(trainer) if (state := callback.state_dict())},
        "history": trainer.history.rows,
    }
    return arrays, meta


def restore(trainer: Trainer, path: str | os.PathLike[str]) -> tuple[Normalization, RunData]:
    """Put the state of a checkpoint into a trainer made with the same settings.

    Returns
    -------
    normalization : Normalization
        That of the run.
    data : RunData
        What its data was.

    Raises
    ------
    CheckpointError
        If the file cannot be read, belongs to another config, or does not fit. Settings, position, history and all
        arrays are checked before anything is changed.
    """
    file = checkpoint.file_of(path)
    arrays, meta = _load(file)
    faults = differences(meta["config"], trainer.config) if meta["config"] and trainer.config else {}
    faults = {**differences(meta["settings"], describe_settings(trainer)), **faults}
    if trainer.own_normalization is not None:
        own = {"normalization": trainer.own_normalization.state()}
        faults |= differences({"normalization": meta["normalization"]}, own)
    if faults:
        raise CheckpointError(f"checkpoint {file} belongs to another run: {'; '.join(faults.values())}")
    optimizer = {"arrays": _part(arrays, OPTIMIZER), "scalars": meta["optimizer"]}
    try:
        _check_shapes(optimizer["arrays"], trainer.optimizer.state_dict()["arrays"])
        position = _position(meta["position"])
        history = _history(meta["history"], arrays[LOSSES], position)
        normalization = Normalization.from_state(meta["normalization"])
        data = RunData.from_state(meta["data"])
        trainer.model.load_state_dict(_part(arrays, MODEL))  # changes nothing where names or shapes differ
        if trainer.schedule is not None:
            trainer.schedule.load_state_dict(meta["schedule"])
        trainer.optimizer.load_state_dict(optimizer)  # after the schedule, which sets its own learning rate
        for name, generator in trainer.model.generators().items():
            generator.bit_generator.state = meta["generators"][name]
        for name, callback in _named_callbacks(trainer):
            if name in meta["callbacks"]:
                callback.load_state_dict(meta["callbacks"][name])
    except (KeyError, TypeError, ValueError) as error:
        raise _misfit(file, error) from error
    trainer.state, trainer.history = position, history
    if trainer.config is None:
        trainer.config = meta["config"]
    return normalization, data


def not_finite(weights: Arrays) -> list[str]:
    """Return the names of a model's arrays that hold an infinity or NaN."""
    return [name for name, array in weights.items() if not np.isfinite(array).all()]


def differences(kept: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, str]:
    """Compare two dictionaries of plain values.

    Returns
    -------
    dict of str to str
        For each key whose values differ, in words: ``lr: checkpoint has 0.001, this run has 0.0003``.
    """
    return {
        key: f"{key}: checkpoint has {kept.get(key)}, this run has {current.get(key)}"
        for key in {**kept, **current}
        if key not in kept or key not in current or kept[key] != current[key]
    }


def _load(file: Path) -> tuple[Arrays, Meta]:
    """Read a checkpoint and check that it is one of a training, with finite weights."""
    arrays, meta = checkpoint.load(file)
    for key, kinds in META_TYPES.items():
        if not isinstance(meta.get(key), kinds):
            raise CheckpointError(f"checkpoint {file} is not one of a training: no valid {key!r} in its description")
    if LOSSES not in arrays or arrays[LOSSES].ndim != 1:
        raise CheckpointError(f"checkpoint {file} is not one of a training: no valid array {LOSSES!r}")
    if bad := not_finite(_part(arrays, MODEL)):
        raise CheckpointError(f"checkpoint {file} holds a network that is not finite: {', '.join(bad)}")
    return arrays, meta


def _misfit(file: Path, error: Exception) -> CheckpointError:
    reason = f"no {error}" if isinstance(error, KeyError) else str(error)
    return CheckpointError(f"checkpoint {file} does not fit this run: {reason}")


def _position(values: dict[str, Any]) -> Position:
    kinds = {field.name: type(field.default) for field in fields(Position)}
    # A sum of losses may be negative: by rounding, or where the loss is one's own.
    counted = [value for name, value in values.items() if name != "loss_sum"]
    if {name: type(value) for name, value in values.items()} != kinds or min(counted) < 0:
        raise ValueError(f"its position is {values}")
    return Position(**values)


def _history(rows: list[Any], losses: Array, position: Position) -> History:
    if (len(rows), len(losses)) != (position.epoch, position.step):
        raise ValueError(
            f"its history is of {len(rows)} epochs and {len(losses)} steps, its position of {position.epoch} and "
            f"{position.step}"
        )
    history = History()
    for row in rows:
        history.append(row)
    history.batch_losses = losses.tolist()
    return history


def _check_shapes(arrays: Arrays, expected: Arrays) -> None:
    got = {name: array.shape for name, array in arrays.items()}
    wanted = {name: array.shape for name, array in expected.items()}
    if got != wanted:
        raise ValueError(f"the optimizer's arrays have the shapes {got}, this run's {wanted}")


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _named_callbacks(trainer: Trainer) -> Iterator[tuple[str, Callback]]:
    """Yield the callbacks with names that those of other classes do not change: "EarlyStopping.1", and so on."""
    seen: Counter[str] = Counter()
    for callback in trainer.callbacks:
        kind = type(callback).__name__
        seen[kind] += 1
        yield f"{kind}.{seen[kind]}", callback


def _plain(value: Any) -> Any:
    """Return a Generator's state with its arrays as lists, which the setter of every NumPy bit generator takes."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
