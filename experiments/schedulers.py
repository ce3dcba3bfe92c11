"""3. The learning rate over time: what the report changed at once, the rate and its schedule, also one by one."""

from __future__ import annotations

from design import Experiment, Setting

from fastscratch.config import TrainConfig

EXPERIMENT = Experiment(
    name="schedulers",
    title="Learning rate schedule",
    fixed=TrainConfig(epochs=32, batch_size=32),
    settings=(
        Setting(name="step", changes={"lr": 5e-3, "schedule": "step", "step_size": 1, "gamma": 0.7}, twins=1),
        Setting(name="fixed-1e-5", changes={"lr": 1e-5}, twins=1),
        Setting(name="fixed-5e-3", changes={"lr": 5e-3}),
        Setting(name="fixed-3e-4", changes={"lr": 3e-4}),
        Setting(name="cosine", changes={"lr": 5e-3, "schedule": "cosine"}),
    ),
)
