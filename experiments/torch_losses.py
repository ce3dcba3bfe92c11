"""The losses of a config, as PyTorch computes them."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from fastscratch.config import TrainConfig


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
