"""Single numbers that a training run gives, by which settings are compared."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from significance import mean_and_sd
from store import NotRun, Result


@dataclass(frozen=True)
class Measure:
    """A number with its name and the way it is written.

    Attributes
    ----------
    label : str
        What it is, within a sentence.
    of : callable
        From a result to the number; raises `store.NotRun` where the data set has no such thing.
    percent : bool
        Whether it is a share, written in percent.
    points : bool
        Whether that share is a difference of two, written in percentage points.
    """

    label: str
    of: Callable[[Result], float]
    percent: bool = False
    points: bool = False

    def text(self, values: Sequence[float]) -> str:
        """Return mean and standard deviation with their unit."""
        share = "points" if self.points else "%"
        return self._write(values, share if self.percent else "")

    def difference_text(self, mean: float, sd: float | None) -> str:
        """Return a difference with its sign: percentage points where the measure is a share."""
        scale, digits, unit = (100, 1, " points") if self.percent else (1, 3, "")
        spread = "" if sd is None else f" ± {scale * sd:.{digits}f}"
        return f"{scale * mean:+.{digits}f}{spread}{unit}"

    def _write(self, values: Sequence[float], unit: str) -> str:
        mean, sd = mean_and_sd(values)
        scale, digits = (100, 1) if self.percent else (1, 3)
        spread = "" if sd is None else f" ± {scale * sd:.{digits}f}"
        return f"{scale * mean:.{digits}f}{spread} {unit}".rstrip()


def tested(result: Result) -> dict[str, Any]:
    """Return what the finished network did on the test images that its experiment tests on.

    Where images were kept apart, the network is that of the best epoch on them. Else it is the last epoch's, on the
    images that the report would have validated on: the test images, subsampled as the training images are.
    """
    tested: dict[str, Any] = result["best"]["test"] if result["best"] else result["final"]["valid"]
    return tested


def whole_test(result: Result) -> dict[str, Any]:
    """Return what the network of the last epoch did on all test images."""
    measured: dict[str, Any] = result["final"]["test"]
    return measured


def best_epoch(result: Result) -> int:
    """Return the epoch, from 1, with the lowest validation loss."""
    losses = result["history"]["valid_loss"]
    return int(losses.index(min(losses))) + 1


def _final(part: str, what: str) -> Callable[[Result], float]:
    return lambda result: float(result["final"][part][what])


def _history(column: str, epoch: int) -> Callable[[Result], float]:
    """Return a column's value at an epoch, counted from 0; short runs have it at their last."""

    def of(result: Result) -> float:
        values = result["history"][column]
        return float(values[max(-len(values), min(epoch, len(values) - 1))])

    return of


def _by_batches_of_four(result: Result) -> float:
    """Return the validation accuracy after as many steps as an epoch of batches of 4 takes."""
    return _history("valid_accuracy", result["config"]["batch_size"] // 4 - 1)(result)


def _hard_classes(result: Result) -> float:
    accuracy = result["final"]["train"]["class_accuracy"]
    if not accuracy.keys() >= {"cat", "deer"}:
        raise NotRun("this data set has no cats or no deer")
    return statistics.fmean([accuracy["cat"], accuracy["deer"]]) - float(result["final"]["train"]["accuracy"])


def _rise(result: Result) -> float:
    losses = result["history"]["valid_loss"]
    return float(losses[-1] / min(losses) - 1)


def _decline(result: Result) -> float:
    """Return a difference of means: an epoch that is picked, or the very last, may be a lucky one."""
    values, best = result["history"]["valid_accuracy"], best_epoch(result)
    return statistics.fmean(values[max(0, best - 2) : best + 1]) - statistics.fmean(values[-5:])


def _slowing(result: Result) -> float:
    losses = result["history"]["train_loss"]
    middle = losses[len(losses) // 2]
    return float((losses[0] - middle) - (middle - losses[-1]))


def _at_best(column: str, epoch: int) -> Callable[[Result], float]:
    """Return the value at the best epoch minus that at another one."""
    other = _history(column, epoch)
    return lambda result: float(result["history"][column][best_epoch(result) - 1]) - other(result)


TRAIN_ACCURACY = Measure("training accuracy", _final("train", "accuracy"), percent=True)
TEST_ACCURACY = Measure("test accuracy", lambda result: float(tested(result)["accuracy"]), percent=True)
ALL_TEST_ACCURACY = Measure("accuracy on all test images", _final("test", "accuracy"), percent=True)
GAP = Measure(
    "gap between training and test accuracy",
    lambda result: float(result["final"]["train"]["accuracy"] - result["final"]["test"]["accuracy"]),
    percent=True,
    points=True,
)
TRAIN_LOSS = Measure("training loss of the last epoch", _history("train_loss", -1))
FIRST_LOSS = Measure(
    "mean loss of the first batches", lambda result: statistics.fmean(result["batches"]["first"])
)
FIRST_EPOCH_LOSS = Measure("training loss of the first epoch", _history("train_loss", 0))
MEAN_LOSS = Measure(
    "training loss, mean of all epochs", lambda result: statistics.fmean(result["history"]["train_loss"])
)
EARLY_LOSS = Measure(
    "training loss, mean of the first three epochs",
    lambda result: statistics.fmean(result["history"]["train_loss"][:3]),
)
EQUAL_STEPS = Measure(
    "test accuracy after the steps of one epoch of batches of 4", _by_batches_of_four, percent=True
)
SPREAD = Measure("spread of the batch losses in the last epoch", lambda result: float(result["batches"]["sd"][-1]))
HARD_CLASSES = Measure(
    "training accuracy of cat and deer above that of all classes", _hard_classes, percent=True, points=True
)
LEARNT = Measure(
    "fall of the training loss from the first epoch to the last",
    lambda result: float(result["history"]["train_loss"][0] - result["history"]["train_loss"][-1]),
)
SLOWING = Measure("fall of the training loss in the first half beyond that in the second", _slowing)
RISE = Measure("rise of the validation loss from its lowest to the end", _rise, percent=True)
DECLINE = Measure(
    "validation accuracy around the lowest validation loss (three epochs) beyond that of the last five",
    _decline,
    percent=True,
    points=True,
)
UNDERFIT = Measure(
    "validation accuracy at the lowest validation loss beyond that after three epochs",
    _at_best("valid_accuracy", 2),
    percent=True,
    points=True,
)
TRAIN_UNDERFIT = Measure(
    "training accuracy at the lowest validation loss beyond that after three epochs",
    _at_best("train_accuracy", 2),
    percent=True,
    points=True,
)
STOPPED_LOSS = Measure(
    "test loss at the end beyond that at the epoch chosen",
    lambda result: float(result["final"]["test"]["loss"] - result["best"]["test"]["loss"]),
)
STOPPED_ACCURACY = Measure(
    "test accuracy at the epoch chosen beyond that at the end",
    lambda result: float(result["best"]["test"]["accuracy"] - result["final"]["test"]["accuracy"]),
    percent=True,
    points=True,
)
