"""The networks that are measured, by name; both engines get the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastscratch import models, nn

if TYPE_CHECKING:
    import torch

IMAGE_SHAPE = (32, 32, 3)
CLASSES = 10


def vgg(seed: int = 0) -> nn.Sequential:
    """Return a small VGG: 3 x 3 convolutions with batch norm and ReLU, 64-64-pool-128-128-pool-256-256-pool.

    Classes are read off by 1 x 1 filters and a global mean. 1.15 million parameters.
    """

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        # Batch norm shifts by itself: a bias before it would be subtracted again.
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *block(IMAGE_SHAPE[2], 64), *block(64, 64), nn.MaxPool2d(2),
        *block(64, 128), *block(128, 128), nn.MaxPool2d(2),
        *block(128, 256), *block(256, 256), nn.MaxPool2d(2),
        nn.Conv2d(256, CLASSES, 1), nn.GlobalAvgPool2d(),
        seed=seed,
    )  # fmt: skip


def baseline(seed: int = 0) -> nn.Sequential:
    """Return the report's CNN."""
    return models.baseline(IMAGE_SHAPE, CLASSES, seed=seed)


NETWORKS = {"baseline": baseline, "vgg": vgg}
"""The report's CNN, and a VGG of 3 x 3 filters."""


@dataclass(frozen=True)
class Step:
    """A training step that is measured: a network, its batch, and a precision that only some backends know."""

    network: str
    batch: int
    precision: str = ""


STEPS = {
    **{f"baseline-{batch}": Step("baseline", batch) for batch in (4, 8, 16, 32, 64, 128)},
    "vgg-32": Step("vgg", 32),
    "vgg-32-fast": Step("vgg", 32, precision="fast"),
}


def torch_twin(model: nn.Module) -> torch.nn.Module:
    """Return PyTorch's version of a network: the same weights, and ReLU in place as in PyTorch's own models."""
    import torch

    from fastscratch.interop.torch import to_torch

    twin = to_torch(model)
    for layer in twin.modules():
        if isinstance(layer, torch.nn.ReLU):
            layer.inplace = True
    return twin


def random_images(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return normal images (N, H, W, C), float32, and labels (N,) of ten classes, the same each time."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, *IMAGE_SHAPE), dtype=np.float32), rng.integers(0, CLASSES, count)


def batch_indices(count: int, batch: int, seed: int = 0) -> np.ndarray:
    """Return which images each batch of an epoch takes, (batches, batch); the rest that fills no batch is left out."""
    order = np.random.default_rng(seed).permutation(count)
    return order[: count // batch * batch].reshape(-1, batch)
