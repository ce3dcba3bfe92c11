"""Training times: measured apart from the runs, on a machine that does nothing else, for some seconds each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import drawing
import reported
import store
from claims import FAILS, HOLDS, OPEN, Check, Verdict
from job import ENGINES, FASTSCRATCH, TORCH
from matplotlib.figure import Figure
from significance import paired
from tabular import Table

from fastscratch.config import TrainConfig

if TYPE_CHECKING:
    from design import Setting
    from findings import Findings

FIELDS = (
    "model", "without", "precision", "batch_size", "augment", "loss", "label_smoothing", "optimizer", "momentum",
    "nesterov", "weight_decay",
)  # fmt: skip
"""Of a config, what the time of a step depends on."""

TRAINING_IMAGES = 50_000


def work_of(config: TrainConfig) -> dict[str, Any]:
    """Return what the time of a step depends on."""
    values = config.to_mapping()  # as JSON gives it back
    return {name: values[name] for name in FIELDS}


def file_of(results: Path) -> Path:
    """Return the file that `timing.py` writes."""
    return results / "timing.json"


def of(findings: Findings) -> store.Result:
    """Return what `timing.py` wrote for the findings' images.

    Raises
    ------
    NotRun
        If times were not measured yet, or on other images.
    """
    path = file_of(findings.folder)
    if not path.exists():
        raise store.NotRun("times have not been measured")
    timing = store.read(path)
    scope = findings.plan.scope
    if (timing["data"], timing["share"]) != (scope.data, scope.share):
        raise store.NotRun(f"times have been measured on {timing['data']}, share {timing['share']:g}")
    return timing


def minutes(timing: Mapping[str, Any], config: TrainConfig, engine: str) -> float | None:
    """Return how long a run takes on all its training images, from the time of its steps; None if not measured."""
    found = _rounds(timing, config, engine)
    return median(found) if found else None


def _rounds(timing: Mapping[str, Any], config: TrainConfig, engine: str) -> list[float]:
    """Return the minutes of a run by each round of the measurement; none if it was not measured.

    Parameters
    ----------
    timing : mapping
        What `timing.py` wrote.
    config : TrainConfig
        Of the run.
    engine : str
    """
    work = work_of(config)
    for row in timing["rows"]:
        if row["engine"] == engine and row["work"] == work:
            images = TRAINING_IMAGES * config.subsample * (1 - config.validation)
            steps = math.ceil(images / config.batch_size) * config.epochs
            return [steps * seconds / 60 for seconds in row["seconds_per_step"]]
    return []


def text(findings: Findings, setting: Setting, engine: str) -> str:
    """Return the minutes of a setting's run; where PyTorch does not train it, nothing."""
    if not (setting.seeds if engine == FASTSCRATCH else setting.twins):
        return "-"
    try:
        found = minutes(of(findings), findings.experiment.config(setting), engine)
    except store.NotRun:
        found = None
    return "not measured yet" if found is None else f"{found:.1f}"


def takes_at_most(setting: str, limit: float) -> Check:
    """Return a check that a setting's run takes no more than so many minutes on fastscratch with two threads."""

    def check(findings: Findings) -> Verdict:
        timing = of(findings)
        found = minutes(timing, findings.experiment.config(findings.experiment.setting(setting)), FASTSCRATCH)
        if found is None:
            raise store.NotRun("times have not been measured")
        made = timing["made"]
        if made["threads"] != 2:
            raise store.NotRun(f"times have been measured with {made['threads']} threads, not 2")
        evidence = f"{found:.1f} minutes; {made['cpu']}, {made['threads']} threads, from steps of some seconds"
        return Verdict(HOLDS if found <= limit else FAILS, evidence)

    return check


def by_batch(findings: Findings) -> dict[str, dict[int, float]]:
    """Return the seconds of the report's ten epochs, by engine and batch size.

    Raises
    ------
    NotRun
        If they were not measured yet.
    """
    timing = of(findings)
    seconds: dict[str, dict[int, float]] = {engine: {} for engine in ENGINES}
    for engine in ENGINES:
        for size in reported.SECONDS:
            config = findings.experiment.config(findings.experiment.setting(str(size)))
            found = minutes(timing, config, engine)
            if found is None:
                raise store.NotRun(f"times of batch {size} have not been measured for {engine}")
            seconds[engine][size] = 60 * found
    return seconds


def table(findings: Findings) -> Table:
    """Return the report's training times beside ours and PyTorch's."""
    try:
        seconds = by_batch(findings)
        made = of(findings)["made"]
        note = (
            f"Ten epochs of {TRAINING_IMAGES:,} images, extrapolated from steps of some seconds; {made['cpu']}, "
            f"{made['threads']} threads, PyTorch {made['versions']['torch']} with its fused Adam and images stored "
            "channels first. Evaluation is not in it."
        )
    except store.NotRun:
        seconds, note = {engine: {} for engine in ENGINES}, ""
    rows = []
    for size, said in reported.SECONDS.items():
        times = [seconds[engine].get(size) for engine in (FASTSCRATCH, TORCH)]
        rows.append([str(size), f"{said} s", *("not measured yet" if one is None else f"{one:.0f} s" for one in times)])
    return Table("Training time", ("batch size", "report", "fastscratch", "PyTorch"), rows, note)


def check(findings: Findings) -> Verdict:
    """Decide whether an epoch takes the less time the larger the batches are, on both engines, round by round."""
    seconds, timing = by_batch(findings), of(findings)
    signs = set()
    for engine, smaller in itertools.product(ENGINES, (4, 8, 16)):
        settings = (findings.experiment.setting(str(size)) for size in (smaller, 2 * smaller))
        configs = map(findings.experiment.config, settings)
        more, less = (dict(enumerate(_rounds(timing, config, engine))) for config in configs)
        signs.add(paired(more, less).sign)
    texts = [
        f"{'PyTorch' if engine == TORCH else engine} {times[4]:.0f} s at batch 4, {times[32]:.0f} s at 32"
        for engine, times in seconds.items()
    ]
    said = f"the report's own table has {reported.SECONDS[4]} s and {reported.SECONDS[32]} s"
    word = FAILS if -1 in signs else OPEN if 0 in signs else HOLDS
    return Verdict(word, f"{'; '.join(texts)}, medians of rounds that are compared one by one; {said}")


def draw(findings: Findings) -> Figure:
    """Draw the seconds of ten epochs over the batch size."""
    seconds = by_batch(findings)
    named: dict[str, Mapping[int, float]] = {
        "report": reported.SECONDS,
        "fastscratch": seconds[FASTSCRATCH],
        "PyTorch": seconds[TORCH],
    }
    series = {label: (sorted(times), [times[size] for size in sorted(times)]) for label, times in named.items()}
    figure = drawing.lines(series, "Batch size", "Seconds of ten epochs", log="x")
    figure.axes[0].set_ylim(bottom=0)
    return figure
