"""9. Speed: how fast this framework gets to 90 %, and how far in an hour."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING

import provenance
import store
import timings
from claims import Claim, above
from design import Experiment, Setting
from drawing import picture_of_run
from exhibits import cell, classes, overview
from job import FASTSCRATCH
from measures import TEST_ACCURACY, whole_test
from tabular import Table

from fastscratch import models, nn
from fastscratch.config import TrainConfig

if TYPE_CHECKING:
    from findings import Findings

IMAGE = (32, 32, 3)
PASSES = 3
"""A step costs three forward passes: the gradients of inputs and of filters are as much work as the outputs."""

PUBLISHED = (
    ("Jordan, for 94 %", 0.36e15, 0.9401),
    ("Jordan, for 95 %", 1.4e15, 0.9501),
    ("ResNet-18, the usual training", 32.3e15, 0.960),
)
"""Run, its operations, and accuracy on the original images."""

SOURCE = "Operations and accuracies of published runs: Jordan, https://github.com/KellerJordan/cifar10-airbench."

# Jordan gives rates for batches of 1024 and the sum of the losses: 11.5 / (1024 (1 + 1 / (1 - 0.85))) an image, which
# for means over 512 images is 0.75, and a decay of 0.0153 in the same unit, which is 0.00133.
RECIPE = TrainConfig(
    model="speedrun",
    epochs=10,
    batch_size=512,
    augment="flip-shift",
    optimizer="sgd",
    lr=0.75,
    momentum=0.85,
    nesterov=True,
    weight_decay=0.00133,
    schedule="onecycle",
    pct_start=0.23,
    label_smoothing=0.2,
    precision="fast",
)


def network(config: TrainConfig) -> nn.Sequential:
    """Return the network of a config, for CIFAR-10's images and classes."""
    return models.of_config(config, IMAGE, 10)


def _operations(config: TrainConfig) -> float:
    """Return the operations of a run on all images, as plain sums need them."""
    return float(PASSES * network(config).flops(IMAGE) * timings.TRAINING_IMAGES * config.epochs)


def _scientific(number: float) -> str:
    return f"{number:.2e}".replace("e+", "e")


def _gap(findings: Findings, setting: Setting) -> str:
    """Return what keeps a setting from the accuracy that as many operations have given others."""
    results = findings.by_seed(setting.name).values()
    label, operations, accuracy = PUBLISHED[0]
    mine = _operations(findings.experiment.config(setting))
    scope = findings.plan.scope
    alike = (scope.data, scope.share, scope.epochs) == ("cifar10", 1, None) and 0.9 <= mine / operations <= 1.1
    if not alike or not results or statistics.mean(map(TEST_ACCURACY.of, results)) >= accuracy:
        return ""
    said = f"{setting.label} are {_scientific(mine)} operations, about as many as “{label}”: it is not time that"
    if all(whole_test(result)["fingerprint"] in provenance.COPIES for result in results):
        return (
            f"{said} is missing here, but what was left out of that recipe or what JPEG has taken from the images. "
            "Without the original files the two cannot be told apart."
        )
    return f"{said} is missing here, but what was left out of that recipe."


def published(name: str) -> Callable[[Findings], Table]:
    """Return what tells how long published runs would take at the pace of a setting."""

    def make(findings: Findings) -> Table:
        setting = findings.experiment.setting(name)
        config = findings.experiment.config(setting)
        try:
            minutes = timings.minutes(timings.of(findings), config, FASTSCRATCH)
        except store.NotRun:
            minutes = None
        rows = []
        for label, operations, accuracy in PUBLISHED:
            here = "not measured yet" if minutes is None else f"{minutes * operations / _operations(config):,.0f}"
            rows.append([label, _scientific(operations), f"{100 * accuracy:.1f} %", here])
        head = ("run", "operations", "test, original images", f"minutes at the pace of {setting.label}")
        return Table("What more would take", head, rows, f"{SOURCE} {_gap(findings, setting)}".rstrip())

    return make


def work(*names: str) -> Callable[[Findings], Table]:
    """Return what tells how large the networks of settings are, how much their runs compute, and what comes of it."""

    def make(findings: Findings) -> Table:
        rows = []
        for setting in map(findings.experiment.setting, names):
            config = findings.experiment.config(setting)
            model = network(config)
            size = sum(parameter.size for parameter in model.parameters())
            done = _scientific(_operations(config))
            minutes = timings.text(findings, setting, FASTSCRATCH)
            accuracy = cell(findings, TEST_ACCURACY, setting.name)
            rows.append([setting.label, f"{size:,}", str(config.epochs), done, minutes, accuracy])
        head = ("run", "parameters", "epochs", "operations", "minutes", "test")
        note = "Operations are those of plain sums, forward and backward; Winograd's algorithm needs fewer."
        return Table("What an accuracy costs", head, rows, note)

    return make


EXPERIMENT = Experiment(
    name="speed_run",
    title="Speed run",
    question=(
        "How fast do two cores get to 90 % of the test images, and how far in an hour? The network and the recipe are "
        'those of Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024), as far as this framework has their '
        "parts: filters that whiten patches, computed from the training images; convolutions that begin by passing "
        "their input; batch norm whose shift learns fast; a large rate for few epochs; and test images that are looked "
        "at from both sides. Left out are his averaging of weights, GELU in place of ReLU, and mirroring each image in "
        "every second epoch; his whitening layer has a bias that is trained for three epochs, this one has none. His "
        "runs have 9.9 epochs. Ten epochs were planned after one full run of eight, not kept, which fell a little "
        "short of 90 % of the test images; thirty are what an hour has room for, by the times of steps. Batches are "
        "half as large as his, for which rate and decay are recomputed, and the rate rises and falls along a cosine."
    ),
    fixed=RECIPE,
    settings=(
        Setting(name="ten", label="10 epochs", changes={}),
        Setting(name="hour", label="30 epochs, larger shifts", changes={"epochs": 30, "augment": "flip-crop"}),
    ),
    claims=(
        Claim(
            name="speed-reaches-90",
            says="Ten epochs are enough for 90 % of the test images.",
            check=above(TEST_ACCURACY, "ten", 0.90),
            picture="curves-ten",
            from_report=False,
        ),
        Claim(
            name="speed-within-half-an-hour",
            says="They take less than half an hour on two cores.",
            check=timings.takes_at_most("ten", 30),
            from_report=False,
        ),
        Claim(
            name="speed-hour",
            says="Thirty epochs take less than an hour on two cores.",
            check=timings.takes_at_most("hour", 60),
            from_report=False,
        ),
        Claim(
            name="speed-reaches-94",
            says="In that hour 94 % is reached.",
            check=above(TEST_ACCURACY, "hour", 0.94),
            picture="curves-hour",
            from_report=False,
        ),
    ),
    tables=(
        work("ten", "hour"),
        published("ten"),
        overview("ten", "hour"),
        classes("hour", "Thirty epochs, by classes"),
    ),
    pictures=(
        picture_of_run("ten", "", "Ten epochs"),
        picture_of_run("hour", "", "Thirty epochs"),
    ),
)
