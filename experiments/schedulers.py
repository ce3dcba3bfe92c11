"""3. The learning rate over time: what the report changed at once, the rate and its schedule, also one by one."""

from __future__ import annotations

from claims import Claim, every, larger
from design import Experiment, Setting
from drawing import Picture, over_epochs, picture_of_run
from exhibits import classes, overview
from measures import TEST_ACCURACY, TRAIN_LOSS

from fastscratch.config import TrainConfig

NAMES = ("step", "fixed-1e-5", "fixed-5e-3", "fixed-3e-4", "cosine")

EXPERIMENT = Experiment(
    name="schedulers",
    title="Learning rate schedule",
    question=(
        "The report compares 32 epochs at a fixed 1e-5 with StepLR, which starts at 5e-3 and takes 0.7 of the rate "
        "after every epoch. Two things differ there, the schedule and the size of the rate. So here are also the rate "
        "that StepLR starts from, kept fixed, a fixed rate of 3e-4, and half a cosine down from 5e-3."
    ),
    fixed=TrainConfig(epochs=32, batch_size=32),
    settings=(
        Setting(
            name="step",
            label="StepLR from 5e-3",
            changes={"lr": 5e-3, "schedule": "step", "step_size": 1, "gamma": 0.7},
            twins=1,
        ),
        Setting(name="fixed-1e-5", label="fixed 1e-5", changes={"lr": 1e-5}, twins=1),
        Setting(name="fixed-5e-3", label="fixed 5e-3", changes={"lr": 5e-3}),
        Setting(name="fixed-3e-4", label="fixed 3e-4", changes={"lr": 3e-4}),
        Setting(name="cosine", label="cosine from 5e-3", changes={"lr": 5e-3, "schedule": "cosine"}),
    ),
    claims=(
        Claim(
            name="step-beats-tiny",
            says="StepLR from 5e-3 is better than a fixed rate of 1e-5.",
            check=larger(TEST_ACCURACY, "step", "fixed-1e-5"),
            picture="schedules",
            remark="It compares a schedule with a rate that is too small for 32 epochs.",
        ),
        Claim(
            name="decay-helps",
            says="Lowering the rate near the minimum avoids overshooting it.",
            check=every(larger(TRAIN_LOSS, "fixed-5e-3", "step"), larger(TRAIN_LOSS, "fixed-5e-3", "cosine")),
            picture="schedules-train-loss",
            remark="The same first rate, lowered in two ways or kept.",
            is_rewritten=True,
        ),
        Claim(
            name="schedule-beats-fixed",
            says="A schedule is often better than a fixed learning rate.",
            check=every(larger(TEST_ACCURACY, "step", "fixed-5e-3"), larger(TEST_ACCURACY, "cosine", "fixed-5e-3")),
            picture="schedules",
            remark="Two schedules against the rate that both start from; test accuracy after the last epoch.",
            is_rewritten=True,
        ),
        Claim(
            name="schedule-beats-good-rate",
            says="A schedule that starts too high is still better than a fixed rate that suits the network.",
            check=every(larger(TEST_ACCURACY, "step", "fixed-3e-4"), larger(TEST_ACCURACY, "cosine", "fixed-3e-4")),
            picture="schedules",
            from_report=False,
        ),
    ),
    tables=(
        overview(*NAMES),
        classes("fixed-1e-5", "Fixed 1e-5, by classes"),
        classes("step", "StepLR from 5e-3, by classes"),
    ),
    pictures=(
        picture_of_run("fixed-1e-5", "figures 9 and 11", "Fixed 1e-5"),
        picture_of_run("step", "figures 10 and 12", "StepLR from 5e-3"),
        Picture(
            name="schedules",
            caption="Test accuracy after each epoch: mean of the seeds, in a band as wide as they lie apart",
            draw=over_epochs("valid_accuracy", NAMES, "Test accuracy (%)"),
        ),
        Picture(
            name="schedules-train-loss",
            caption="Training loss of each epoch: mean of the seeds, in a band as wide as they lie apart",
            draw=over_epochs("train_loss", NAMES, "Training loss (nats per image)"),
        ),
    ),
)
