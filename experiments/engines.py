"""How the final accuracies of the two engines compare, over all settings that both have trained."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from claims import FAILS, HOLDS, OPEN, Verdict
from job import FASTSCRATCH, TORCH
from matplotlib.figure import Figure
from measures import TEST_ACCURACY
from significance import LEVEL, combined_p, mean_and_sd, paired, two_sided_p
from store import NotRun, Result
from tabular import Table

from fastscratch.report.figures import BLUE, GREY, blank, frame

if TYPE_CHECKING:
    from design import Experiment, Setting
    from findings import Findings


@dataclass(frozen=True)
class Pair:
    """A setting's test accuracies on both engines, by seed.

    Attributes
    ----------
    name : str
        Of experiment and setting.
    here, there : dict of int to float
        Of fastscratch and of PyTorch.
    first : float
        Largest difference of a loss over the first batches, of all seeds that both have.
    weights : tuple of str
        Digests of fastscratch's final weights, of the same seeds.
    """

    name: str
    here: dict[int, float]
    there: dict[int, float]
    first: float
    weights: tuple[str, ...]

    @property
    def both(self) -> list[int]:
        """Seeds that both engines have."""
        return sorted(self.here.keys() & self.there.keys())

    @property
    def engines_apart(self) -> float:
        """Largest difference of the engines with the same seed."""
        return max(abs(self.here[seed] - self.there[seed]) for seed in self.both)

    @property
    def p(self) -> float | None:
        """Probability of engines this far apart if they were two seeds; None with less than two seeds, or all equal.

        With the seeds' standard deviation s, two of them differ by √2 s times Student's t. Of several differences the
        least likely counts, as often as there are differences (Bonferroni).
        """
        _, sd = mean_and_sd(list(self.here.values()))
        if not sd:
            return None
        t = self.engines_apart / (math.sqrt(2) * sd)
        return min(1.0, len(self.both) * two_sided_p(t, len(self.here) - 1))

    @property
    def seeds_apart(self) -> float:
        """Largest difference of two seeds on fastscratch."""
        return max(self.here.values()) - min(self.here.values())


def planned(findings: Findings) -> Iterator[tuple[Experiment, Setting]]:
    """Yield each setting that both engines are to train, once, whatever experiments share it."""
    seen = set()
    for experiment in findings.plan.experiments:
        for setting in experiment.settings:
            run = findings.plan.find(experiment, setting, FASTSCRATCH, 0).name
            if setting.measure is None and setting.twins and run not in seen:
                seen.add(run)
                yield experiment, setting


def pairs(findings: Findings) -> Iterator[Pair]:
    """Yield each setting that both engines have trained."""
    for experiment, setting in planned(findings):
        theirs = type(findings)(experiment, findings.plan, findings.folder)
        here, there = theirs.by_seed(setting.name), theirs.by_seed(setting.name, TORCH)
        if here.keys() & there.keys():
            yield _pair(f"{experiment.title}: {setting.label}", here, there)


def _pair(name: str, here: dict[int, Result], there: dict[int, Result]) -> Pair:
    distances = [
        abs(one - other)
        for seed in here.keys() & there.keys()
        for one, other in zip(here[seed]["batches"]["first"], there[seed]["batches"]["first"], strict=True)
    ]
    accuracies = [{seed: TEST_ACCURACY.of(run) for seed, run in runs.items()} for runs in (here, there)]
    weights = tuple(here[seed]["weights"] for seed in sorted(here.keys() & there.keys()))
    return Pair(name, accuracies[0], accuracies[1], max(distances), weights)


def table(findings: Findings) -> Table:
    """Return a row for each setting that both engines have trained."""
    rows = []
    for pair in pairs(findings):
        rows.append([
            pair.name,
            str(len(pair.both)),
            TEST_ACCURACY.text(list(pair.here.values())),
            TEST_ACCURACY.text(list(pair.there.values())),
            f"{100 * pair.engines_apart:.1f}",
            f"{100 * pair.seeds_apart:.1f}",
            "-" if pair.p is None else f"{pair.p:.2g}",
            f"{pair.first:.1e}",
        ])  # fmt: skip
    head = (
        "setting", "seeds of both", "test accuracy", "PyTorch", "engines apart, points", "seeds apart, points", "p",
        "first losses apart",
    )  # fmt: skip
    note = (
        "Engines apart: largest difference of the two with the same seed. Seeds apart: largest difference of two seeds "
        "of fastscratch. p: the probability that two seeds differ as much as the engines do, by the seeds' standard "
        "deviation (Student's t); it is a little too large, for the seed that is compared is one of these. First "
        "losses: of the first hundred batches, in nats."
    )
    return Table("Final accuracies", head, rows or [["not run yet", *["-"] * 7]], note)


def draw(findings: Findings) -> Figure:
    """Draw each setting's accuracy on PyTorch over that on fastscratch, of the seeds that both have."""
    found = list(pairs(findings))
    if not found:
        raise NotRun("no setting has been run on both engines")
    figure = blank(5.6, 5.4)
    axes = figure.subplots()
    for pair in found:
        x, y = (100 * np.array([side[seed] for seed in pair.both]) for side in (pair.here, pair.there))
        spans = [[[values.mean() - values.min()], [values.max() - values.mean()]] for values in (x, y)]
        axes.errorbar(
            x.mean(), y.mean(), xerr=spans[0], yerr=spans[1], color=BLUE, ecolor=GREY, elinewidth=1.2, marker="o",
            markeredgecolor="white",
        )  # fmt: skip
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], color=GREY, linewidth=0.8, linestyle="--", label="the same", zorder=0)
    frame(axes, "Test accuracy, fastscratch (%)", "Test accuracy, PyTorch (%)")
    axes.legend(frameon=False, fontsize=9)
    return figure


def check(findings: Findings) -> Verdict:
    """Decide whether the engines lie no further apart than two seeds do, and neither is the better one.

    That nothing speaks against it is a reason to say so only where every planned setting has been looked at.
    """
    settings = [pair for pair in pairs(findings) if pair.p is not None]
    if not settings:
        raise NotRun("no setting has been run with several seeds and on both engines")
    # Settings that do not differ on fastscratch (two losses that are the same for one-hot targets) are one finding.
    found = list({pair.weights: pair for pair in settings}.values())
    within = sum(pair.engines_apart <= pair.seeds_apart for pair in found)
    together = combined_p([pair.p for pair in found if pair.p is not None])
    here, there = (
        {number: fmean(accuracies[seed] for seed in pair.both) for number, (pair, accuracies) in enumerate(side)}
        for side in ([(pair, pair.here) for pair in found], [(pair, pair.there) for pair in found])
    )
    difference = paired(here, there)
    p = "" if difference.p is None else f", p = {difference.p:.2g}"
    left = sum(1 for _ in planned(findings)) - len(settings)
    return Verdict(
        FAILS if difference.sign or together < LEVEL else OPEN if left else HOLDS,
        f"such differences, or larger, have p = {together:.2g} between seeds ({len(found)} settings; in {within} of "
        f"them within the range of fastscratch's seeds); fastscratch minus PyTorch, mean of all settings: "
        f"{TEST_ACCURACY.difference_text(difference.mean, difference.sd)}{p}"
        + (f"; {left} settings are left" if left else ""),
    )
