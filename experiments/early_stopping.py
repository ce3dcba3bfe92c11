"""Where validation loss turns, and what stopping there would have given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from measures import best_epoch
from tabular import Table

from fastscratch.report.figures import BLUE, GREY, VERMILLION, blank, frame

if TYPE_CHECKING:
    from findings import Findings

SETTING = "split"


def table(findings: Findings) -> Table:
    """Return a row for each seed: the epoch chosen on validation images, and the test images there and at the end."""
    rows = []
    for seed, result in findings.by_seed(SETTING).items():
        history, best, final = result["history"], best_epoch(result), result["final"]["test"]
        chosen = result["best"]["test"]
        rows.append([
            str(seed),
            f"{best} of {len(history['valid_loss'])}",
            f"{history['valid_loss'][best - 1]:.3f}",
            f"{history['valid_loss'][-1]:.3f}",
            f"{100 * history['valid_accuracy'][best - 1]:.1f} %",
            f"{100 * history['valid_accuracy'][-1]:.1f} %",
            f"{100 * chosen['accuracy']:.1f} %",
            f"{100 * final['accuracy']:.1f} %",
        ])  # fmt: skip
    head = (
        "seed", "best epoch", "validation loss there", "at the end", "validation accuracy there", "at the end",
        "test accuracy there", "at the end",
    )  # fmt: skip
    note = "The epoch is chosen on a tenth of the training images; the test images are looked at when all is done."
    return Table("Where to stop", head, rows or [["not run yet", *["-"] * 7]], note)


def draw(findings: Findings) -> Figure:
    """Draw loss and accuracy of all seeds, and mark each seed's best epoch."""
    figure = blank(10.0, 4.2)
    for axes, what, scale, label in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), (1, 100), ("Loss (nats per image)", "Accuracy (%)"), strict=True
    ):
        for number, result in enumerate(findings.of(SETTING).values()):
            history, best = result["history"], best_epoch(result)
            at = np.arange(1, len(history["lr"]) + 1)
            named = number == 0
            for part, color, dash, shift in (("train", BLUE, "-", 0.5), ("valid", VERMILLION, "--", 0.0)):
                axes.plot(
                    at - shift, scale * np.array(history[f"{part}_{what}"]), color=color, linestyle=dash, linewidth=1.4,
                    label={"train": "train", "valid": "images kept apart"}[part] if named else None,
                )  # fmt: skip
            axes.plot(
                best, scale * history[f"valid_{what}"][best - 1], marker="*", markersize=13, color=VERMILLION,
                markeredgecolor="white", linestyle="none", zorder=5, label="early stopping's choice" if named else None,
            )  # fmt: skip
            axes.axvline(best, color=GREY, linewidth=0.8, linestyle=":")
        frame(axes, "Epoch", label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if what == "loss":
            axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=9)
    return figure
