"""A training step as PyTorch does it."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fastscratch.config import TrainConfig
from fastscratch.interop.torch import images_to_torch


def torch_step(
    config: TrainConfig,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    images: NDArray[Any],
    labels: NDArray[Any],
) -> tuple[float, Tensor]:
    """Take a step.

    Parameters
    ----------
    config : TrainConfig
        Its `loss` and `label_smoothing` count.
    model, optimizer
        PyTorch's.
    images : ndarray of shape (N, H, W, C), of the model's dtype
        As fastscratch has them.
    labels : ndarray of shape (N,), int64

    Returns
    -------
    loss : float
    logits : Tensor of shape (N, K)
        Both before the step.
    """
    optimizer.zero_grad()
    logits = model(images_to_torch(images))
    loss = loss_of(config, logits, torch.from_numpy(labels))
    loss.backward()
    optimizer.step()
    return loss.item(), logits


def loss_of(config: TrainConfig, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean loss of a batch.

    Parameters
    ----------
    config : TrainConfig
        Its `loss` and `label_smoothing` count.
    logits : Tensor of shape (N, K), floating
    labels : Tensor of shape (N,), int64

    Returns
    -------
    Tensor
        One number, with its graph.
    """
    smoothing = config.label_smoothing
    if config.loss == "cross-entropy":
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    classes = logits.shape[1]
    targets = functional.one_hot(labels, classes).to(logits.dtype) * (1 - smoothing) + smoothing / classes
    return functional.kl_div(functional.log_softmax(logits, dim=1), targets, reduction="batchmean")
