"""Has a commit made training slower? Both commits are built and measured in one go.

    python benchmarks/compare.py --base main~5
    make bench-compare BASE=main~5

Each commit gets a worktree and, for the Cython kernels, its own build. Three processes do the same steps in turn: the
base, the base once more, and the other commit; several times they are started anew. What the base loses against itself
is noise; a slow-down counts where it is beyond that. "Slower from" is the least ratio that would have counted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from console import BACKENDS, chosen, chosen_one, main, table, tell, thread_count
from contest import (
    QUICK,
    TOLERANCES,
    Contestant,
    EngineError,
    Pace,
    Process,
    compete_anew,
    fastscratch_contestant,
)
from networks import STEPS
from record import section, settings_of

ROOT = Path(__file__).resolve().parents[1]
RESAMPLES = 4000
CONFIDENCE = 0.95
"""Of all rows together: each of them has so much more that one by luck in twenty comparisons is called slower."""
SLOWER, FAILED = 1, 3
"""Exit codes; 2 is that of a mistake."""
STARTS = 14
"""How often the processes of a row are started anew: `test_compare.py` simulates what is seen by so many."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Compare the training speed of two commits.

    Exit with 1 where the second is slower beyond noise, with 2 where an option is wrong or a commit cannot be built,
    and with 3 where nothing is slower but a measurement failed.

    Attributes
    ----------
    base : str
        Commit to compare with.
    head : str
        Commit that is examined.
    rows : str
        Which steps, by comma: baseline-4, -8, -16, -32, -64, -128, vgg-32, vgg-32-fast.
    backend : str
        Whose kernels: cython, numba or numpy.
    threads : int or None
        None takes every core this process may use.
    rounds : int
        Rounds of each row, of all starts together, one of each at least; medians of a start are compared.
    seconds : float
        What a round of the base should take.
    out : str
        Results file; by default benchmarks/results/CPU-DATE-COMMIT.json.
    quick : bool
        Only see that it works.
    """

    base: str
    head: str = "HEAD"
    rows: str = "baseline-4,baseline-32,baseline-128,vgg-32"
    backend: str = "cython"
    threads: int | None = None
    rounds: int = STARTS
    seconds: float = 0.3
    out: str = ""
    quick: bool = False


@dataclasses.dataclass(frozen=True)
class Interval:
    """A median, and the interval that holds it with `CONFIDENCE`."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def bootstrap(starts: Sequence[Any] | np.ndarray, seed: int = 0, confidence: float = CONFIDENCE) -> Interval:
    """Return the median of ratios and, from resampled medians, its interval.

    Parameters
    ----------
    starts : sequence of float, or of sequences of float
        A ratio, or those of all rounds, for each time that the processes were started. The rounds of a start count as
        their median: what lies between two processes, such as where their arrays lie, is not seen by rounds.
    seed : int
        Of the drawing.
    confidence : float
        Of the interval.
    """
    ratios = np.array([np.median(one) for one in starts])
    drawn = np.random.default_rng(seed).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    low, high = np.quantile(np.median(ratios[drawn], axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(np.median(ratios)), float(low), float(high))


def is_slower(change: Interval, noise: Interval) -> bool:
    """Return whether the whole interval of the change lies above 1 and above what the base does against itself.

    Of the latter the median counts: how far starts lie apart is in the interval of the change already.
    """
    return change.low > _beyond(noise)


def seen_from(change: Interval, noise: Interval) -> float:
    """Return the least median that would have been called slower, had its interval been as wide, relative to it."""
    return _beyond(noise) * change.median / change.low


def _beyond(noise: Interval) -> float:
    return max(noise.median, 1 / noise.median, 1.0)


def is_faster(change: Interval, noise: Interval) -> bool:
    """Return the same the other way round."""
    return is_slower(Interval(1 / change.median, 1 / change.high, 1 / change.low), noise)


def run(options: Options) -> int:
    """Build, measure, print and write."""
    names = chosen("rows", options.rows, tuple(STEPS))
    backend = chosen_one("backend", options.backend, BACKENDS)
    threads = thread_count(options.threads)
    pace = QUICK if options.quick else Pace(options.rounds, options.seconds)
    commits = {"base": _commit(options.base), "head": _commit(options.head)}
    confidence = 1 - (1 - CONFIDENCE) / len(names)
    slower = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        trees = {who: stack.enter_context(_worktree(commit, folder / who)) for who, commit in commits.items()}
        if backend == "cython":
            for who, tree in trees.items():
                _build(commits[who], tree)
        settings = settings_of(options) | {"threads": threads, "commits": commits}
        with section("compare", settings, options.out) as results:
            lines = []
            for name in names:
                try:
                    change, noise, measured = _measure(name, backend, trees, threads, pace, confidence)
                except EngineError as error:
                    results.fail(name, error)
                    continue
                if is_slower(change, noise):
                    slower.append(name)
                verdict = "SLOWER" if name in slower else "faster" if is_faster(change, noise) else "as fast"
                least = seen_from(change, noise)
                row = {"change": dataclasses.asdict(change), "noise": dataclasses.asdict(noise)}
                results.add({"step": name} | row | {"seen_from": least, "verdict": verdict, "seconds": measured})
                lines.append((name, change, noise, f"{least:.3f}", verdict))
            print(f"time of {commits['head'][:9]} / time of {commits['base'][:9]}, {backend}, threads: {threads}")
            table(("step", "head / base", "base / base", "slower from", ""), lines)
    if slower and not options.quick:  # whose times say nothing
        return SLOWER
    return FAILED if results.failures else 0


def _measure(
    name: str, backend: str, trees: dict[str, Path], threads: int, pace: Pace, confidence: float
) -> tuple[Interval, Interval, list[dict[str, list[float]]]]:
    step = STEPS[name]

    def contestant(label: str, tree: Path) -> Contestant:
        path = os.pathsep.join([str(tree), str(tree / "kernels")])
        plain = fastscratch_contestant(backend, step.precision)
        return dataclasses.replace(plain, name=label, variables={"PYTHONPATH": path})

    sides = {"base": trees["base"], "again": trees["base"], "head": trees["head"]}
    contestants = [contestant(label, tree) for label, tree in sides.items()]
    task = {"kind": "training", "network": step.network, "batch": step.batch, "count": 2048}
    starts = 1 if pace == QUICK else STARTS
    pace = dataclasses.replace(pace, rounds=math.ceil(pace.rounds / starts))
    measured: list[dict[str, list[float]]] = []
    tell(f"{name}, {starts} starts")
    tolerance = TOLERANCES[step.precision]

    def examine(process: Process) -> None:
        _check_tree(process, sides[process.contestant.name])

    found = compete_anew(contestants, threads, task, pace, starts, tolerance=tolerance, examine=examine)
    for turn, start in enumerate(found, start=1):
        tell(f"{name}: {turn} of {starts} done")
        measured.append({label: one.seconds for label, one in start.items()})
    change, noise = (
        bootstrap([np.divide(one[side], one["base"]) for one in measured], confidence=confidence)
        for side in ("head", "again")
    )
    return change, noise, measured


def _check_tree(process: Process, tree: Path) -> None:
    """Raise EngineError unless a process has its commit's code."""
    file = Path(process.ask(do="where")["file"])
    if not file.resolve().is_relative_to(tree.resolve()):
        raise EngineError(f"{process.contestant.name} imported {file}, which is not in {tree}")


def _commit(name: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(f"there is no commit {name!r}")
    return done.stdout.strip()


@contextlib.contextmanager
def _worktree(commit: str, folder: Path) -> Iterator[Path]:
    """Check out a commit; the worktree goes in the end."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=False)


def _build(commit: str, tree: Path) -> None:
    """Build a commit's Cython kernels in its worktree."""
    tell(f"building {commit[:9]}")
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=tree, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ValueError(f"commit {commit[:9]} could not be built: {last}")


if __name__ == "__main__":
    sys.exit(main(Options, run))
