"""Figures of experiments, made from results: the curves of a run, and what compares several."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from job import FASTSCRATCH
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from measures import TEST_ACCURACY, TRAIN_ACCURACY
from PIL import Image
from significance import mean_and_sd
from store import NotRun, Result

from fastscratch.report import figures
from fastscratch.report.figures import BLUE, GREY, VERMILLION, blank, frame

if TYPE_CHECKING:
    from findings import Findings

GREEN, ORANGE, PURPLE = "#009E73", "#E69F00", "#CC79A7"
STYLES = (
    (BLUE, "-", "o"),
    (VERMILLION, "--", "s"),
    (GREEN, "-.", "^"),
    (ORANGE, ":", "D"),
    (PURPLE, (0, (5, 1, 1, 1, 1, 1)), "v"),
    (GREY, (0, (1, 1)), "x"),
)
"""Colours that people with any common colour blindness tell apart, with dashes and marks for print in black."""


CURVE_POINTS = 3000
"""Batch losses drawn of a run."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of an experiment.

    Attributes
    ----------
    name : str
        Of its files, unique within the experiment.
    caption : str
        What is to be seen.
    draw : callable
        From findings to a figure; raises `store.NotRun` where there is nothing to draw yet.
    """

    name: str
    caption: str
    draw: Callable[[Findings], Figure]


def run_curves(setting: str, title: str, engine: str = FASTSCRATCH) -> Callable[[Findings], Figure]:
    """Return what draws loss and accuracy of a setting's first seed, in the report's form."""

    def draw(findings: Findings) -> Figure:
        result = findings.first(setting, engine)
        curve = np.array(result["batches"]["curve"])  # (epochs, batches)
        curve = curve[:, :: -(-curve.size // CURVE_POINTS)]  # more would not be seen, and makes large files
        label = "validation" if result["config"]["validation"] else "test images"
        per_epoch = curve.shape[1]
        return figures.curves(
            rows_of(result),
            curve.ravel(),
            steps_per_epoch=per_epoch,
            sampled=per_epoch < result["batches"]["per_epoch"],
            title=title,
            valid_label=label,
        )

    return draw


def rows_of(result: Result) -> list[dict[str, Any]]:
    """Return a history by rows, as `fastscratch.report.figures` takes it."""
    columns = result["history"]
    epochs = len(columns["train_loss"])
    return [
        {"epoch": epoch + 1, **{name: column[epoch] for name, column in columns.items()}} for epoch in range(epochs)
    ]


def picture_of_run(setting: str, shown_by: str, what: str) -> Picture:
    """Return the picture of a setting's curves, with the figures of the report that show the same."""
    caption = f"{what}: loss and accuracy of the first seed" + (f", as the report's {shown_by}" if shown_by else "")
    return Picture(name=f"curves-{setting}", caption=caption, draw=run_curves(setting, what))


def over_epochs(column: str, settings: Sequence[str], ylabel: str) -> Callable[[Findings], Figure]:
    """Return what draws a column of the history of settings: the seeds' mean in a band as wide as they lie apart."""

    def draw(findings: Findings) -> Figure:
        figure = blank(7.5, 4.4)
        axes = figure.subplots()
        scale = 100.0 if column.endswith("accuracy") else 1.0
        for name, (color, dash, mark) in zip(settings, STYLES, strict=False):
            runs = np.array([result["history"][column] for result in findings.of(name).values()]) * scale
            at = np.arange(1, runs.shape[1] + 1)
            axes.plot(
                at, runs.mean(0), color=color, linestyle=dash, marker=mark, markersize=4, linewidth=1.6,
                markevery=max(1, len(at) // 12), label=findings.experiment.setting(name).label,
            )  # fmt: skip
            axes.fill_between(at, runs.min(0), runs.max(0), color=color, alpha=0.18, linewidth=0)
        frame(axes, "Epoch", ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=9)
        return figure

    return draw


def bars(settings: Sequence[str]) -> Callable[[Findings], Figure]:
    """Return what draws training and test accuracy of those settings that were run as bars, with the seeds' spread."""

    def draw(findings: Findings) -> Figure:
        there = [name for name in settings if findings.by_seed(name)]
        if not there:
            raise NotRun(f"none of {', '.join(settings)} has been run")
        figure = blank(7.5, 1.2 + 0.55 * len(there))
        axes = figure.subplots()
        places = np.arange(len(there), dtype=float)
        for measure, offset, color in ((TRAIN_ACCURACY, -0.2, BLUE), (TEST_ACCURACY, 0.2, VERMILLION)):
            pairs = [mean_and_sd([measure.of(run) for run in findings.of(name).values()]) for name in there]
            means = 100 * np.array([mean for mean, _ in pairs])
            errors = 100 * np.array([sd or 0.0 for _, sd in pairs])
            axes.barh(places + offset, means, 0.36, xerr=errors, color=color, ecolor=GREY, label=measure.label)
            for y, mean, error in zip(places + offset, means, errors, strict=True):
                axes.text(mean + error + 0.6, y, f"{mean:.1f}", va="center", fontsize=8, color=GREY)
        frame(axes, "Accuracy (%)", "")
        axes.set_yticks(places, [findings.experiment.setting(name).label for name in there])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 107)
        axes.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        return figure

    return draw


def by_class(settings: Sequence[str]) -> Callable[[Findings], Figure]:
    """Return what draws the training accuracy of each class, mean of the seeds, as a mark for each of the settings."""

    def draw(findings: Findings) -> Figure:
        runs = {name: [run["final"]["train"] for run in findings.of(name).values()] for name in settings}
        classes = list(runs[settings[0]][0]["class_accuracy"])
        figure = blank(7.0, 1.4 + 0.34 * len(classes))
        axes = figure.subplots()
        for name, (color, _, mark) in zip(settings, STYLES, strict=False):
            means = [100 * float(np.mean([run["class_accuracy"][one] for run in runs[name]])) for one in classes]
            axes.plot(
                means, np.arange(len(classes)), mark, color=color, markersize=8, markeredgecolor="white",
                label=findings.experiment.setting(name).label,
            )  # fmt: skip
        frame(axes, "Training accuracy (%)", "")
        axes.set_yticks(np.arange(len(classes)), classes)
        axes.set_xlim(-3, 103)
        axes.invert_yaxis()
        axes.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(settings))
        return figure

    return draw


def sheet(encoded: str, title: str) -> Figure:
    """Draw a contact sheet that a result holds as a PNG file in base64."""
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    figure = blank(7.0, 7.0 * height / width + 0.4)
    axes = figure.subplots()
    axes.imshow(pixels, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, fontsize=11, loc="left")
    return figure


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]], xlabel: str, ylabel: str, *, log: str = ""
) -> Figure:
    """Draw points joined by lines, each series in a style of its own.

    Parameters
    ----------
    series : mapping of str to (xs, ys)
    xlabel, ylabel : str
    log : str
        Axes with a logarithmic scale: "", "x", "y" or "xy".
    """
    figure = blank(6.5, 4.2)
    axes = figure.subplots()
    for (label, (xs, ys)), (color, dash, mark) in zip(series.items(), STYLES, strict=False):
        axes.plot(xs, ys, color=color, linestyle=dash, marker=mark, linewidth=1.6, label=label)
    if "x" in log:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(ScalarFormatter())
    if "y" in log:
        axes.set_yscale("log")
    frame(axes, xlabel, ylabel)
    axes.legend(frameon=False, fontsize=9)
    return figure

