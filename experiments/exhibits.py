"""Tables of results, for every page that shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import measures
import reported
import timings
from job import FASTSCRATCH, TORCH
from measures import ALL_TEST_ACCURACY, TEST_ACCURACY, TRAIN_ACCURACY, Measure
from store import Result
from tabular import Table

if TYPE_CHECKING:
    from findings import Findings

MISSING = "not run yet"
NOTHING = "-"


def cell(findings: Findings, measure: Measure, setting: str, engine: str = FASTSCRATCH, most: int = 0) -> str:
    """Return mean and spread of a measure, and its seeds where others have `most`; how it is missing, if it is."""
    results = findings.by_seed(setting, engine)
    if results:
        fewer = f" ({len(results)})" if len(results) < most else ""
        return measure.text([measure.of(result) for result in results.values()]) + fewer
    wanted = findings.experiment.setting(setting)
    return MISSING if findings.plan.scope.seeds_of(wanted, engine) else NOTHING


def overview(*names: str) -> Callable[[Findings], Table]:
    """Return what makes the table of some settings: the report's accuracy, ours, PyTorch's, and the time of both."""

    def make(findings: Findings) -> Table:
        rows = []
        ours, theirs = (_most(findings, names, engine) for engine in (FASTSCRATCH, TORCH))
        for name in names:
            setting = findings.experiment.setting(name)
            report = reported.accuracy(findings.experiment.name, name)
            rows.append([
                setting.label,
                " / ".join(f"{value:.1f}" for value in report) + " %" if report else NOTHING,
                cell(findings, TRAIN_ACCURACY, name, most=ours),
                cell(findings, TEST_ACCURACY, name, most=ours),
                cell(findings, TRAIN_ACCURACY, name, TORCH, theirs),
                cell(findings, TEST_ACCURACY, name, TORCH, theirs),
                timings.text(findings, setting, FASTSCRATCH),
                timings.text(findings, setting, TORCH),
            ])  # fmt: skip
        head = (
            "setting", "report, train / validation", "train", "test", "PyTorch, train", "PyTorch, test",
            "minutes", "PyTorch, minutes",
        )  # fmt: skip
        note = _note(findings, names, twins=True) + _note_on_best(findings, names) + _note_on_means(findings, names)
        return Table("Accuracy and time", head, rows, note)

    return make


def classes(name: str, title: str) -> Callable[[Findings], Table]:
    """Return what makes the table of a setting by classes: the report's accuracy, ours, PyTorch's."""

    def make(findings: Findings) -> Table:
        report = reported.class_accuracy(findings.experiment.name, name) or {}
        known = next((list(r["final"]["train"]["class_accuracy"]) for r in findings.by_seed(name).values()), None)
        rows = []
        for one in known or list(report):
            texts = [f"{value:.1f} %" for value in report[one]] if one in report else [NOTHING] * 2
            parts = [_class_measure(part, one) for part in ("train", "valid")]
            rows.append([one, *_beside(findings, name, texts, parts)])
        total = reported.accuracy(findings.experiment.name, name)
        texts = [f"{value:.1f} %" for value in total] if total else [NOTHING] * 2
        rows.append(["**all**", *_beside(findings, name, texts, [TRAIN_ACCURACY, TEST_ACCURACY])])
        head = ("class", "train, report", "train", "train, PyTorch", "test, report", "test", "test, PyTorch")
        return Table(title, head, rows, _note(findings, [name], twins=True) + _note_on_means(findings, [name]))

    return make


def _beside(findings: Findings, name: str, report: Sequence[str], parts: Sequence[Measure]) -> list[str]:
    """Return for the training and the test images the report's number, ours, PyTorch's."""
    engines = (FASTSCRATCH, TORCH)
    pairs = zip(report, parts, strict=True)
    return [text for said, part in pairs for text in (said, *(cell(findings, part, name, one) for one in engines))]


def _class_measure(part: str, name: str) -> Measure:
    return Measure(name, lambda result: float(result["final"][part]["class_accuracy"][name]), percent=True)


def of_measures(title: str, names: Sequence[str], wanted: Sequence[Measure]) -> Callable[[Findings], Table]:
    """Return what makes a table of settings by measures, on fastscratch."""

    def make(findings: Findings) -> Table:
        most = _most(findings, names, FASTSCRATCH)
        rows = [
            [findings.experiment.setting(name).label, *(cell(findings, measure, name, most=most) for measure in wanted)]
            for name in names
        ]
        tested = measures.whole_test if ALL_TEST_ACCURACY in wanted else measures.tested
        head = ("setting", *(measure.label for measure in wanted))
        return Table(title, head, rows, _note(findings, names, tested))

    return make


def _note(
    findings: Findings,
    names: Sequence[str],
    tested: Callable[[Result], dict[str, Any]] = measures.tested,
    twins: bool = False,
) -> str:
    """Return how many seeds stand behind the numbers, with `twins` behind PyTorch's too, and on which images."""
    runs = [result for name in names for result in findings.by_seed(name).values()]
    if not runs:
        return ""
    ours = _seeds(findings, names, FASTSCRATCH)
    spread = "Of" if ours == "1 seed" else "Mean ± standard deviation of"
    theirs = _seeds(findings, names, TORCH) if twins else ""
    beside = f"; PyTorch's of {theirs}" if theirs else ""
    return f"{spread} {ours}{beside}. {images(runs, tested)}"


def _counts(findings: Findings, names: Sequence[str], engine: str) -> list[int]:
    """Return how many seeds settings have been run with, those that have been run, each number once."""
    return sorted({len(found) for name in names if (found := findings.by_seed(name, engine))})


def _most(findings: Findings, names: Sequence[str], engine: str) -> int:
    return max(_counts(findings, names, engine), default=0)


def _seeds(findings: Findings, names: Sequence[str], engine: str) -> str:
    *fewer, most = _counts(findings, names, engine) or [0]
    text = f"{most} seed{'s' if most > 1 else ''}" if most else ""
    return text + (", fewer where a number in brackets says so" if fewer else "")


def _note_on_best(findings: Findings, names: Sequence[str]) -> str:
    """Return of which epoch the accuracies are, where the networks tested are not those that training ended with."""
    chosen = {result["best"]["epoch"] for name in names for result in findings.by_seed(name).values() if result["best"]}
    if not chosen:
        return ""
    epochs = " or ".join(map(str, sorted(chosen)))
    return (
        f" Where images were kept apart, the network tested is that of epoch {epochs}, the best on them; the accuracy "
        "on the training images is that of the last epoch."
    )


def _note_on_means(findings: Findings, names: Sequence[str]) -> str:
    """Return where the report's totals come from, if it has some and we have something beside them."""
    told = any(reported.accuracy(findings.experiment.name, name) for name in names if findings.by_seed(name))
    return " The report has accuracies of classes alone; its totals here are their means." if told else ""


def images(
    runs: Sequence[Result], tested: Callable[[Result], dict[str, Any]] = measures.tested
) -> str:
    """Return on how many images of what some runs were trained and tested, with the fingerprints of the test images."""
    data = " and ".join(sorted({run["config"]["data"] for run in runs}))
    trained = " or ".join(f"{count:,}" for count in sorted({run["final"]["train"]["images"] for run in runs}))
    prints: dict[int, set[str]] = {}
    for run in runs:
        prints.setdefault(tested(run)["images"], set()).add(tested(run)["fingerprint"])
    counts = " or ".join(
        f"{count:,} (" + (f"`{min(prints[count])}`" if len(prints[count]) == 1 else "others for each seed") + ")"
        for count in sorted(prints)
    )
    return f"{data}: trained on {trained} images, tested on {counts}."
