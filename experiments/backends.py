"""One epoch of the report's CNN on all images, on every backend: do they learn the same, and how fast.

Run as ``python experiments/backends.py [--data cifar10] [--seeds 3]``.
"""

from __future__ import annotations

import dataclasses

import tyro
from runner import train
from store import RESULTS, check_same, path_of, read, write
from study import WORK

import fastscratch
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
                measure(f"{EXPERIMENT}/{backend}-seed-{seed}", config)


def measure(name: str, config: TrainConfig) -> None:
    """Train and keep the result, unless there is one."""
    path = path_of(RESULTS, name)
    if path.exists():
        check_same(path, read(path), config)
        return
    print(name, flush=True)
    started = train(config, WORK / name)
    result = {
        "config": started.config.fixed_fields(),
        "history": started.trainer.history.rows,
        "metrics": started.write_results(),
        "version": fastscratch.__version__,
    }
    write(path, result)


if __name__ == "__main__":
    main(tyro.cli(Options))
