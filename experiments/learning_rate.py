"""2. The learning rate: the report's three, and where between them the best one lies."""

from __future__ import annotations

import range_sweep
import rate_search
from claims import Claim, below, every, larger
from design import Experiment, Setting
from drawing import Picture, by_class, over_epochs, picture_of_run
from exhibits import classes, overview
from measures import FIRST_EPOCH_LOSS, FIRST_LOSS, GAP, HARD_CLASSES, SPREAD, TEST_ACCURACY, TRAIN_ACCURACY, TRAIN_LOSS

from fastscratch.config import TrainConfig

RATES = ("1e-3", "1e-6", "5e-3")

EXPERIMENT = Experiment(
    name="learning_rate",
    title="Learning rate",
    question=(
        "Ten epochs at the report's three learning rates, batch 32, Adam, cross entropy, no augmentation, no schedule. "
        "To find the best rate, a range sweep and a search that looks only at images kept apart from the training "
        "images."
    ),
    fixed=TrainConfig(epochs=10, batch_size=32),
    settings=(
        *(Setting(name=rate, changes={"lr": float(rate)}, seeds=3, twins=3) for rate in RATES),
        Setting(name="sweep", changes={"epochs": 1, "lr": range_sweep.LOWEST}, seeds=1, measure=range_sweep.measure),
        *(
            Setting(
                name=f"search-{rate}", label=rate, changes={"lr": float(rate), "validation": 0.1}, seeds=1
            )
            for rate in rate_search.RATES
        ),
    ),
    claims=(
        Claim(
            name="tiny-rate-is-slow",
            says="A very small learning rate trains slowest.",
            check=every(*(larger(TRAIN_ACCURACY, rate, "1e-6") for rate in ("1e-3", "5e-3"))),
            picture="curves-1e-6",
            is_rewritten=True,
        ),
        Claim(
            name="tiny-rate-is-stable",
            says=(
                "A very small learning rate trains most steadily: batch losses scatter least, and training and "
                "validation stay close together."
            ),
            check=every(*(larger(measure, rate, "1e-6") for measure in (SPREAD, GAP) for rate in ("1e-3", "5e-3"))),
            picture="curves-1e-6",
        ),
        Claim(
            name="large-rate-starts-fast",
            says="A large learning rate lowers the loss steeply at first.",
            check=every(larger(FIRST_LOSS, "1e-6", "5e-3"), larger(FIRST_LOSS, "1e-3", "5e-3")),
            picture="rates-train-loss",
            remark="Against both smaller rates, over the first hundred batches.",
            is_rewritten=True,
        ),
        Claim(
            name="good-rate-leads-after-an-epoch",
            says="After one epoch already the large rate has been overtaken.",
            check=larger(FIRST_EPOCH_LOSS, "5e-3", "1e-3"),
            picture="rates-train-loss",
            from_report=False,
            is_rewritten=True,
        ),
        Claim(
            name="large-rate-stagnates",
            says="A large learning rate then stagnates at a higher loss.",
            check=larger(TRAIN_LOSS, "5e-3", "1e-3"),
            picture="rates-train-loss",
        ),
        Claim(
            name="rate-sweet-spot",
            says="There is a sweet spot: both a very large and a very small rate train poorly.",
            check=every(
                larger(TEST_ACCURACY, "1e-3", "1e-6"), larger(TEST_ACCURACY, "1e-3", "5e-3"), rate_search.check
            ),
            picture="search",
        ),
        Claim(
            name="hard-classes-suffer",
            says="Hard classes such as cat and deer suffer more than others when the rate is too small.",
            check=every(below(HARD_CLASSES, "1e-6"), larger(HARD_CLASSES, "1e-3", "1e-6")),
            picture="classes",
            is_rewritten=True,
        ),
    ),
    tables=(
        overview(*RATES),
        rate_search.table,
        *(classes(rate, f"Learning rate {rate}, by classes") for rate in RATES),
    ),
    pictures=(
        picture_of_run("1e-3", "figures 3 and 6", "Learning rate 1e-3"),
        picture_of_run("1e-6", "figures 4 and 7", "Learning rate 1e-6"),
        picture_of_run("5e-3", "figures 5 and 8", "Learning rate 5e-3"),
        Picture(
            name="rates-train-loss",
            caption="Training loss of each epoch: mean of the seeds, in a band as wide as they lie apart",
            draw=over_epochs("train_loss", RATES, "Training loss (nats per image)"),
        ),
        Picture(
            name="sweep",
            caption="One epoch in which the rate rises a millionfold: the loss falls only in a range of rates",
            draw=range_sweep.draw,
        ),
        Picture(
            name="search",
            caption="Loss and accuracy after ten epochs on a tenth of the training images that was kept apart",
            draw=rate_search.draw,
        ),
        Picture(
            name="classes",
            caption="Accuracy on the training images by classes: mean of the seeds",
            draw=by_class(RATES),
        ),
    ),
)
