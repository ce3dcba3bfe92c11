"""Figures of a run: curves over the epochs, accuracy by class, confusion matrix.

Each function returns a matplotlib ``Figure`` of its own, made without pyplot: no window, no global style, no
figure left open. Colours are Okabe and Ito's, told apart by people with any common colour blindness; marks differ
in shape too, so that a black-and-white print can be read.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from fastscratch.training.atomic import write_atomically

BLUE, SKY, VERMILLION, GREY = "#0072B2", "#56B4E9", "#D55E00", "#5A5A5A"
DPI = 150


def curves(
    rows: Sequence[Mapping[str, Any]],
    batch_losses: ArrayLike = (),
    *,
    steps_per_epoch: int | None = None,
    sampled: bool = False,
    title: str = "",
    valid_label: str = "validation",
) -> Figure:
    """Draw loss and accuracy over the epochs, side by side.

    Parameters
    ----------
    rows : sequence of mapping
        One an epoch, as a run's history holds them: ``epoch`` (from 1), ``train_loss``, ``train_accuracy``,
        ``valid_loss``, ``valid_accuracy`` (shares of 1; values that are None are left out).
    batch_losses : array-like of shape (steps,), optional
        Training loss of every step, drawn pale below a smoothed line (centred moving average).
    steps_per_epoch : int, optional
        Steps of one epoch; by default the steps divided by the epochs.
    sampled : bool
        Whether `batch_losses` are those of some steps alone, evenly spaced. A line smoothed from them would show the
        luck of the sample, and the epochs' means are drawn as a line instead.
    title : str
        Written above both panels.
    valid_label : str
        What the legend calls the validation values.

    Raises
    ------
    ValueError
        If `batch_losses` is not one-dimensional.

    Notes
    -----
    A training value of an epoch is a mean over its steps, in which the weights move; it is drawn at the middle of
    the epoch. A validation value is measured at the end of its epoch and drawn there.
    """
    steps = np.asarray(batch_losses, dtype=float)
    if steps.ndim != 1:
        raise ValueError(f"batch_losses must be of shape (steps,), got {steps.shape}")
    figure = blank(10.0, 4.2)
    left, right = figure.subplots(1, 2)
    if steps.size:
        per_epoch = steps_per_epoch or max(1, round(steps.size / max(1, len(rows))))
        _draw_steps(left, steps, per_epoch, sampled)
    joined = sampled or not steps.size
    _draw_epochs(left, rows, "train_loss", "valid_loss", 1.0, valid_label, joined=joined)
    _draw_epochs(right, rows, "train_accuracy", "valid_accuracy", 100.0, valid_label, joined=True)
    frame(left, "Epoch", "Loss (nats per image)", "Loss")
    frame(right, "Epoch", "Accuracy (%)", "Accuracy")
    left.set_ylim(*_loss_limits(rows, steps))
    right.set_ylim(0, 100)
    for axes in (left, right):
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, steps=[1, 2, 5, 10]))
        if axes.get_legend_handles_labels()[0]:
            for handle in axes.legend(frameon=False, fontsize=9).get_lines():
                handle.set_linewidth(max(1.6, handle.get_linewidth()))  # a batch line's hair would not be seen
    if title:
        figure.suptitle(title, fontsize=11, color=GREY, parse_math=False)
    return figure


def _draw_steps(axes: Axes, losses: NDArray[np.float64], per_epoch: int, sampled: bool) -> None:
    at = (np.arange(losses.size) + 0.5) / per_epoch
    label = f"train, {'some batches' if sampled else 'each batch'}"
    axes.plot(at, losses, color=SKY, alpha=0.45, linewidth=0.5, label=label, zorder=1)
    if not sampled:
        width = max(1, losses.size // 50)
        axes.plot(at, moving_average(losses, width), color=BLUE, linewidth=1.6, label="train, smoothed", zorder=2)


def moving_average(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Mean of each value and up to ``width // 2`` neighbours on either side.

    Parameters
    ----------
    values : ndarray of shape (n,)
        At the ends only neighbours that exist are counted.
    width : int
        Values a window holds, at least 1; even widths count as the next odd one.

    Returns
    -------
    averages : ndarray of shape (n,)
    """
    at = np.arange(values.size)
    first, last = np.maximum(0, at - width // 2), np.minimum(values.size, at + width // 2 + 1)
    sums = np.concatenate([[0.0], np.cumsum(values)])  # sums[i] is the sum of the first i values
    result: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
    return result


def _draw_epochs(
    axes: Axes,
    rows: Sequence[Mapping[str, Any]],
    train: str,
    valid: str,
    scale: float,
    valid_label: str,
    *,
    joined: bool,
) -> None:
    every = -(-len(rows) // 30) or 1  # more marks would hide their line
    at, values = _column(rows, train, scale)
    if at.size:
        axes.plot(
            at - 0.5,
            values,
            color=BLUE,
            linewidth=1.8 if joined else 0,
            marker="o",
            markersize=6 if joined or every == 1 else 3,
            markevery=every if joined else 1,
            markeredgecolor="white",
            label="train, epoch mean",
            zorder=3,
        )
    at, values = _column(rows, valid, scale)
    if at.size:
        axes.plot(
            at,
            values,
            color=VERMILLION,
            linewidth=1.8,
            marker="s",
            markersize=6,
            markevery=every,
            markeredgecolor="white",
            label=valid_label,
            zorder=4,
        )


def _column(
    rows: Sequence[Mapping[str, Any]], name: str, scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Epoch numbers and values of a column, rows without it left out."""
    points = [(float(row["epoch"]), scale * float(row[name])) for row in rows if row.get(name) is not None]
    table = np.array(points, dtype=float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _loss_limits(rows: Sequence[Mapping[str, Any]], steps: NDArray[np.float64]) -> tuple[float, float]:
    """From zero to where all but the highest 0.5 % of the batches and every epoch's mean can be seen."""
    tops = [float(row[name]) for row in rows for name in ("train_loss", "valid_loss") if row.get(name) is not None]
    if steps.size:
        tops.append(float(np.quantile(steps, 0.995)))
    return 0.0, 1.05 * max(tops, default=1.0) or 1.0


def class_accuracy(classes: Sequence[str], train: ArrayLike | None, valid: ArrayLike, *, title: str = "") -> Figure:
    """Draw the accuracy of each class as bars, training above validation.

    Parameters
    ----------
    classes : sequence of str
        Names of the K classes.
    train, valid : array-like of shape (K,)
        Accuracies as shares of 1; `train` may be None. NaN stands for a class without images.
    title : str
        Written above the bars.

    Raises
    ------
    ValueError
        If a list of accuracies is not of shape (K,).
    """
    series = [("validation", VERMILLION, valid)]
    if train is not None:
        series.insert(0, ("train", BLUE, train))
    places = np.arange(len(classes), dtype=float)
    height = 0.8 / len(series)
    figure = blank(7.0, 1.4 + 0.42 * len(classes))
    axes = figure.subplots()
    for index, (label, color, values) in enumerate(series):
        shares = np.asarray(values, dtype=float)
        if shares.shape != places.shape:
            raise ValueError(f"{label} accuracies must be of shape {places.shape}, got {shares.shape}")
        at = places + (index - (len(series) - 1) / 2) * height
        axes.barh(at, 100 * np.nan_to_num(shares), height * 0.92, color=color, label=label)
        for y, share in zip(at, shares, strict=True):
            text = "no images" if np.isnan(share) else f"{100 * share:.1f}"
            axes.text(100 * np.nan_to_num(share) + 0.8, y, text, va="center", fontsize=8, color=GREY)
    frame(axes, "Accuracy (%)", "", title)
    axes.grid(axis="y", visible=False)
    axes.set_yticks(places, classes, parse_math=False)
    axes.set_ylim(len(classes) - 0.4, -0.6)  # the first class on top
    axes.set_xlim(0, 107)
    axes.set_xticks(range(0, 101, 20))
    axes.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    if title:
        axes.set_title(title, fontsize=11, loc="left", pad=26, parse_math=False)
    return figure


def confusion_matrix(confusion: ArrayLike, classes: Sequence[str], *, title: str = "") -> Figure:
    """Draw how often each true class was taken for each class, in percent of the true class.

    Parameters
    ----------
    confusion : array-like of shape (K, K), integers
        Counts; rows are true classes, columns the model's answers.
    classes : sequence of str
        Names of the K classes.
    title : str
        Written above the matrix.

    Raises
    ------
    ValueError
        If `confusion` is not of shape (K, K).
    """
    counts = np.asarray(confusion, dtype=float)
    k = len(classes)
    if counts.shape != (k, k):
        raise ValueError(f"confusion must be of shape {(k, k)}, got {counts.shape}")
    percent = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))  # (K, K)
    side = 2.2 + 0.52 * k
    figure = blank(side + 0.6, side)
    axes = figure.subplots()
    image = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    for row in range(k):
        for column in range(k):
            value = percent[row, column]
            color = "white" if value > 55 else "black"
            if value >= 0.5:  # an empty cell says "hardly ever" more quietly than a 0 does
                axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=9, color=color)
    axes.set_xticks(range(k), classes, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(range(k), classes, parse_math=False)
    axes.set_xlabel("Answer")
    axes.set_ylabel("True class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("Share of the true class (%)")
    bar.outline.set_visible(False)
    if title:
        axes.set_title(title, fontsize=11, loc="left", parse_math=False)
    return figure


def save(figure: Figure, path: str | os.PathLike[str], *, description: str | None = None) -> None:
    """Write a figure as a PNG or SVG file, replacing the file in one step.

    Parameters
    ----------
    figure : Figure
        Drawn on white, as PNG at 150 dots an inch.
    path : path-like
        The file, ending in ``.svg`` for SVG, anything else for PNG; its folder must exist.
    description : str, optional
        A text that the file carries unseen: of what data the figure was made, for instance.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    write_atomically(path, render(figure, "svg" if os.fspath(path).endswith(".svg") else "png", description))


def render(figure: Figure, kind: Literal["png", "svg"], description: str | None = None) -> bytes:
    """Return the bytes of a figure's file: the same each time with the same version of matplotlib.

    Parameters
    ----------
    figure : Figure
    kind : {"png", "svg"}
    description : str, optional
        As `save` takes it.
    """
    image = io.BytesIO()
    # Marks in an SVG are named at random, and it is dated, unless it is told otherwise.
    with matplotlib.rc_context({"svg.hashsalt": "fastscratch"}):
        options: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {"metadata": {}, "dpi": DPI}
        if description is not None:
            options["metadata"]["Description"] = description
        figure.savefig(image, format=kind, facecolor="white", **options)
    return image.getvalue()


def blank(width: float, height: float) -> Figure:
    """Return an empty figure that no window system knows of.

    Parameters
    ----------
    width, height : float
        In inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # attaches itself; the figure then draws without any window system
    return figure


def frame(axes: Axes, xlabel: str, ylabel: str, title: str = "") -> None:
    """Give axes the look of all figures here.

    Parameters
    ----------
    axes : Axes
    xlabel, ylabel, title : str
    """
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
