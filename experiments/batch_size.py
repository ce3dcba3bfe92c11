"""5. Batches of 4 to 32 images, for as many epochs each."""

from __future__ import annotations

import gradient_noise
import timings
from claims import Claim, every, larger
from design import Experiment, Setting
from drawing import Picture, over_epochs, picture_of_run
from exhibits import of_measures, overview
from measures import EQUAL_STEPS, SPREAD, TEST_ACCURACY, TRAIN_ACCURACY, TRAIN_LOSS

from fastscratch.config import TrainConfig

SIZES = ("4", "8", "16", "32")

EXPERIMENT = Experiment(
    name="batch_size",
    title="Batch size",
    question=(
        "Ten epochs at 3e-4 with batches of 4, 8, 16 and 32 images. Smaller batches take more steps an epoch, each by "
        "a noisier gradient. The noise is also measured by itself, at fixed weights; times are measured apart from the "
        "runs."
    ),
    fixed=TrainConfig(epochs=10, lr=3e-4),
    settings=(
        *(
            Setting(name=size, label=f"batch {size}", changes={"batch_size": int(size)}, twins=1)
            for size in reversed(SIZES)
        ),
        Setting(name="noise", changes={"batch_size": 32}, seeds=1, measure=gradient_noise.measure),
    ),
    claims=(
        Claim(
            name="small-batches-train-more",
            says="For the same epochs smaller batches train more; at 32 the network has not trained enough.",
            check=every(*(larger(TRAIN_ACCURACY, size, "32") for size in ("4", "8", "16"))),
            picture="sizes-train-loss",
        ),
        Claim(
            name="small-batches-scatter",
            says="The losses of smaller batches are spread more widely.",
            check=every(larger(SPREAD, "4", "8"), larger(SPREAD, "8", "16"), larger(SPREAD, "16", "32")),
            picture="curves-4",
        ),
        Claim(
            name="small-batches-are-noisy",
            says="The gradient of a smaller batch is noisier.",
            check=gradient_noise.check,
            picture="noise",
            remark="At the same weights the variance should be one over the batch size.",
        ),
        Claim(
            name="small-batches-need-more-steps",
            says="Noisy updates are worth less: small batches need more of them.",
            check=larger(EQUAL_STEPS, "32", "4"),
            picture="sizes-test",
            remark="That is one epoch of batches of 4, and eight epochs of batches of 32.",
            is_rewritten=True,
        ),
        Claim(
            name="large-batches-are-fast",
            says="An epoch takes less time with larger batches, because more is computed at once.",
            check=timings.check,
            picture="times",
            remark=(
                "The report's table says the opposite of its text. An epoch always holds the same images; larger "
                "batches only save steps, so the arithmetic does not grow with them. A step may still lose a little of "
                "that where its arrays outgrow a cache. The report does not say what else was in its times: another "
                "load of the machine, evaluation, logging."
            ),
        ),
        Claim(
            name="sixteen-is-best",
            says="The best batch size is around 16.",
            check=every(larger(TEST_ACCURACY, "16", "8"), larger(TEST_ACCURACY, "16", "32")),
            picture="sizes-test",
            remark="At ten epochs and this learning rate; read off the test images, as in the report.",
        ),
    ),
    tables=(
        overview(*SIZES),
        timings.table,
        of_measures("Spread of the batch losses", SIZES, (TRAIN_LOSS, SPREAD)),
        gradient_noise.table,
    ),
    pictures=(
        *(
            picture_of_run(size, f"figures {figure} and {figure + 4}", f"Batch size {size}")
            for figure, size in enumerate(SIZES, start=15)
        ),
        Picture(
            name="sizes-train-loss",
            caption="Training loss of each epoch: mean of the seeds, in a band as wide as they lie apart",
            draw=over_epochs("train_loss", SIZES, "Training loss (nats per image)"),
        ),
        Picture(
            name="sizes-test",
            caption="Accuracy on the test images after each epoch: mean of the seeds, in a band as wide as "
            "they lie apart",
            draw=over_epochs("valid_accuracy", SIZES, "Test accuracy (%)"),
        ),
        Picture(name="noise", caption="Variance of the gradient at fixed weights", draw=gradient_noise.draw),
        Picture(name="times", caption="Seconds of ten epochs: the report's, ours, PyTorch's", draw=timings.draw),
    ),
)
