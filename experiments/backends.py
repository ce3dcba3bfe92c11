"""One epoch of the report's CNN on all images, on every backend: do they learn the same, and how fast?

    python experiments/backends.py [--data cifar10] [--seeds 3]
"""

from __future__ import annotations

import dataclasses

import tyro
from runner import train_once

from fastscratch.config import TrainConfig
from fastscratch_kernels import backends

EXPERIMENT = "backends"


@dataclasses.dataclass(frozen=True)
class Options:
    """Which data, and how many seeds."""

    data: str = "cifar10"
    seeds: int = 3


def main(options: Options) -> None:
    """Train once for each backend that works here and each seed."""
    for seed in range(options.seeds):
        for backend, reason in backends().items():
            if reason is None:
                config = TrainConfig(data=options.data, epochs=1, seed=seed, backend=backend)
                train_once(EXPERIMENT, f"{backend}-seed-{seed}", config)


if __name__ == "__main__":
    main(tyro.cli(Options))
