"""6. Cross entropy and Kullback-Leibler divergence: where they are the same, and by how much they differ elsewhere."""

from __future__ import annotations

from claims import Claim
from design import Experiment, Setting
from drawing import Picture, over_epochs, picture_of_run
from exhibits import overview
from same_bits import apart_by_the_entropy, same_weights

from fastscratch.config import TrainConfig

EXPERIMENT = Experiment(
    name="losses",
    title="Loss function",
    question=(
        "Ten epochs at 3e-4, batch 32, with cross entropy and with Kullback-Leibler divergence. They differ by the "
        "entropy of the targets: nothing for one-hot targets, a constant for smoothed ones, whose gradient is zero."
    ),
    fixed=TrainConfig(epochs=10, lr=3e-4, batch_size=32),
    settings=(
        Setting(name="cross-entropy", label="cross entropy", changes={}, twins=1),
        # That bits are the same needs no third seed.
        Setting(name="kl", label="KL divergence", changes={"loss": "kl-divergence"}, seeds=2, twins=1),
        Setting(
            name="soft-cross-entropy", label="cross entropy, smoothed", changes={"label_smoothing": 0.1}, seeds=1
        ),
        Setting(
            name="soft-kl",
            label="KL divergence, smoothed",
            changes={"loss": "kl-divergence", "label_smoothing": 0.1},
            seeds=1,
        ),
    ),
    claims=(
        Claim(
            name="kl-is-cross-entropy",
            says="For one-hot targets both losses are the same, and so are their curves.",
            check=same_weights("cross-entropy", "kl"),
            picture="curves-kl",
        ),
        Claim(
            name="apart-by-the-entropy",
            says="Cross entropy is Kullback-Leibler divergence plus the entropy of the targets.",
            check=apart_by_the_entropy("soft-cross-entropy", "soft-kl"),
            remark="Shown with targets smoothed by 0.1.",
            picture="soft-losses",
        ),
    ),
    tables=(overview("cross-entropy", "kl", "soft-cross-entropy", "soft-kl"),),
    pictures=(
        picture_of_run("kl", "figures 23 and 25", "KL divergence"),
        picture_of_run("cross-entropy", "figures 24 and 26", "Cross entropy"),
        Picture(
            name="soft-losses",
            caption="Training loss of each epoch, targets smoothed by 0.1: the curves differ by a constant",
            draw=over_epochs("train_loss", ("soft-cross-entropy", "soft-kl"), "Training loss (nats per image)"),
        ),
    ),
)
