"""How cost grows: with images, batch, threads and channels, and how straight the lines are.

PyTorch is measured in both layouts, and has one line, of the faster one at each point.

python benchmarks/scaling.py
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import figures
import numpy as np
from console import chosen_backends, main, need, table, tell, thread_count
from contest import (
    QUICK,
    Contestant,
    Pace,
    Process,
    compete,
    fastscratch_contestant,
    started,
    torch_contestants,
)
from record import section, settings_of
from shapes import Conv

from fastscratch.report.figures import save

BATCH = 32
IMAGES = (512, 1024, 2048, 4096)
BATCHES = (16, 32, 64, 128, 256)
CHANNELS = (16, 32, 64, 96, 128, 192)
APART = "processes apart"
"""So many processes of one thread each, side by side."""

X = TypeVar("X", bound=float)
"""What is varied."""

Points = dict[str, list[tuple[float, float]]]
"""Name of the contestant -> its points (x, y)."""


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
    backends = chosen_backends(options.backends)
    threads = thread_count(options.threads)
    pace = QUICK if options.quick else Pace(options.rounds, options.seconds)
    contestants = [*torch_contestants(), *map(fastscratch_contestant, backends)]
    few = 2 if options.quick else None
    need("torch")
    with section("scaling", settings_of(options) | {"threads": threads}, options.out) as results:
        points: dict[str, Points] = {"threads": _threads(contestants, pace, thread_counts(threads))}
        with started(contestants, threads) as processes:
            points["images"] = _images(processes, pace, IMAGES[:few])
            points["batch"] = _batches(processes, pace, BATCHES[:few])
            points["channels"] = _channels(processes, pace, CHANNELS[:few])
        rows = [
            _fit(varied, engine, at)
            for varied, lines in points.items()
            for engine, at in with_faster_torch(lines, max if varied == "threads" else min).items()
        ]
        for row in rows:
            results.add(row)
        table(("varied", "engine", "slope", "intercept", "R²", "last / first"), map(_cells, rows), text_columns=2)
        picture = results.path.with_name(f"{results.path.stem}-scaling.png")
        save(figures.scaling(rows), picture)
        print(f"\nfigure: {picture}")
    return 0


def _step(batch: int) -> dict[str, Any]:
    return {"kind": "training", "network": "baseline", "batch": batch, "count": max(1024, batch)}


def _in_turn(
    processes: Sequence[Process],
    pace: Pace,
    tasks: Mapping[X, dict[str, Any]],
    y: Callable[[X, float], float],
    calls: Callable[[X], int | None] = lambda _: None,
) -> Points:
    """Return `y` of x and the median seconds of a call, for the task of every x.

    A round goes through all x, the next one begins one further on: a drift of the machine meets all of a line's points,
    and does not bend it.
    """
    seconds: dict[tuple[str, X], list[float]] = {}
    order = [*tasks]
    for turn in range(pace.rounds):
        tell(f"round {turn + 1} of {pace.rounds}")
        first = turn % len(order)
        for x in order[first:] + order[:first]:
            measured = compete(processes, tasks[x], dataclasses.replace(pace, rounds=1), calls=calls(x))
            for name, one in measured.items():
                seconds.setdefault((name, x), []).append(one.median)
    names = [process.contestant.name for process in processes]
    return {name: [(x, y(x, statistics.median(seconds[name, x]))) for x in tasks] for name in names}


def _images(processes: Sequence[Process], pace: Pace, images: Sequence[int]) -> Points:
    """Return seconds of an epoch on so many images, in batches of `BATCH`."""
    tell("images")
    tasks = {count: _step(BATCH) | {"count": count} for count in images}
    steps = {count: count // BATCH for count in images}
    return _in_turn(processes, pace, tasks, lambda count, seconds: seconds * steps[count], steps.get)


def _batches(processes: Sequence[Process], pace: Pace, batches: Sequence[int]) -> Points:
    """Return milliseconds of a training step with so many images."""
    tell("batches")
    return _in_turn(processes, pace, {batch: _step(batch) for batch in batches}, lambda _, seconds: 1e3 * seconds)


def _threads(contestants: Sequence[Contestant], pace: Pace, counts: Sequence[int]) -> Points:
    """Return training steps a second with so many threads, and with as many processes apart: what the machine can give.

    All take turns, and a rate is held to that of one thread in the same round: what a second core adds depends on what
    others do on the same chip, and changes from minute to minute.
    """
    first = next(one for one in contestants if not one.is_torch)
    with contextlib.ExitStack() as stack:
        teams = {
            (one.name, count): stack.enter_context(started([one], count)) for one in contestants for count in counts
        }
        alone = stack.enter_context(started([first] * max(counts), 1))
        teams |= {(APART, count): alone[:count] for count in counts}
        for process in {id(process): process for team in teams.values() for process in team}.values():
            process.ask(do="prepare", **_step(BATCH))
        calls = {
            name: math.ceil(pace.seconds / teams[name, 1][0].ask(do="time", calls=1)["seconds"]) for name, _ in teams
        }
        rates: dict[tuple[str, int], list[float]] = {key: [] for key in teams}
        for turn in range(pace.rounds):
            tell(f"threads: round {turn + 1} of {pace.rounds}")
            order = [*teams.items()]
            first_at = turn % len(order)
            for (name, count), team in order[first_at:] + order[:first_at]:
                for process in team:
                    process.send(do="time", calls=calls[name], wake=pace.wake)
                rates[name, count].append(sum(1 / process.receive()["seconds"] for process in team))
    points: Points = {}
    for (name, count), found in rates.items():
        factor = statistics.median(rate / one for rate, one in zip(found, rates[name, 1], strict=True))
        points.setdefault(name, []).append((count, factor * statistics.median(rates[name, 1])))
    return points


def thread_counts(most: int) -> list[int]:
    """Return 1, 2, 4 and so on, and the most."""
    return sorted({most, *(2**power for power in range(most.bit_length()) if 2**power <= most)})


def _channels(processes: Sequence[Process], pace: Pace, channels: Sequence[int]) -> Points:
    """Return milliseconds of a 3 x 3 convolution, forward, over its operations in GFLOP."""
    tell("channels")
    shapes = [Conv(f"channels.{count}", 16, count, count, 3, padding=1) for count in channels]
    tasks = {
        shape.flops(BATCH) / 1e9: {"kind": "op", "shape": dataclasses.asdict(shape), "batch": BATCH} for shape in shapes
    }
    return _in_turn(processes, pace, tasks, lambda _, seconds: 1e3 * seconds)


def with_faster_torch(lines: Points, better: Callable[[Iterable[float]], float]) -> Points:
    """Return the lines with a single one of PyTorch's, which has at each point the better layout, and their names."""
    layouts = {name: points for name, points in lines.items() if figures.engine_of(name) == "torch"}
    names, best = [], []
    for at in zip(*layouts.values(), strict=True):
        y = better(y for _, y in at)
        names.append([*layouts][[y for _, y in at].index(y)].removeprefix("torch "))
        best.append((at[0][0], y))
    others = {name: points for name, points in lines.items() if name not in layouts}
    return {f"torch {', '.join(dict.fromkeys(names))}": best} | others


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
    line = f"{row['slope']:.4g}", f"{row['intercept']:.4g}", figures.straightness(row)
    return (row["varied"], row["engine"], *line, f"{row['last_over_first']:.2f}")


if __name__ == "__main__":
    sys.exit(main(Options, run))
