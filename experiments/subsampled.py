"""1. The report's network on a tenth of the images, and what all of them would have given it."""

from __future__ import annotations

from design import Experiment, Setting

from fastscratch.config import TrainConfig

EXPERIMENT = Experiment(
    name="subsampled",
    title="A tenth of the images, and all of them",
    fixed=TrainConfig(epochs=20, lr=3e-4, batch_size=32),
    settings=(
        Setting(name="tenth", changes={"subsample": 0.1}, seeds=3, twins=3),
        Setting(name="all", changes={}, seeds=3, twins=3),
        *(
            Setting(name=f"sgd-{rate}", changes={"subsample": 0.1, "optimizer": "sgd", "lr": float(rate)})
            for rate in ("1e-2", "1e-1")
        ),
    ),
)
