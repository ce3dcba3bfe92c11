"""4. How many epochs: until long after the network has learnt what generalizes."""

from __future__ import annotations

import early_stopping
from claims import Claim, above, every
from design import Experiment, Setting
from drawing import Picture, picture_of_run
from exhibits import overview
from measures import DECLINE, LEARNT, RISE, SLOWING, STOPPED_ACCURACY, STOPPED_LOSS, TRAIN_UNDERFIT, UNDERFIT

from fastscratch.config import TrainConfig

EXPERIMENT = Experiment(
    name="epochs",
    title="Number of epochs",
    question=(
        "Forty epochs at 3e-4, batch 32, Adam, cross entropy, no augmentation, no schedule: long enough for the "
        "validation loss to turn. The epoch to stop at is chosen on a tenth of the training images, kept apart; the "
        "report's curves, with the test images after every epoch, are made too, and nothing is chosen by them."
    ),
    fixed=TrainConfig(epochs=40, lr=3e-4, batch_size=32),
    settings=(
        Setting(name="split", label="images kept apart", changes={"validation": 0.1}, seeds=3),
        Setting(name="report", label="as in the report", changes={}, seeds=2, twins=1),
    ),
    claims=(
        Claim(
            name="training-goes-on",
            says="With more epochs the training loss keeps falling, ever more slowly.",
            check=every(above(LEARNT, "split"), above(SLOWING, "split")),
            picture="stopping",
        ),
        Claim(
            name="validation-loss-turns",
            says="Beyond a point the validation loss rises again.",
            check=above(RISE, "split", 0.1),
            picture="stopping",
        ),
        Claim(
            name="validation-accuracy-declines",
            says="Beyond that point the validation accuracy declines gradually.",
            check=above(DECLINE, "split"),
            picture="stopping",
            remark="Means of several epochs, for the one with the lowest loss is picked on the same images.",
            is_rewritten=True,
        ),
        Claim(
            name="few-epochs-underfit",
            says="With very few epochs the network underfits: it does worse on training and on validation images.",
            check=every(above(TRAIN_UNDERFIT, "split"), above(UNDERFIT, "split")),
            picture="stopping",
            is_rewritten=True,
        ),
        Claim(
            name="epochs-sweet-spot",
            says="There is a number of epochs at which the network neither underfits nor overfits.",
            check=every(*(above(measure, "split") for measure in (UNDERFIT, STOPPED_LOSS, STOPPED_ACCURACY))),
            picture="stopping",
        ),
    ),
    tables=(overview("report", "split"), early_stopping.table),
    pictures=(
        picture_of_run("report", "figures 13 and 14", "Forty epochs"),
        Picture(
            name="stopping",
            caption="Training images and images kept apart, each seed, with the epoch that early stopping chooses",
            draw=early_stopping.draw,
        ),
    ),
)
