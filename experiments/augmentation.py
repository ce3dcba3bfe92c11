"""7. Augmentation: the report's four transforms, each alone, none of them, and the usual flip and crop."""

from __future__ import annotations

from design import Experiment, Setting

from fastscratch.config import TrainConfig

LONG = 40

EXPERIMENT = Experiment(
    name="augmentation",
    title="Data augmentation",
    fixed=TrainConfig(epochs=10, lr=3e-4, batch_size=32),
    settings=(
        Setting(name="none", changes={}, twins=1),
        Setting(name="report", changes={"augment": "report"}, twins=1),
        Setting(name="flip-crop", changes={"augment": "flip-crop"}),
        *(Setting(name=name, changes={"augment": name}) for name in ("hflip", "vflip", "rotation")),
        # It changes no 8-bit image at these standard deviations, so one seed shows that its bits are those of "none".
        Setting(name="blur", changes={"augment": "blur"}, seeds=1),
        *(
            Setting(name=f"{name}-long", changes={"augment": name, "epochs": LONG}, seeds=2)
            for name in ("flip-crop", "report", "none")
        ),
    ),
)
