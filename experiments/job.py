"""A single run, as the plan hands it to those who do it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from fastscratch.config import TrainConfig

FASTSCRATCH, TORCH = "fastscratch", "torch"
ENGINES = (FASTSCRATCH, TORCH)

EPOCH_SECONDS = {
    (FASTSCRATCH, "baseline"): (6.2, 22.0),
    (FASTSCRATCH, "improved"): (70.0, 410.0),
    (FASTSCRATCH, "speedrun"): (97.0, 410.0),
    (TORCH, "baseline"): (49.0, 206.0),
    (TORCH, "improved"): (570.0, 206.0),
    (TORCH, "speedrun"): (550.0, 206.0),
}
"""Engine, network -> seconds of an epoch of 50,000 images: for the images, and for the steps if each were of one image.

Rough figures of a machine with two cores, all of which fastscratch takes and PyTorch takes one of; those of the
baseline are of two runs side by side, a core each, which is how most were made. A plan needs no better ones."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A training run, or a measurement that takes its place.

    Attributes
    ----------
    experiment, setting : str
        Whose run it is.
    engine : str
        "fastscratch" or "torch".
    config : TrainConfig
        All that decides the result, the seed included.
    test_share : float
        Share of the test images that the finished network is tested on.
    measure : callable or None
        What is done in place of a training run; it returns what it found.
    """

    experiment: str
    setting: str
    engine: str
    config: TrainConfig
    test_share: float = 1.0
    measure: Callable[[Job], Mapping[str, Any]] | None = None

    @property
    def name(self) -> str:
        """Where its result lies below the folder of results, without the ending."""
        suffix = f"-{self.engine}" if self.engine == TORCH else ""
        return f"{self.experiment}/{self.setting}-seed-{self.config.seed}{suffix}"

    @property
    def seconds(self) -> float:
        """Roughly how long it takes."""
        config = self.config
        images, steps = EPOCH_SECONDS[self.engine, config.model]
        share = config.subsample * (1 - config.validation)
        return config.epochs * share * (images + steps / config.batch_size)
