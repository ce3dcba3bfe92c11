"""The best learning rate, by images that are kept apart from the training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claims import HOLDS, OPEN, Verdict
from matplotlib.figure import Figure
from store import NotRun, Result
from tabular import Table

from fastscratch.report.figures import BLUE, VERMILLION, blank, frame

if TYPE_CHECKING:
    from findings import Findings

RATES = ("1e-4", "3e-4", "1e-3", "3e-3", "1e-2")


def results(findings: Findings) -> dict[str, Result]:
    """Return the runs that are there, by rate."""
    found = {rate: findings.by_seed(f"search-{rate}") for rate in RATES}
    return {rate: next(iter(seeds.values())) for rate, seeds in found.items() if seeds}


def best(found: dict[str, Result]) -> str:
    """Return the rate with the highest accuracy on the images kept apart, after the last epoch."""
    return max(found, key=lambda rate: found[rate]["final"]["valid"]["accuracy"])


def table(findings: Findings) -> Table:
    """Return accuracy and loss of each rate on the images kept apart."""
    found = results(findings)
    rows = []
    for rate in RATES:
        if rate not in found:
            rows.append([rate, "not run yet", "-", "-"])
            continue
        final = found[rate]["final"]
        mark = " (best)" if rate == best(found) else ""
        rows.append([
            rate + mark,
            f"{100 * final['train']['accuracy']:.1f} %",
            f"{100 * final['valid']['accuracy']:.1f} %",
            f"{final['valid']['loss']:.3f}",
        ])  # fmt: skip
    note = "After the last epoch, one seed; the images kept apart are a tenth of the training images."
    return Table("The search", ("learning rate", "training accuracy", "accuracy apart", "loss apart"), rows, note)


def check(findings: Findings) -> Verdict:
    """Decide whether the best rate lies between the smallest and the largest that were tried."""
    found = results(findings)
    if len(found) < len(RATES):
        raise NotRun("not all rates of the search have been run")
    winner = best(found)
    return Verdict(
        OPEN if winner in (RATES[0], RATES[-1]) else HOLDS,
        f"of {', '.join(RATES)} the best on images kept apart is {winner} "
        f"({100 * found[winner]['final']['valid']['accuracy']:.1f} %)",
    )


def draw(findings: Findings) -> Figure:
    """Draw loss and accuracy on the images kept apart, over the rate."""
    found = results(findings)
    if not found:
        raise NotRun("no rate of the search has been run")
    rates = [float(rate) for rate in found]
    figure = blank(9.0, 3.8)
    for axes, what, scale, color, mark in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), (1, 100), (BLUE, VERMILLION), ("o", "s"), strict=True
    ):
        values = [scale * result["final"]["valid"][what] for result in found.values()]
        axes.plot(rates, values, color=color, marker=mark, linewidth=1.6)
        axes.set_xscale("log")
        frame(axes, "Learning rate", "Loss (nats per image)" if what == "loss" else "Accuracy (%)")
    return figure
