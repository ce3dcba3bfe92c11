"""Things that happen beside training: five hooks, and the callbacks that most runs want."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fastscratch.nn.checks import check_number, check_size
from fastscratch.training.history import History, Row

if TYPE_CHECKING:
    from fastscratch.training.trainer import Trainer

MONITORS = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")


class Callback:
    """Base of all callbacks: override the hooks you need.

    Hooks run in the order of the trainer's list. They may read everything on the trainer, ask it to `stop`, and
    `save` it; an exception in one ends the run, at the end of an epoch after the others were told of it.
    """

    saves: ClassVar[bool] = False
    """Whether the end of an epoch may `save` the trainer: then it runs after the others, whose state goes along."""

    def on_fit_start(self, trainer: Trainer) -> None:
        """Run before the first batch of a `fit`, also of one that goes on after a resume."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Run before the batches of an epoch, or what is left of them after a resume."""

    def on_batch_end(self, trainer: Trainer, loss: float, lr: float, epoch: int, batch: int) -> None:
        """Run after an optimizer step.

        Parameters
        ----------
        trainer : Trainer
            Its `state` has the sums of the epoch so far.
        loss : float
            Mean loss of this batch, before the step.
        lr : float
            Learning rate of this step.
        epoch, batch : int
            Which epoch, and which batch of it, both from 1.
        """

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """Run after an epoch and its evaluation, when `row` is in the history already."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """Run when a `fit` ends, whether it is done, stopped or failed, if it was begun here."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know, as JSON can hold it; {} if there is nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""


def tell_of_epoch(trainer: Trainer, row: Row) -> None:
    """Run the hooks for the end of an epoch, all of them, whatever one raises."""
    in_order = sorted(trainer.callbacks, key=lambda callback: callback.saves)
    with contextlib.ExitStack() as hooks:  # what comes last is run first
        for callback in reversed(in_order):
            hooks.callback(callback.on_epoch_end, trainer, row)


@contextlib.contextmanager
def told_of_fit(trainer: Trainer) -> Iterator[None]:
    """Tell a trainer's callbacks that a `fit` starts, and after the block those that were told that it has ended."""
    told: list[Callback] = []
    try:
        for callback in trainer.callbacks:
            told.append(callback)
            callback.on_fit_start(trainer)
        yield
    finally:
        with contextlib.ExitStack() as ends:  # which runs all of them, whatever one raises, the last one first
            for callback in reversed(told):
                ends.callback(callback.on_fit_end, trainer)


class FileCallback(Callback):
    """Keep a file for a run, and write it anew now and then: base of the callbacks that do.

    Parameters
    ----------
    path : path-like
        The file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._is_ours = False

    def on_fit_start(self, trainer: Trainer) -> None:
        """Take the file for the run of `trainer`; an empty one is nobody's.

        Raises
        ------
        FileExistsError
            If it is another run's: this one was not resumed, and the file was not taken before.
        """
        is_ours = self._is_ours or trainer.checkpoint.resumed_from is not None
        if not is_ours and self.path.exists() and self.path.stat().st_size:
            raise FileExistsError(f"{self.path} belongs to another run: resume that run, or choose another file")
        self._is_ours = True


class Best:
    """Remember the best value of a monitored column.

    Parameters
    ----------
    monitor : str
        One of `MONITORS`.
    mode : {"min", "max"}, optional
        What is better; by default smaller for a loss, larger for an accuracy.
    min_delta : float
        By how much a value must be better to count, at least 0.

    Attributes
    ----------
    value : float or None
        The best one so far; None before the first.

    Raises
    ------
    TypeError
        If `min_delta` is no number.
    ValueError
        If the column or the mode is unknown, or `min_delta` is not a finite number of at least 0.
    """

    def __init__(self, monitor: str, mode: Literal["min", "max"] | None = None, min_delta: float = 0.0) -> None:
        if monitor not in MONITORS:
            raise ValueError(f"unknown monitor {monitor!r}, known are {', '.join(MONITORS)}")
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min', 'max' or None, got {mode!r}")
        self.monitor = monitor
        self.min_delta = check_number("min_delta", min_delta, at_least=0)
        self._larger_is_better = mode == "max" if mode else monitor.endswith("accuracy")
        self.value: float | None = None

    def check(self, trainer: Trainer) -> None:
        """Raise ValueError where the `fit` under way will not measure what is monitored."""
        if self.monitor.startswith("valid") and not trainer.validates:
            raise ValueError(f"cannot monitor {self.monitor}: fit was given no validation data")

    def update(self, row: Row) -> bool:
        """Look at an epoch's row; return whether it is the best so far."""
        value = row[self.monitor]
        assert value is not None, "check has seen that it is measured"
        if self.value is not None:
            gain = value - self.value if self._larger_is_better else self.value - value
            if not gain > self.min_delta:
                return False
        self.value = float(value)
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return what is monitored and its best value."""
        return {"monitor": self.monitor, "best": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Take back the best value; return False where another column was monitored, whose best means nothing here."""
        if state["monitor"] != self.monitor:
            return False
        self.value = state["best"]
        return True


class EarlyStopping(Callback):
    """Stop when a column has not improved for some epochs.

    Parameters
    ----------
    monitor : str
        One of ``train_loss``, ``train_accuracy``, ``valid_loss``, ``valid_accuracy``.
    patience : int
        How many epochs in a row without a new best value end the run, at least 1.
    min_delta : float
        By how much a value must be better to count as a new best.
    mode : {"min", "max"}, optional
        What is better; by default smaller for a loss, larger for an accuracy.

    Raises
    ------
    TypeError
        If `patience` is no int, or `min_delta` no number.
    ValueError
        If the monitor or the mode is unknown, or a number is out of range.

    Notes
    -----
    The best value and the epochs waited are part of a checkpoint: a resumed run stops where an undisturbed one
    would have. It does not bring back the best weights; `BestCheckpoint` keeps those.
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: Literal["min", "max"] | None = None,
    ) -> None:
        self.patience = check_size("patience", patience)
        self.best = Best(monitor, mode, min_delta)
        self.waited = 0

    def on_fit_start(self, trainer: Trainer) -> None:
        """Stop at once where the patience was used up before.

        Raises
        ------
        ValueError
            If what is monitored is not measured: `fit` was given no validation data.
        """
        self.best.check(trainer)
        self._stop_if_due(trainer)

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """Count the epochs since the best one."""
        self.waited = 0 if self.best.update(row) else self.waited + 1
        self._stop_if_due(trainer)

    def _stop_if_due(self, trainer: Trainer) -> None:
        if self.waited >= self.patience:
            trainer.stop(f"{self.best.monitor} has not improved on {self.best.value} for {self.waited} epochs")

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and the epochs waited since."""
        return {**self.best.state_dict(), "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned; start anew where another column was monitored."""
        if self.best.load_state_dict(state):
            self.waited = int(state["waited"])


class BestCheckpoint(FileCallback):
    """Keep a checkpoint of the best epoch.

    Parameters
    ----------
    path : path-like
        The file, for example ``run1/best.safetensors``; its folder is made where it is missing. It can be
        evaluated and resumed as any other checkpoint.
    monitor : str
        One of ``train_loss``, ``train_accuracy``, ``valid_loss``, ``valid_accuracy``.
    mode : {"min", "max"}, optional
        What is better; by default smaller for a loss, larger for an accuracy.

    Raises
    ------
    ValueError
        If the monitor or the mode is unknown.
    """

    saves = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "valid_accuracy",
        mode: Literal["min", "max"] | None = None,
    ) -> None:
        super().__init__(path)
        self.best = Best(monitor, mode)

    def on_fit_start(self, trainer: Trainer) -> None:
        """Make sure that the file may be written.

        Raises
        ------
        FileExistsError
            If it is that of another run.
        ValueError
            If what is monitored is not measured: `fit` was given no validation data.
        """
        self.best.check(trainer)
        super().on_fit_start(trainer)

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """Write the checkpoint if this epoch is the best so far."""
        if self.best.update(row):
            trainer.save(self.path, keep_previous=False)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value."""
        return self.best.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned; start anew where another column was monitored."""
        self.best.load_state_dict(state)


class HistoryFile(FileCallback, ABC):
    """Keep the history in a file: base of `JsonLines` and `CsvLog`.

    The file is written anew, in one step, at the start of a fit and after each epoch, from the history that a
    resumed trainer has restored. So an epoch that was repeated after a crash is not in it twice.

    Parameters
    ----------
    path : path-like
        The file; its folder is made where it is missing.
    """

    def on_fit_start(self, trainer: Trainer) -> None:
        """Write the epochs done so far.

        Raises
        ------
        FileExistsError
            If the file is that of another run.
        """
        super().on_fit_start(trainer)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.write(trainer.history)

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """Write all epochs including this one."""
        self.write(trainer.history)

    @abstractmethod
    def write(self, history: History) -> None:
        """Write the file."""


class JsonLines(HistoryFile):
    """Keep the history in a file such as ``run1/history.jsonl``, one JSON object a line; see `HistoryFile`."""

    def write(self, history: History) -> None:
        """Write the file."""
        history.to_jsonl(self.path)


class CsvLog(HistoryFile):
    """Keep the history in a file such as ``run1/history.csv``, with a heading; see `HistoryFile`."""

    def write(self, history: History) -> None:
        """Write the file."""
        history.to_csv(self.path)
