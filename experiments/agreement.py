"""0. Do the two engines compute the same? Their losses over the first batches, in float32 and in float64.

Two engines add in another order, so that their last digits differ; training makes small differences grow, the faster
the larger the learning rate. If nothing but rounding is between them, then in float64, whose roundings are a billion
times finer, the losses stay together that much longer.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import drawing
import engines
import numpy as np
from claims import FAILS, HOLDS, Claim, Verdict
from design import Experiment, Setting
from drawing import Picture
from job import TORCH, Job
from matplotlib.figure import Figure
from numpy.typing import DTypeLike, NDArray
from runner import gradients, loader_of, prepare
from tabular import Table

from fastscratch.config import TrainConfig
from fastscratch.report.figures import blank, frame

if TYPE_CHECKING:
    from findings import Findings

BATCHES = 100
SINGLE, DOUBLE = 0.1, 1e-12
"""How far the losses of a batch may lie apart in float32, and in float64."""

# name of a setting -> what pages call it, what it changes
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "lr-3e-4": ("learning rate 3e-4", {}),
    "lr-1e-6": ("learning rate 1e-6", {"lr": 1e-6}),
    "lr-1e-3": ("learning rate 1e-3", {"lr": 1e-3}),
    "lr-5e-3": ("learning rate 5e-3", {"lr": 5e-3}),
    "batch-4": ("batches of 4", {"batch_size": 4}),
    "kl": ("KL divergence", {"loss": "kl-divergence"}),
    "augmented": ("the report's augmentation", {"augment": "report"}),
}


def measure(job: Job) -> dict[str, list[float]]:
    """Return the losses of both engines over the first batches: ``float32``, ``float32-torch``, and so in float64."""
    return {
        name: losses
        for dtype in (np.float32, np.float64)
        for name, losses in zip((dtype.__name__, f"{dtype.__name__}-torch"), both(job, dtype), strict=True)
    }


def both(job: Job, dtype: DTypeLike) -> tuple[list[float], list[float]]:
    """Train both engines on the first batches, each on its own, and return their losses."""
    import torch
    from torch_steps import torch_step

    from fastscratch.interop.torch import to_torch

    config = job.config
    torch.set_num_threads(config.threads or 1)
    trainer, train = prepare(config, dtype)
    twin = to_torch(trainer.model)
    adam = torch.optim.Adam(twin.parameters(), lr=config.lr)
    loader = loader_of(config, train, trainer.normalization, dtype=dtype)
    here, there = [], []
    with contextlib.closing(loader.epoch(0)) as batches:
        for images, labels in itertools.islice(batches, BATCHES):
            here.append(gradients(trainer, images, labels))
            trainer.optimizer.step()
            there.append(torch_step(config, twin, adam, images, labels)[0])
    return here, there


def apart(findings: Findings, name: str) -> dict[str, NDArray[np.float64]]:
    """Return the absolute differences of a case's losses: of the engines in both precisions, and of each to float64."""
    losses = {key: np.array(values) for key, values in findings.first(name, TORCH)["found"].items()}
    return {
        "float32": abs(losses["float32"] - losses["float32-torch"]),
        "float64": abs(losses["float64"] - losses["float64-torch"]),
        "rounding": abs(losses["float32"] - losses["float64"]),
        "rounding-torch": abs(losses["float32-torch"] - losses["float64-torch"]),
    }


def table(findings: Findings) -> Table:
    """Return the largest differences over the first batches, case by case."""
    rows = []
    for name, (label, _) in CASES.items():
        if not findings.by_seed(name, TORCH):
            rows.append([label, "not run yet", "-", "-", "-"])
            continue
        largest = {key: f"{values.max():.1e}" for key, values in apart(findings, name).items()}
        rows.append([label, *(largest[key] for key in ("float64", "float32", "rounding", "rounding-torch"))])
    head = ("run", "engines in float64", "engines in float32", "float32 from float64", "PyTorch's float32 from float64")
    note = f"Largest difference of a batch's loss, in nats, over the first {BATCHES} batches."
    return Table("Batch by batch", head, rows, note)


def check(precision: str, tolerance: float) -> Callable[[Findings], Verdict]:
    """Return a check that no batch's losses lie further apart than the tolerance."""

    def decide(findings: Findings) -> Verdict:
        worst = {name: float(apart(findings, name)[precision].max()) for name in CASES}
        name = max(worst, key=lambda one: worst[one])
        return Verdict(
            HOLDS if worst[name] <= tolerance else FAILS,
            f"largest difference of a loss over the first {BATCHES} batches of {len(CASES)} runs in {precision}: "
            f"{worst[name]:.1e} ({CASES[name][0]}); allowed {tolerance:g}",
        )

    return decide


def draw(findings: Findings) -> Figure:
    """Draw how far the engines' losses have come apart at each batch, in both precisions."""
    figure = blank(10.0, 4.2)
    for axes, precision in zip(figure.subplots(1, 2, sharey=True), ("float32", "float64"), strict=True):
        for name, (color, dash, _) in zip(("lr-1e-6", "lr-3e-4", "lr-1e-3", "lr-5e-3"), drawing.STYLES, strict=False):
            values = np.maximum.accumulate(apart(findings, name)[precision])
            values[values == 0] = np.nan  # has no place on the axis
            label, _ = CASES[name]
            axes.plot(np.arange(1, len(values) + 1), values, color=color, linestyle=dash, linewidth=1.4, label=label)
        axes.set_yscale("log")
        frame(axes, "Batch", "Largest difference of the losses so far (nats)", precision)
        axes.legend(frameon=False, fontsize=9)
    return figure


EXPERIMENT = Experiment(
    name="agreement",
    title="The two engines",
    question=(
        "The report's settings are also trained by PyTorch: from the same weights, on the same batches, at the "
        "same learning rates, with PyTorch's own layers, losses and Adam. Do both compute the same? Their sums are "
        "added in another order, so that last digits differ, and training makes small differences grow. In float64, "
        "whose roundings are a billion times finer, whatever else were between them would stand out."
    ),
    fixed=TrainConfig(epochs=1, batch_size=32),
    settings=tuple(
        Setting(name=name, label=label, changes=changes, seeds=0, twins=1, measure=measure)
        for name, (label, changes) in CASES.items()
    ),
    claims=(
        Claim(
            name="same-in-float64",
            says="But for rounding, both engines compute the same.",
            check=check("float64", DOUBLE),
            picture="apart",
            from_report=False,
        ),
        Claim(
            name="close-in-float32",
            says="In float32 the losses of the first hundred batches stay together.",
            check=check("float32", SINGLE),
            picture="apart",
            remark="How far each of them is from float64, the table below shows.",
            from_report=False,
        ),
        Claim(
            name="same-accuracy",
            says="Final accuracies of the same seed differ by no more than those of two seeds do.",
            check=engines.check,
            picture="accuracies",
            remark="It holds where all settings have been run and neither p is below 0.05.",
            from_report=False,
        ),
    ),
    tables=(table, engines.table),
    pictures=(
        Picture(name="apart", caption="Largest difference of the engines' losses so far, batch by batch", draw=draw),
        Picture(
            name="accuracies",
            caption="Accuracy on the test images on both engines, setting by setting: mean and range of the seeds",
            draw=engines.draw,
        ),
    ),
)
