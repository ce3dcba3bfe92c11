"""Seconds of training until the test accuracy is reached, on CIFAR-10, for every engine and seed.

    python benchmarks/time_to_accuracy.py

Both engines start from the same weights and take the same batches of the same loader; evaluation does not count, nor
does what is compiled at a first step. A run ends with the epoch that reaches the highest of the accuracies. What was
stopped goes on behind the seeds that it has, with PyTorch in the layout that they have.

Augmentation and learning rate are the best of nine trials, one seed each, on the last 5,000 training images, with the
Cython backend trained on the others. That there are about 24 epochs, and that an earlier recipe was given up, is known
from test images: these are times to an accuracy, not a claim of how accurate the network can be.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import figures
from console import chosen_backends, chosen_one, main, need, table, tell, thread_count
from contest import (
    QUICK,
    Contestant,
    EngineError,
    Pace,
    faster_torch,
    fastscratch_contestant,
    started,
    torch_contestants,
)
from record import section, settings_of

from fastscratch import data
from fastscratch.report.figures import save

ALIKE = {"baseline": "baseline", "improved": "vgg"}
"""Network -> one of `networks.NETWORKS` that has such layers, to choose PyTorch's layout by."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Train each engine from several seeds, and tell after how many seconds each accuracy is reached.

    Attributes
    ----------
    backends : str
        Which backends, by comma: cython, numba, numpy.
    seeds : int
        Runs of each engine.
    targets : str
        Test accuracies in percent, by comma.
    model : str
        Network: baseline or improved.
    data : str
        Data set, as `fastscratch train` takes it.
    augment : str
        Augmentation, as `fastscratch train` takes it.
    subsample : int
        Use every so many-th image only.
    epochs : int
        Epochs of each run at most; the learning rate falls along half a cosine over so many.
    batch : int
        Images a step.
    lr : float
        Learning rate at the first step.
    threads : int or None
        None takes every core this process may use.
    out : str
        Results file; by default benchmarks/results/CPU-DATE-COMMIT.json.
    quick : bool
        Only see that it works: one seed, one epoch, few images.
    """

    backends: str = "cython,numba"
    seeds: int = 5
    targets: str = "70,75"
    model: str = "baseline"
    data: str = "cifar10"
    augment: str = "flip-shift"
    subsample: int = 1
    epochs: int = 24
    batch: int = 32
    lr: float = 7e-4
    threads: int | None = None
    out: str = ""
    quick: bool = False


def run(options: Options) -> int:
    """Train, print, draw and write."""
    backends = chosen_backends(options.backends)
    targets = _shares(options.targets)
    threads = thread_count(options.threads)
    if options.quick:
        options = dataclasses.replace(options, seeds=1, epochs=1, subsample=500)
    for name in ("seeds", "subsample", "epochs", "batch"):
        if getattr(options, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(options, name)}")
    chosen_one("augment", options.augment, tuple(data.AUGMENTATIONS))
    alike = ALIKE[chosen_one("model", options.model, tuple(ALIKE))]
    step = {"kind": "training", "network": alike, "batch": options.batch, "count": 4 * options.batch}
    pace = QUICK if options.quick else Pace()
    data.load(options.data)  # what is wrong with it shows before anything is measured
    need("torch")
    what = {"model": options.model, "dataset": options.data} | {
        name: getattr(options, name) for name in ("augment", "subsample", "epochs", "batch", "lr")
    }
    with section("time_to_accuracy", settings_of(options) | {"threads": threads}, options.out) as results:
        rows = results.take_up()
        torch = torch_of(rows) or faster_torch(threads, step, pace)
        contestants = [torch, *map(fastscratch_contestant, backends)]
        done = {(row["engine"], row["seed"]) for row in rows}
        for seed in range(options.seeds):  # engines in turn, so that a drift of the machine meets all
            for contestant in contestants:
                if (contestant.name, seed) in done:
                    continue
                tell(f"seed {seed}, {contestant.name}")
                try:
                    with started([contestant], threads) as [process]:
                        history = process.ask(do="learn", seed=seed, until=max(targets), **what)["history"]
                except EngineError as error:
                    results.fail(f"seed {seed}", error)
                    continue
                reached = {f"{target:g}": seconds_to(history, target) for target in targets}
                results.add({"engine": contestant.name, "seed": seed, "history": history, "reached": reached})
        names = [contestant.name for contestant in contestants]
        heads = ("engine", *(f"seconds to {100 * target:g} %" for target in targets), "epochs", "best accuracy")
        table(heads, [line for name in names if (line := _line(name, rows, targets))])
        picture = results.path.with_name(f"{results.path.stem}-time-to-accuracy.png")
        save(figures.accuracy_curves(rows, targets), picture)
        print(f"\nfigure: {picture}")
    return int(bool(results.failures))


def torch_of(rows: Sequence[dict[str, Any]]) -> Contestant | None:
    """Return PyTorch in the layout that it has in some rows, so that all seeds have one; None where it is in none."""
    names = {row["engine"] for row in rows}
    return next((one for one in torch_contestants() if one.name in names), None)


def seconds_to(history: Sequence[dict[str, float]], target: float) -> float | None:
    """Return the seconds after the first epoch whose accuracy is at least `target`; None where none is."""
    return next((entry["seconds"] for entry in history if entry["accuracy"] >= target), None)


def spread(values: Sequence[float | None]) -> str:
    """Return mean and standard deviation; how many got there, where not all did."""
    there = [value for value in values if value is not None]
    if not there:
        return "not reached"
    text = f"{statistics.fmean(there):.1f}"
    text += f" ± {statistics.stdev(there):.1f}" if len(there) > 1 else ""
    return text if len(there) == len(values) else f"{text} ({len(there)} of {len(values)})"


def _line(name: str, rows: Sequence[dict[str, Any]], targets: Sequence[float]) -> tuple[str, ...] | None:
    mine = [row for row in rows if row["engine"] == name]
    if not mine:
        return None
    best = [max(entry["accuracy"] for entry in row["history"]) for row in mine]
    times = (spread([row["reached"][f"{target:g}"] for row in mine]) for target in targets)
    epochs = statistics.fmean(len(row["history"]) for row in mine)
    return (name, *times, f"{epochs:.1f}", f"{100 * statistics.fmean(best):.1f} %")


def _shares(words: str) -> list[float]:
    try:
        shares = [float(word) / 100 for word in words.split(",")]
    except ValueError:
        shares = [0.0]
    if not all(0 < share <= 1 for share in shares):
        raise ValueError(f"targets must be percentages, by comma, got {words!r}")
    return shares


if __name__ == "__main__":
    sys.exit(main(Options, run))
