"""The report's first experiment: its CNN on a tenth of the images, 20 epochs, Adam 3e-4, cross entropy.

The claim to test: with so few images the network learns them by heart and generalizes poorly. The report has a mean of
76 % over the classes on the training images and 50 % on the test images.

    python experiments/subsampled.py [--data cifar10] [--seeds 3]
"""

from __future__ import annotations

import dataclasses

import tyro
from runner import train_once

from fastscratch.config import TrainConfig

EXPERIMENT = "subsampled"


@dataclasses.dataclass(frozen=True)
class Options:
    """Which data, and how many seeds."""

    data: str = "cifar10"
    seeds: int = 3
    backend: str = "auto"


def main(options: Options) -> None:
    """Train once for each seed."""
    for seed in range(options.seeds):
        config = TrainConfig(
            data=options.data, subsample=0.1, epochs=20, lr=3e-4, batch_size=32, seed=seed, backend=options.backend
        )
        train_once(EXPERIMENT, f"seed-{seed}", config)


if __name__ == "__main__":
    main(tyro.cli(Options))
