"""How cost grows: with images, batch, threads and channels, and how straight the lines are.

python benchmarks/scaling.py
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

import figures
import numpy as np
from console import chosen, main, table, tell, thread_count
from contest import QUICK, Contestant, Pace, compete, fastscratch_contestant, started, torch_contestants
from record import section
from shapes import Conv

from fastscratch.report.figures import save

BACKENDS = ("cython", "numba", "numpy")
BATCH = 32
IMAGES = (512, 1024, 2048, 4096)
BATCHES = (16, 32, 64, 128, 256)
CHANNELS = (16, 32, 64, 96, 128, 192)
CLOSEST = "torch channels_last"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Measure cost against images, batch, threads and channels, fit straight lines, and draw them.

    Attributes
    ----------
    backends : str
        Which backends, by comma: cython, numba, numpy.
    threads : int or None
        The most; none takes every core this process may use.
    rounds : int
        Rounds; the median counts.
    seconds : float
        What a round of PyTorch should take.
    out : str
        Results file; by default benchmarks/results/CPU-DATE-COMMIT.json.
    quick : bool
        Only see that it works.
    """

    backends: str = "cython,numba"
    threads: int | None = None
    rounds: int = 5
    seconds: float = 0.2
    out: str = ""
    quick: bool = False


def run(options: Options) -> int:
    """Measure, print, draw and write."""
    backends = chosen("backends", options.backends, BACKENDS)
    threads = thread_count(options.threads)
    pace = QUICK if options.quick else Pace(options.rounds, options.seconds)
    contestants = [one for one in torch_contestants() if one.name == CLOSEST]
    contestants += [fastscratch_contestant(name) for name in backends]
    few = 2 if options.quick else None
    with section("scaling", dataclasses.asdict(options) | {"threads": threads}, options.out) as results:
        points = {
            "images": _images(contestants, threads, pace, IMAGES[:few]),
            "batch": _batches(contestants, threads, pace, BATCHES[:few]),
            "threads": _threads(contestants, pace, range(1, threads + 1)),
            "channels": _channels(contestants, threads, pace, CHANNELS[:few]),
        }
        rows = [_fit(varied, engine, at) for varied, lines in points.items() for engine, at in lines.items()]
        for row in rows:
            results.add(row)
        table(("varied", "engine", "slope", "intercept", "R²", "last / first"), map(_cells, rows), text_columns=2)
        picture = results.path.with_name(f"{results.path.stem}-scaling.png")
        save(figures.scaling(rows), picture)
        print(f"\nfigure: {picture}")
    return 0


Points = dict[str, list[tuple[float, float]]]


def _step(batch: int) -> dict[str, Any]:
    return {"kind": "training", "network": "baseline", "batch": batch, "count": max(1024, batch)}


def _images(contestants: Sequence[Contestant], threads: int, pace: Pace, images: Sequence[int]) -> Points:
    """Return seconds of training on so many images, in batches of `BATCH`."""
    points: Points = {one.name: [] for one in contestants}
    with started(contestants, threads) as processes:
        for count in images:
            tell(f"{count} images")
            calls = count // BATCH
            for name, one in compete(processes, _step(BATCH), pace, calls=calls).items():
                points[name].append((count, one.median * calls))
    return points


def _batches(contestants: Sequence[Contestant], threads: int, pace: Pace, batches: Sequence[int]) -> Points:
    """Return milliseconds of a training step with so many images."""
    points: Points = {one.name: [] for one in contestants}
    with started(contestants, threads) as processes:
        for batch in batches:
            tell(f"batch {batch}")
            for name, one in compete(processes, _step(batch), pace).items():
                points[name].append((batch, 1e3 * one.median))
    return points


def _threads(contestants: Sequence[Contestant], pace: Pace, counts: Sequence[int]) -> Points:
    """Return training steps a second with so many threads."""
    points: Points = {one.name: [] for one in contestants}
    for count in counts:
        tell(f"threads: {count}")
        with started(contestants, count) as processes:
            for name, one in compete(processes, _step(BATCH), pace).items():
                points[name].append((count, 1 / one.median))
    return points


def _channels(contestants: Sequence[Contestant], threads: int, pace: Pace, channels: Sequence[int]) -> Points:
    """Return milliseconds of a 3 x 3 convolution, forward, over its operations in GFLOP."""
    points: Points = {one.name: [] for one in contestants}
    with started(contestants, threads) as processes:
        for count in channels:
            tell(f"{count} channels")
            shape = Conv(f"channels.{count}", 16, count, count, 3, padding=1)
            task = {"kind": "op", "shape": dataclasses.asdict(shape), "batch": BATCH}
            for name, one in compete(processes, task, pace).items():
                points[name].append((shape.flops(BATCH) / 1e9, 1e3 * one.median))
    return points


def _fit(varied: str, engine: str, points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return the points and the straight line through them by least squares; of one point, a level line."""
    x, y = np.array(points, float).T
    slope, intercept = np.polyfit(x, y, 1) if len(x) > 1 else (0.0, y[0])
    rest, spread = float(np.square(y - intercept - slope * x).sum()), float(np.square(y - y.mean()).sum())
    return {
        "varied": varied,
        "engine": engine,
        "x": x.tolist(),
        "y": y.tolist(),
        "slope": float(slope),
        "intercept": float(intercept),
        "r2": 1 - rest / spread if spread else 1.0,
        "last_over_first": float(y[-1] / y[0]),
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    numbers = f"{row['slope']:.4g}", f"{row['intercept']:.4g}", f"{row['r2']:.4f}", f"{row['last_over_first']:.2f}"
    return (row["varied"], row["engine"], *numbers)


if __name__ == "__main__":
    sys.exit(main(Options, run))
