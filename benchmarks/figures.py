"""Figures of the benchmarks, drawn from the rows of a results file.

White behind everything, so that they can be read on a light and on a dark page; Okabe and Ito's colours and a marker of
its own for every engine, so that nobody needs to see colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from rungs import gains

from fastscratch.report.figures import BLUE, GREY, SKY, VERMILLION

GREEN = "#009E73"
STYLES = {
    "cython": (BLUE, "o"),
    "numba": (GREEN, "s"),
    "numpy": (SKY, "^"),
    "torch": (VERMILLION, "D"),
    "processes": (GREY, "P"),
}
"""Engine -> colour and marker; PyTorch's layouts share one."""

SIZES = {"torch": 9, "processes": 8, "numpy": 7.5, "numba": 6.5, "cython": 5}
"""Engine -> how large its marks are where many lie close together; smaller ones are drawn upon larger ones."""

MARK_GAP, NAME_GAP = 0.012, 0.028
"""How far apart layers and their names lie in a roofline at least, in widths of its axes."""

NAMES = {
    "cython": "Cython", "numba": "Numba", "numpy": "NumPy", "torch": "PyTorch", "processes": "a process a core",
}  # fmt: skip

Rows = Sequence[Mapping[str, Any]]


def engine_of(name: str) -> str:
    """Return "torch" for every way to run PyTorch, else the name of the backend."""
    return "torch" if name.startswith("torch") else name.split()[0]


def label_of(name: str) -> str:
    """Return how a legend names an engine."""
    engine = engine_of(name)
    return NAMES[engine] if engine == "torch" else f"fastscratch, {NAMES[engine]}"


def label_with_layout(name: str) -> str:
    """Return the same, of PyTorch with the layout, or several in the order in which they are the faster ones."""
    return f"{label_of(name)} ({name.removeprefix('torch ')})" if engine_of(name) == "torch" else label_of(name)


def plain(value: float) -> str:
    """Write a number with three digits, more before the point, and no exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def epoch_time(rows: Rows, images: int = 50_000) -> Figure:
    """Draw the seconds of an epoch over the batch size, an engine a line.

    Parameters
    ----------
    rows : sequence of mapping
        Of one network's training steps, with one number of threads.
    images : int
        Images of an epoch.
    """
    figure = _figure(8.0, 4.6)
    axes = figure.subplots()
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in sorted(rows, key=lambda row: row["batch"]):
        for name in _shown(row):
            seconds = float(np.median(row["engines"][name]["seconds"])) / row["batch"] * images
            lines.setdefault(engine_of(name), []).append((row["batch"], seconds))
    # The legend in the order in which the lines end, above the axes: lines may run anywhere in them.
    for engine in sorted(lines, key=lambda engine: -lines[engine][-1][1]):
        batches, seconds = zip(*lines[engine], strict=True)
        color, marker = STYLES[engine]
        axes.plot(batches, seconds, color=color, marker=marker, linewidth=2, markersize=7, label=label_of(engine))
        axes.annotate(
            f"{plain(seconds[-1])} s", (batches[-1], seconds[-1]), xytext=(9, 0), textcoords="offset points",
            va="center", fontsize=9, color=GREY,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    _plain_ticks(axes.xaxis, sorted({row["batch"] for row in rows}))
    _plain_ticks(axes.yaxis, _round_steps(axes.get_ylim()))
    axes.margins(x=0.12)
    network = {"baseline": "the report's CNN"}.get(rows[0]["network"], rows[0]["network"])
    _frame(axes, "images in a batch", f"seconds for {images:,} images", "")
    axes.set_title(f"Training {network}: time of a step, times the steps of an epoch", fontsize=11, loc="left", pad=26)
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=len(lines))
    return figure


def roofline(rows: Rows, limits: Mapping[str, float], threads: int) -> Figure:
    """Draw what each layer reaches on each engine below what the machine can do.

    Layers that have all but as many operations a byte lie side by side there.

    Parameters
    ----------
    rows : sequence of mapping
        ``layer``, ``pass``, ``flops``, ``bytes``, ``engines``.
    limits : mapping
        ``flops`` and ``bytes`` a second.
    threads : int
        For the title.
    """
    figure = _figure(11.0, 5.4)
    panels = figure.subplots(1, 2, sharey=True)
    intensities = [row["flops"] / row["bytes"] for row in rows]
    at = np.geomspace(min(intensities) / 2, max(intensities) * 2, 200)
    for axes, way in zip(panels, ("forward", "backward"), strict=True):
        roof = np.minimum(limits["flops"], at * limits["bytes"]) / 1e9
        axes.plot(at, roof, color=GREY, linewidth=1.6)
        shown = sorted((row for row in rows if row["pass"] == way), key=lambda row: row["flops"] / row["bytes"])
        width = np.log(at[-1] / at[0])
        places = spread([float(np.log(row["flops"] / row["bytes"] / at[0]) / width) for row in shown], MARK_GAP)
        _name_layers(axes, [row["layer"] for row in shown], places)
        for row, place in zip(shown, places, strict=True):
            x = at[0] * np.exp(width * place)
            for engine in _shown(row):
                color, marker = STYLES[engine_of(engine)]
                rate = row["flops"] / float(np.median(row["engines"][engine]["seconds"])) / 1e9
                size = SIZES[engine_of(engine)]
                axes.plot(x, rate, marker, color=color, markersize=size, markeredgecolor="white", zorder=20 - size)
        axes.set_xscale("log")
        axes.set_xlim(at[0], at[-1])
        axes.set_yscale("log")
        _frame(axes, "operations for each byte that has to move", "", "")
        axes.set_title(way, fontsize=11, loc="left", pad=50)
    panels[0].set_ylabel("GFLOP/s of the dense algorithm")
    for engine in dict.fromkeys(engine_of(name) for row in rows for name in row["engines"]):
        color, marker = STYLES[engine]
        panels[1].plot([], [], marker, color=color, label=label_of(engine))
    panels[1].plot([], [], color=GREY, label="matrix product, memory")
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside lower center", ncols=len(handles))
    figure.suptitle(
        f"Roofline, {_threads(threads)}: sgemm {limits['flops'] / 1e9:.0f} GFLOP/s, "
        f"memory {limits['bytes'] / 1e9:.1f} GB/s (b: the report's CNN, v: VGG)",
        fontsize=10, color=GREY,
    )  # fmt: skip
    return figure


def _name_layers(axes: Axes, names: Sequence[str], places: Sequence[float]) -> None:
    """Write the names of layers above the axes, each joined to its place in them, from 0 at the left to 1."""
    for name, place, label in zip(names, places, spread(places, NAME_GAP), strict=True):
        axes.plot([place, place], [0.0, 1.0], color="#DDDDDD", linewidth=0.6, zorder=0, transform=axes.transAxes)
        axes.plot([place, label], [1.0, 1.04], color="#BBBBBB", linewidth=0.6, transform=axes.transAxes, clip_on=False)
        short = name.replace("baseline", "b").replace("vgg", "v")
        axes.text(label, 1.05, short, transform=axes.transAxes, fontsize=7, ha="center", va="bottom", rotation=90,
                  color=GREY)  # fmt: skip


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return rising places moved as little as it takes to lie a gap apart.

    Without the gaps that is isotonic regression, by pooling neighbors that are out of order.
    """
    blocks: list[tuple[float, int]] = []  # mean of so many places, each moved back by the gaps before it
    for number, place in enumerate(places):
        mean, count = place - number * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, pooled = blocks.pop()
            mean, count = (before * pooled + mean * count) / (pooled + count), pooled + count
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    return [mean + number * gap for number, mean in enumerate(means)]


def ladder(rows: Rows) -> Figure:
    """Draw the times of the rungs, the slowest on top, and the factor that each gains.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of the section ``ladder`` of one shape.
    """
    figure = _figure(8.0, 1.5 + 0.45 * len(rows))
    axes = figure.subplots()
    places = np.arange(len(rows))
    milliseconds = [1e3 * row["seconds"] for row in rows]
    axes.barh(places, milliseconds, color=BLUE, height=0.65)
    for place, (gain, _) in enumerate(gains(rows)):
        gained = f"   {plain(gain)} times as fast" if place else ""
        text = f" {plain(milliseconds[place])} ms{gained}"
        axes.text(milliseconds[place], place, text, va="center", fontsize=9, color=GREY)
    axes.set_xscale("log")
    axes.set_xlim(min(milliseconds) / 2, max(milliseconds) * 15)
    axes.set_yticks(places, [f"{row['rung'].replace('`', '')}, {_threads(row['threads'])}" for row in rows])
    axes.invert_yaxis()
    name = rows[0]["shape"].partition(":")[2]
    title = f"{name}, {rows[0]['batch']} images, forward and backward, {rows[0]['backend']}"
    _frame(axes, "milliseconds (logarithmic)", "", title)
    axes.grid(axis="y", visible=False)
    return figure


SCALES = {
    "images": ("images trained on", "seconds"),
    "batch": ("images in a batch", "milliseconds a step"),
    "threads": ("threads", "steps a second"),
    "channels": ("operations of the layer, GFLOP", "milliseconds"),
}
"""What is varied -> the axes' labels."""


def straightness(row: Mapping[str, Any]) -> str:
    """Return R² of a straight line, "-" where it goes through no more than two points, as any does."""
    return f"{row['r2']:.4f}" if len(row["x"]) > 2 else "-"


def scaling(rows: Rows) -> Figure:
    """Draw cost against images, batch, threads and channels, with the straight lines that fit best.

    Parameters
    ----------
    rows : sequence of mapping
        ``varied`` (a key of `SCALES`), ``engine``, ``x``, ``y``, ``slope``, ``intercept``, ``r2``.
    """
    figure = _figure(10.0, 7.2)
    for axes, (varied, (xlabel, ylabel)) in zip(figure.subplots(2, 2).flat, SCALES.items(), strict=True):
        for row in rows:
            if row["varied"] != varied:
                continue
            color, marker = STYLES[engine_of(row["engine"])]
            x = np.asarray(row["x"], float)
            fit = row["intercept"] + row["slope"] * x
            axes.plot(x, fit, color=color, linewidth=1.2)
            label, straight = label_with_layout(row["engine"]), straightness(row)
            label += "" if straight == "-" else f", R² {straight}"
            size = SIZES[engine_of(row["engine"])]
            style = {"color": color, "markersize": size, "markeredgecolor": "white", "zorder": 20 - size}
            axes.plot(x, row["y"], marker, **style, label=label)
        _frame(axes, xlabel, ylabel, "")
        axes.set_ylim(0, 1.2 * axes.get_ylim()[1])  # room for the legend
        axes.set_xlim(left=0)
        if varied == "threads":
            counts = {x for row in rows if row["varied"] == varied for x in row["x"]}
            axes.xaxis.set_major_locator(FixedLocator(sorted(counts)))
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def accuracy_curves(rows: Rows, targets: Sequence[float]) -> Figure:
    """Draw test accuracy over the seconds of training, a line a seed.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of the section ``time_to_accuracy``: ``engine``, ``seed``, ``history``.
    targets : sequence of float
        Shares of 1, drawn as lines.
    """
    figure = _figure(8.0, 4.6)
    axes = figure.subplots()
    named = set()
    for row in rows:
        engine = engine_of(row["engine"])
        color, marker = STYLES[engine]
        seconds = [entry["seconds"] for entry in row["history"]]
        shares = [100 * entry["accuracy"] for entry in row["history"]]
        label = None if engine in named else label_of(row["engine"])
        named.add(engine)
        axes.plot(seconds, shares, color=color, marker=marker, markersize=4, linewidth=1.2, alpha=0.75, label=label)
    for target in targets:
        axes.axhline(100 * target, color=GREY, linewidth=1, linestyle="--")
        axes.text(0.005, 100 * target, f"{100 * target:g} %", va="bottom", ha="left", fontsize=8, color=GREY,
                  transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_xlim(left=0)
    _frame(axes, "seconds of training, evaluation not counted", "test accuracy (%)", "Time to accuracy")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def _shown(row: Mapping[str, Any]) -> list[str]:
    """Return the engines of a row, of PyTorch's the fastest alone."""
    return [name for name in row["engines"] if engine_of(name) != "torch" or name == row["best_torch"]]


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _frame(axes: Axes, xlabel: str, ylabel: str, title: str) -> None:
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _round_steps(limits: tuple[float, float]) -> list[float]:
    """Return 1, 2, 5, 10, 20, ... between the limits."""
    exponents = range(int(np.floor(np.log10(limits[0]))), int(np.ceil(np.log10(limits[1]))) + 1)
    steps = [factor * 10.0**exponent for exponent in exponents for factor in (1, 2, 5)]
    return [step for step in steps if limits[0] <= step <= limits[1]]


def _plain_ticks(axis: Any, places: Sequence[float]) -> None:
    """Put plain numbers on a logarithmic axis."""
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
