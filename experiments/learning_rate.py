"""2. The learning rate: the report's three, and where between them the best one lies."""

from __future__ import annotations

import range_sweep
from design import Experiment, Setting

from fastscratch.config import TrainConfig

# The search for a good rate looks at a tenth of the training images that are kept apart, never at the test images.
SEARCHED = ("1e-5", "1e-4", "3e-4", "1e-3", "3e-3", "1e-2")

EXPERIMENT = Experiment(
    name="learning_rate",
    title="Learning rate",
    fixed=TrainConfig(epochs=10, batch_size=32),
    settings=(
        *(Setting(name=rate, changes={"lr": float(rate)}, seeds=3, twins=3) for rate in ("1e-3", "1e-6", "5e-3")),
        Setting(name="sweep", changes={"epochs": 1, "lr": range_sweep.LOWEST}, seeds=1, measure=range_sweep.measure),
        *(
            Setting(name=f"search-{rate}", changes={"lr": float(rate), "validation": 0.1}, seeds=1)
            for rate in SEARCHED
        ),
    ),
)
