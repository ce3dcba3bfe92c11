"""5. Batches of 4 to 32 images, for as many epochs each."""

from __future__ import annotations

import gradient_noise
from design import Experiment, Setting

from fastscratch.config import TrainConfig

EXPERIMENT = Experiment(
    name="batch_size",
    title="Batch size",
    fixed=TrainConfig(epochs=10, lr=3e-4),
    settings=(
        *(Setting(name=str(size), changes={"batch_size": size}, twins=1) for size in (32, 16, 8, 4)),
        Setting(name="noise", changes={"batch_size": 32}, seeds=1, measure=gradient_noise.measure),
    ),
)
