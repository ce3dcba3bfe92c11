"""Run a network without training it: loss and accuracy on a data set, probabilities for images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastscratch_kernels as kernels
from fastscratch import nn
from fastscratch.data.dataset import ImageDataset
from fastscratch.losses import softmax
from fastscratch.nn import module
from fastscratch.nn.module import model_dtype
from fastscratch.training.metrics import Evaluation, confusion_matrix

if TYPE_CHECKING:
    from fastscratch.data.normalization import Normalization
    from fastscratch.losses import Loss


@contextmanager
def mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Put a model into train or eval mode inside a ``with`` block, and keep the memory of its steps for the next ones.

    At its end, however it comes, every module inside has its own mode of before, and the memory is given back.
    """
    with module.mode(model, training), kernels.reuse_memory():
        yield


def evaluate(
    model: nn.Module,
    criterion: Loss,
    dataset: ImageDataset,
    normalization: Normalization,
    *,
    batch_size: int = 250,
    after_batch: Callable[[float, NDArray[Any]], None] | None = None,
) -> Evaluation:
    """Measure loss and predictions on a data set, in eval mode, keeping nothing for a backward pass.

    Parameters
    ----------
    model : Module
        With scores of shape (N, K) as its output.
    criterion : Loss
        Its mean over all images is the loss.
    dataset : ImageDataset
        Images of the size the model takes, labels below K.
    normalization : Normalization
        What turns uint8 images into the model's inputs.
    batch_size : int
        Images at a time. It decides memory and speed, and the last bits of the loss.
    after_batch : callable, optional
        Called after every batch with its loss and its normalized images; may raise to end the evaluation.

    Returns
    -------
    Evaluation
        Loss, accuracy and confusion matrix.

    Raises
    ------
    TypeError
        If `dataset` is no ImageDataset.
    ValueError
        If a label is out of range for the model's scores, or the images do not fit the model.
    """
    if not isinstance(dataset, ImageDataset):
        raise TypeError(f"dataset must be an ImageDataset, got {type(dataset).__name__}")
    dtype = model_dtype(model)
    loss_sum = 0.0
    confusion: NDArray[np.int64] | None = None
    with mode(model, training=False), nn.no_grad():
        for start in range(0, len(dataset), batch_size):
            labels = dataset.labels[start : start + batch_size]
            images = normalization.apply(dataset.images[start : start + batch_size], dtype)
            logits = model.forward(images)
            loss = criterion.forward(logits, labels)
            # The last batch may be smaller, so the mean over the images weights each batch's mean by its size.
            loss_sum += loss * len(labels)
            counts = confusion_matrix(labels, logits.argmax(axis=1), logits.shape[1])
            confusion = counts if confusion is None else confusion + counts
            if after_batch is not None:
                after_batch(loss, images)
    if confusion is None:
        raise ValueError("a data set without images cannot be evaluated")
    return Evaluation(loss_sum / len(dataset), confusion)


def predict(
    model: nn.Module, images: NDArray[np.uint8], normalization: Normalization, *, batch_size: int = 250
) -> NDArray[Any]:
    """Return the probability of every class for every image, in eval mode.

    Parameters
    ----------
    model : Module
        With scores of shape (N, K) as its output.
    images : ndarray of shape (N, H, W, C), uint8
        At least one image of the size the model takes.
    normalization : Normalization
        That of the training.
    batch_size : int
        Images at a time.

    Returns
    -------
    ndarray of shape (N, K), of the model's dtype
        Rows sum to 1.

    Raises
    ------
    TypeError
        If the images are no array of uint8.
    ValueError
        If there is no image, or the shape does not fit.
    """
    if not isinstance(images, np.ndarray):
        raise TypeError(f"images must be an ndarray of shape (N, H, W, C), got {type(images).__name__}")
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images must have shape (N, H, W, C) with N at least 1, got {images.shape}")
    dtype = model_dtype(model)
    with mode(model, training=False), nn.no_grad():
        batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
        return np.concatenate([softmax(model.forward(normalization.apply(batch, dtype))) for batch in batches])
