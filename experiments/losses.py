"""6. Cross entropy and Kullback-Leibler divergence: where they are the same, and by how much they differ elsewhere."""

from __future__ import annotations

from design import Experiment, Setting

from fastscratch.config import TrainConfig

EXPERIMENT = Experiment(
    name="losses",
    title="Loss function",
    fixed=TrainConfig(epochs=10, lr=3e-4, batch_size=32),
    settings=(
        Setting(name="cross-entropy", changes={}, twins=1),
        Setting(name="kl", changes={"loss": "kl-divergence"}, twins=1),
        Setting(name="soft-cross-entropy", changes={"label_smoothing": 0.1}, seeds=1),
        Setting(name="soft-kl", changes={"loss": "kl-divergence", "label_smoothing": 0.1}, seeds=1),
    ),
)
