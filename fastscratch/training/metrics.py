"""How good a network is, class by class, and the file that says so."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastscratch.training.atomic import write_atomically

if TYPE_CHECKING:
    from fastscratch.data.dataset import ImageDataset
    from fastscratch.training.trainer import Trainer


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network does on a data set, in eval mode.

    Attributes
    ----------
    loss : float
        Mean over the images.
    confusion : ndarray of shape (K, K), int64
        Images counted by true class (row) and predicted class (column).
    """

    loss: float
    confusion: NDArray[np.int64]

    @property
    def images(self) -> int:
        """How many images were looked at."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Fraction of the images whose predicted class is the true one."""
        return int(np.trace(self.confusion)) / self.images

    @property
    def class_accuracy(self) -> NDArray[np.float64]:
        """Accuracy within each true class, of shape (K,); see `class_accuracy`."""
        return class_accuracy(self.confusion)


def confusion_matrix(labels: NDArray[np.int64], predictions: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """Count images by true and predicted class.

    Parameters
    ----------
    labels, predictions : ndarray of shape (N,), int64
        True and predicted classes, 0 to `num_classes` - 1.
    num_classes : int
        K.

    Returns
    -------
    ndarray of shape (K, K), int64
        Entry [i, j]: images of class i that were taken for class j.

    Raises
    ------
    TypeError
        If one is no array of ints.
    ValueError
        If the two differ in shape, or a class is out of range.
    """
    for name, classes in (("labels", labels), ("predictions", predictions)):
        if not isinstance(classes, np.ndarray) or classes.dtype.kind not in "iu":
            got = f"an array of {classes.dtype}" if isinstance(classes, np.ndarray) else type(classes).__name__
            raise TypeError(f"{name} must be an array of ints, got {got}")
    if labels.shape != predictions.shape or labels.ndim != 1:
        raise ValueError(f"labels and predictions must be of one shape (N,), got {labels.shape}, {predictions.shape}")
    for name, classes in (("labels", labels), ("predictions", predictions)):
        if classes.size and (int(classes.min()) < 0 or int(classes.max()) >= num_classes):
            raise ValueError(
                f"{name} must lie in 0..{num_classes - 1}, got values from {classes.min()} to {classes.max()}"
            )
    # (N,): the cell of each image in the flattened matrix; counted in int64, since bytes would overflow
    cells = labels.astype(np.int64) * num_classes + predictions.astype(np.int64)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


def class_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the accuracy within each class.

    Parameters
    ----------
    confusion : ndarray of shape (K, K), int64
        As `confusion_matrix` returns it.

    Returns
    -------
    ndarray of shape (K,), float64
        The diagonal divided by the rows' sums; NaN for a class without images.
    """
    totals = confusion.sum(axis=1)  # (K, K) -> (K,)
    result = np.full(len(confusion), np.nan)
    np.divide(np.diagonal(confusion), totals, out=result, where=totals > 0)
    return result


def collect_metrics(trainer: Trainer, train: ImageDataset, valid: ImageDataset | None = None) -> dict[str, Any]:
    """Measure a trained network on all its data, for ``metrics.json``.

    Parameters
    ----------
    trainer : Trainer
        After `fit`.
    train, valid : ImageDataset
        Both are evaluated in eval mode, so the two accuracies can be compared: the training accuracy here is
        that of the final network, not the running mean over an epoch that the history has.

    Returns
    -------
    dict
        ``classes`` (names); ``train`` and ``valid`` (None without validation data), each with ``data`` (name),
        ``fingerprint``, ``images``, ``loss``, ``accuracy``, ``class_accuracy`` (class name to accuracy, None for
        a class without images) and ``confusion`` (rows are true classes); ``epochs``, ``steps`` and ``parameters``
        (counts); ``backend``, ``threads``, ``machine``.
    """
    from fastscratch.training.machine import describe_machine
    from fastscratch_kernels import active_backend, get_num_threads

    return {
        "classes": list(train.classes),
        "train": _measure(trainer, train),
        "valid": None if valid is None else _measure(trainer, valid),
        "epochs": len(trainer.history),
        "steps": trainer.state.step,
        "parameters": sum(parameter.size for parameter in trainer.model.parameters()),
        "backend": active_backend(),
        "threads": get_num_threads(),
        "machine": describe_machine(),
    }


def _measure(trainer: Trainer, dataset: ImageDataset) -> dict[str, Any]:
    evaluation = trainer.evaluate(dataset)
    accuracies = [None if np.isnan(value) else float(value) for value in evaluation.class_accuracy]
    return {
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "images": evaluation.images,
        "loss": evaluation.loss,
        "accuracy": evaluation.accuracy,
        "class_accuracy": dict(zip(dataset.classes, accuracies, strict=False)),
        "confusion": evaluation.confusion.tolist(),
    }


def write_metrics(path: str | os.PathLike[str], metrics: dict[str, Any]) -> None:
    """Write a dictionary as indented JSON, replacing the file in one step.

    Parameters
    ----------
    path : path-like
        The file; its folder must exist.
    metrics : dict
        As `collect_metrics` returns it, or anything that JSON can hold.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError
        If a number is not finite: JSON has no word for it.
    """
    write_atomically(path, (json.dumps(metrics, indent=2, allow_nan=False) + "\n").encode())
