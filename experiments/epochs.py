"""4. How many epochs: until long after the network has learnt what generalizes."""

from __future__ import annotations

from design import Experiment, Setting

from fastscratch.config import TrainConfig

EXPERIMENT = Experiment(
    name="epochs",
    title="Number of epochs",
    fixed=TrainConfig(epochs=40, lr=3e-4, batch_size=32),
    settings=(
        # The epoch is chosen on images kept apart; the test images are looked at once, with the network of that epoch.
        Setting(name="split", changes={"validation": 0.1}, seeds=3),
        # The report's own curves, with the test images after every epoch; nothing is chosen by them.
        Setting(name="report", changes={}, seeds=2, twins=1),
    ),
)
