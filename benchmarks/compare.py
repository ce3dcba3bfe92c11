"""Has a commit made training slower? Both commits are built and measured in one go.

    python benchmarks/compare.py --base main~5
    make bench-compare BASE=main~5

Each commit gets a worktree and its own build. Three processes do the same steps in turn: the base, the base once more,
and the other commit. What the base loses against itself is noise; a slow-down counts where it is beyond that.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from console import BACKENDS, chosen, chosen_one, main, table, tell, thread_count
from contest import QUICK, Contestant, Pace, compete, fastscratch_contestant, started
from networks import STEPS
from record import section, settings_of

ROOT = Path(__file__).resolve().parents[1]
RESAMPLES = 4000
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Compare the training speed of two commits, and exit with 1 where the second is slower beyond noise.

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
        Rounds; medians over them are compared.
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
    rounds: int = 21
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


def bootstrap(ratios: Sequence[float] | np.ndarray, seed: int = 0) -> Interval:
    """Return the median of `ratios` and, from resampled medians, its interval."""
    values = np.asarray(ratios, float)
    picks = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(np.median(values[picks], axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(np.median(values)), float(low), float(high))


def is_slower(change: Interval, noise: Interval) -> bool:
    """Return whether the whole interval of the change lies above 1 and above what the base does against itself."""
    beyond = max(noise.high, 1 / noise.low, 1.0)
    return change.low > beyond


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
    slower = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        trees = {who: stack.enter_context(_worktree(commit, folder / who)) for who, commit in commits.items()}
        settings = settings_of(options) | {"threads": threads, "commits": commits}
        with section("compare", settings, options.out) as results:
            lines = []
            for name in names:
                tell(name)
                change, noise, measured = _measure(name, backend, trees, threads, pace)
                if is_slower(change, noise):
                    slower.append(name)
                verdict = "SLOWER" if name in slower else "faster" if is_faster(change, noise) else "as fast"
                row = {"change": dataclasses.asdict(change), "noise": dataclasses.asdict(noise), "verdict": verdict}
                results.add({"step": name} | row | {"seconds": measured})
                lines.append((name, change, noise, verdict))
            print(f"time of {commits['head'][:9]} / time of {commits['base'][:9]}, {backend}, threads: {threads}")
            table(("step", "head / base", "base / base", ""), lines)
    return int(bool(slower))


def _measure(
    name: str, backend: str, trees: dict[str, Path], threads: int, pace: Pace
) -> tuple[Interval, Interval, dict[str, list[float]]]:
    step = STEPS[name]

    def contestant(label: str, tree: Path) -> Contestant:
        path = os.pathsep.join([str(tree), str(tree / "kernels")])
        plain = fastscratch_contestant(backend, step.precision)
        return dataclasses.replace(plain, name=label, variables={"PYTHONPATH": path})

    sides = {"base": trees["base"], "again": trees["base"], "head": trees["head"]}
    contestants = [contestant(label, tree) for label, tree in sides.items()]
    task = {"kind": "training", "network": step.network, "batch": step.batch, "count": 2048}
    with started(contestants, threads) as processes:
        measured = {label: one.seconds for label, one in compete(processes, task, pace).items()}
    rounds = min(map(len, measured.values()))  # a slow side may have left early
    change, noise = (np.divide(measured[side][:rounds], measured["base"][:rounds]) for side in ("head", "again"))
    return bootstrap(change), bootstrap(noise), measured


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
    """Check out a commit and build its kernels; the worktree goes in the end."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        tell(f"building {commit[:9]}")
        done = subprocess.run(
            [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ValueError(f"commit {commit[:9]} could not be built: {last}")
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=False)


if __name__ == "__main__":
    sys.exit(main(Options, run))
