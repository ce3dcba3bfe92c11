"""1. The report's network on a tenth of the images, and what all of them would have given it."""

from __future__ import annotations

from claims import Claim, above, every, larger
from design import Experiment, Setting
from drawing import Picture, over_epochs, picture_of_run
from exhibits import classes, of_measures, overview
from measures import ALL_TEST_ACCURACY, EARLY_LOSS, GAP, MEAN_LOSS, TRAIN_ACCURACY

from fastscratch.config import TrainConfig

EXPERIMENT = Experiment(
    name="subsampled",
    title="A tenth of the images, and all of them",
    question=(
        "The report's own implementation was slow, so it trained on a tenth of the images and validated on a tenth of "
        "the test images: 20 epochs, batch 32, Adam with a learning rate of 3e-4, cross entropy. Here the same, and "
        "then without that limit."
    ),
    fixed=TrainConfig(epochs=20, lr=3e-4, batch_size=32),
    settings=(
        Setting(name="tenth", label="a tenth", changes={"subsample": 0.1}, seeds=3, twins=3),
        Setting(name="all", label="all images", changes={}, seeds=3, twins=3),
        Setting(name="all-2", label="all images, 2 epochs", changes={"epochs": 2}),
        *(
            Setting(
                name=f"sgd-{rate}",
                label=f"a tenth, SGD {rate}",
                changes={"subsample": 0.1, "optimizer": "sgd", "lr": float(rate)},
            )
            for rate in ("1e-2", "1e-1")
        ),
    ),
    claims=(
        Claim(
            name="few-images-overfit",
            says="With so few images the network fits those better than new ones, more so than with all images.",
            check=every(above(GAP, "tenth"), larger(GAP, "tenth", "all-2")),
            remark=(
                "Two epochs of all images are as many steps as twenty of a tenth. They were chosen after the "
                "comparison with as many epochs, below, had settled nothing; and a network that has learnt less has a "
                "smaller gap."
            ),
            picture="curves-tenth",
            is_rewritten=True,
        ),
        Claim(
            name="adam-is-quick",
            says="Adam learns quickly.",
            check=every(larger(EARLY_LOSS, "sgd-1e-2", "tenth"), larger(EARLY_LOSS, "sgd-1e-1", "tenth")),
            remark=(
                "Against plain SGD at two rates, Adam at the report's, at first: three epochs were chosen after all "
                "twenty had been compared, below."
            ),
            picture="optimizers",
            is_rewritten=True,
        ),
        Claim(
            name="adam-leads-throughout",
            says="Adam is ahead of plain SGD over all twenty epochs, not only at first.",
            check=every(larger(MEAN_LOSS, "sgd-1e-2", "tenth"), larger(MEAN_LOSS, "sgd-1e-1", "tenth")),
            remark="On the training images of a tenth; Adam at the report's rate.",
            picture="optimizers",
            from_report=False,
        ),
        Claim(
            name="few-images-overfit-by-epochs",
            says="In as many epochs, too, the gap is larger with a tenth than with all images.",
            check=larger(GAP, "tenth", "all"),
            picture="curves-all",
            from_report=False,
        ),
        Claim(
            name="what-a-tenth-costs",
            says="All images give a better network than a tenth of them.",
            check=larger(ALL_TEST_ACCURACY, "all", "tenth"),
            remark="In as many epochs, and so in ten times as many steps.",
            picture="curves-all",
            from_report=False,
        ),
    ),
    tables=(
        overview("tenth", "all", "all-2", "sgd-1e-2", "sgd-1e-1"),
        of_measures(
            "What a tenth costs", ("tenth", "all", "all-2"), (TRAIN_ACCURACY, ALL_TEST_ACCURACY, GAP)
        ),
        classes("tenth", "A tenth of the images, by classes"),
        classes("all", "All images, by classes"),
    ),
    pictures=(
        picture_of_run("tenth", "figures 1 and 2", "A tenth of the images"),
        picture_of_run("all", "", "All images"),
        Picture(
            name="optimizers",
            caption="Training loss of each epoch: mean of the seeds, in a band as wide as they lie apart",
            draw=over_epochs("train_loss", ("tenth", "sgd-1e-2", "sgd-1e-1"), "Training loss (nats per image)"),
        ),
    ),
)
