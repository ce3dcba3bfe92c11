"""7. Augmentation: the report's four transforms, each alone, none of them, and the usual flip and crop."""

from __future__ import annotations

import samples
from claims import Claim, every, larger
from design import Experiment, Setting
from drawing import Picture, bars, over_epochs, picture_of_run
from exhibits import of_measures, overview
from measures import GAP, TEST_ACCURACY, TRAIN_ACCURACY, TRAIN_LOSS
from same_bits import has_an_effect

from fastscratch.config import TrainConfig

LONG = 40

SHORT_NAMES = ("none", "report", "hflip", "vflip", "rotation", "blur", "flip-crop")
LONG_NAMES = ("none-long", "report-long", "flip-crop-long")
LABELS = {
    "none": "none",
    "report": "the report's four",
    "flip-crop": "flip and crop",
    "hflip": "horizontal flip alone",
    "vflip": "vertical flip alone",
    "rotation": "rotation alone",
    "blur": "blur alone",
}

EXPERIMENT = Experiment(
    name="augmentation",
    title="Data augmentation",
    question=(
        "Ten epochs at 3e-4, batch 32, without augmentation and with the report's: flips left to right and top to "
        "bottom (p = 0.25 each), rotation by up to 30 degrees, a slight blur. Here also each of them alone, what is "
        "usual for CIFAR-10 (a flip left to right, a shift by up to 4 pixels), and forty epochs, where augmentation "
        "can pay."
    ),
    fixed=TrainConfig(epochs=10, lr=3e-4, batch_size=32),
    settings=(
        Setting(name="none", label=LABELS["none"], changes={}, twins=1),
        Setting(name="report", label=LABELS["report"], changes={"augment": "report"}, twins=1),
        *(
            Setting(name=name, label=LABELS[name], changes={"augment": name})
            for name in ("flip-crop", "hflip", "vflip", "rotation")
        ),
        # It changes no 8-bit image at these standard deviations, so one seed shows that its bits are those of "none".
        Setting(name="blur", label=LABELS["blur"], changes={"augment": "blur"}, seeds=1),
        *(
            Setting(
                name=f"{name}-long",
                label=f"{LABELS[name]}, {LONG} epochs",
                changes={"augment": name, "epochs": LONG},
            )
            for name in ("flip-crop", "report", "none")
        ),
        Setting(name="samples", changes={}, seeds=1, measure=samples.measure),
    ),
    claims=(
        Claim(
            name="gap-shrinks",
            says="With augmentation training and validation stay closer together: the network overfits less.",
            check=larger(GAP, "none", "report"),
            picture="transforms",
        ),
        Claim(
            name="training-loss-is-lower",
            says="The training loss tends to be lower with augmentation, because the augmented images are harder.",
            check=larger(TRAIN_LOSS, "none", "report"),
            picture="curves-report",
            remark="Harder images, the reason that the report gives, should make the loss higher.",
            is_rewritten=True,
        ),
        Claim(
            name="augmentation-generalizes",
            says="Augmentation makes the network generalize better.",
            check=larger(TEST_ACCURACY, "report", "none"),
            picture="transforms",
            remark=(
                "At ten epochs, as in the report: the gap is smaller because the training images are fitted less, not "
                "because the test images are told apart better."
            ),
        ),
        Claim(
            name="augmentation-generalizes-later",
            says="Augmentation makes the network generalize better if it trains for longer.",
            check=larger(TEST_ACCURACY, "report-long", "none-long"),
            picture="long",
            remark="At forty epochs.",
            from_report=False,
            is_rewritten=True,
        ),
        Claim(
            name="usual-augmentation-is-better",
            says="Flip and crop is better than the report's four transforms.",
            check=larger(TEST_ACCURACY, "flip-crop-long", "report-long"),
            picture="long",
            remark="At forty epochs.",
            from_report=False,
            is_rewritten=True,
        ),
        Claim(
            name="blur-does-something",
            says="The blur is one of the transforms that make the images harder.",
            check=has_an_effect("none", "blur"),
            remark=(
                "With a standard deviation up to 0.25 the kernel's center weighs so much that every 8-bit image rounds "
                "back to itself; see the page on augmentation."
            ),
            picture="transforms",
        ),
        Claim(
            name="too-much-augmentation",
            says="Too much augmentation underfits: the amount has a sweet spot.",
            check=every(
                larger(TRAIN_ACCURACY, "none", "report"),
                larger(TEST_ACCURACY, "hflip", "report"),
                larger(TEST_ACCURACY, "hflip", "none"),
            ),
            picture="transforms",
            remark="One of the four alone, the gentlest, against all of them and against none, at ten epochs.",
            is_rewritten=True,
        ),
    ),
    tables=(
        overview(*SHORT_NAMES, *LONG_NAMES),
        of_measures(
            "Fit and gap", (*SHORT_NAMES, *LONG_NAMES), (TRAIN_LOSS, TRAIN_ACCURACY, TEST_ACCURACY, GAP)
        ),
    ),
    pictures=(
        Picture(
            name="batch-none",
            caption="A batch as it is (the report's figure 27)",
            draw=samples.draw("none", "none"),
        ),
        Picture(
            name="batch-report",
            caption="The same batch under the report's four transforms (the report's figure 28)",
            draw=samples.draw("report", "the report's four"),
        ),
        Picture(
            name="batch-flip-crop",
            caption="The same batch under flip and crop",
            draw=samples.draw("flip-crop", "flip and crop"),
        ),
        picture_of_run("none", "figures 29 and 31", "Without augmentation"),
        picture_of_run("report", "figures 30 and 32", "With the report's augmentation"),
        picture_of_run("flip-crop-long", "", "Flip and crop, forty epochs"),
        Picture(
            name="transforms",
            caption="Accuracy on the training images, unchanged, and on the test images, after ten epochs: mean "
            "and standard deviation of the seeds",
            draw=bars(SHORT_NAMES),
        ),
        Picture(
            name="long",
            caption="Accuracy on the test images after each of forty epochs: mean of the seeds",
            draw=over_epochs("valid_accuracy", LONG_NAMES, "Test accuracy (%)"),
        ),
    ),
)
