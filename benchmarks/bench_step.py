"""Whole networks: training steps and inference, images a second, memory, and the time until the first step.

    python benchmarks/bench_step.py
    python benchmarks/bench_step.py --networks baseline --batches 4,32,128 --kinds training

As in `vs_torch.py` the engines take turns, each in a process of its own, which lives through all batch sizes here.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from console import BACKENDS, chosen, chosen_backends, main, need, table, tell, thread_count, whole_numbers
from contest import (
    QUICK,
    Contestant,
    EngineError,
    Pace,
    Process,
    as_row,
    compete,
    fastscratch_contestant,
    ratio,
    started,
    torch_contestants,
)
from networks import NETWORKS
from record import Section, section, settings_of

KINDS = ("training", "inference")
SMALL = 4
"""Images of a step whose Python is timed without its kernels."""
LARGEST = {"numpy": 128}
"""Engine -> the largest batch that it is measured with: more would take many seconds a step."""
STARTS = 5
"""Processes of each engine whose start is timed, after one that only fills the system's caches of files."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Measure whole networks at many batch sizes and numbers of threads.

    Attributes
    ----------
    networks : str
        Which, by comma: baseline, vgg.
    batches : str
        Batch sizes, by comma.
    kinds : str
        training, inference or both, by comma.
    backends : str
        Which backends, by comma: cython, numba, numpy.
    threads : int or None
        One and this number are measured; none takes every core this process may use.
    rounds : int
        Rounds; the median counts.
    seconds : float
        What a round of PyTorch should take.
    out : str
        Results file; by default benchmarks/results/CPU-DATE-COMMIT.json.
    quick : bool
        Only see that it works.
    """

    networks: str = ",".join(NETWORKS)
    batches: str = "1,4,32,128,512"
    kinds: str = ",".join(KINDS)
    backends: str = ",".join(BACKENDS)
    threads: int | None = None
    rounds: int = 5
    seconds: float = 0.12
    out: str = ""
    quick: bool = False


def run(options: Options) -> int:
    """Measure, print and write."""
    names = chosen("networks", options.networks, tuple(NETWORKS))
    kinds = chosen("kinds", options.kinds, KINDS)
    backends = chosen_backends(options.backends)
    batches = whole_numbers("batches", options.batches)
    threads = sorted({1, thread_count(options.threads)})
    pace = Pace(options.rounds, options.seconds, budget=5.0)
    if options.quick:
        batches, threads, pace = batches[:1], threads[-1:], QUICK
    contestants = [*torch_contestants(), *map(fastscratch_contestant, backends)]
    need("torch")
    with section("step", settings_of(options) | {"cores": threads[-1]}, options.out) as results:
        starts, calls = (0, 10) if options.quick else (STARTS, 500)
        results.data["start"] = _start(contestants, threads[-1], starts, pace.rounds, calls)
        heads: tuple[str, ...] = ("engine", "import, s", "first step, s", "Python of a step, us")
        table(heads, start_lines(results.data["start"]))
        print()
        lines: list[tuple[Any, ...]] = []
        for network in names:
            for kind in kinds:
                for count in threads:
                    lines += _rows(contestants, network, kind, batches, count, pace, results)
        heads = ("network", "kind", "batch", "threads", "engine", "images/s", "PyTorch's time / its", "MiB")
        table(heads, lines, text_columns=2)
    return int(bool(results.failures))


def _rows(
    contestants: Sequence[Contestant],
    network: str,
    kind: str,
    batches: Sequence[int],
    threads: int,
    pace: Pace,
    results: Section,
) -> Iterator[tuple[Any, ...]]:
    with started(contestants, threads) as processes:
        for batch in sorted(batches):  # memory grows with the batch, so that the peak so far is this batch's
            tell(f"{network} {kind}, batch {batch}, threads: {threads}")
            task = {"kind": kind, "network": network, "batch": batch, "count": max(1024, batch)}
            able = [one for one in processes if batch <= LARGEST.get(one.contestant.name, batch)]
            try:
                measured = compete(able, task, pace)
            except EngineError as error:
                results.fail(f"{network} {kind}, batch {batch}", error)
                continue
            row = as_row(measured)
            results.add({"network": network, "kind": kind, "batch": batch, "threads": threads} | row)
            for name, mine in measured.items():
                rate, times = batch / mine.median, ratio(mine, measured[row["best_torch"]])[0]
                yield (network, kind, batch, threads, name, f"{rate:,.0f}", f"{times:.2f}", f"{mine.peak:.0f}")


def _start(
    contestants: Sequence[Contestant], threads: int, starts: int, rounds: int, calls: int
) -> list[dict[str, Any]]:
    """Measure the time from nothing to the first training step of the report's CNN, and that of a step's Python."""
    task = {"kind": "training", "network": "baseline", "batch": 32, "count": 64}
    rows: list[dict[str, Any]] = []
    found: dict[str, list[dict[str, float]]] = {one.name: [] for one in contestants}
    for turn in range(starts):  # in turn, and another one begins each time
        for place in range(len(contestants)):
            contestant = contestants[(turn + place) % len(contestants)]
            tell(f"start {turn + 1} of {contestant.name}")
            with started([contestant], threads) as [process]:
                found[contestant.name].append(_begin(process, task))
    with tempfile.TemporaryDirectory() as empty:
        cold = dataclasses.replace(
            fastscratch_contestant("numba"), name="numba, nothing compiled", variables={"NUMBA_CACHE_DIR": empty}
        )
        everyone = [*contestants, *([cold] if any(one.name == "numba" for one in contestants) else [])]
        for contestant in everyone:
            tell(f"start of {contestant.name}")
            with started([contestant], threads) as [process]:
                times = [*found.get(contestant.name, []), _begin(process, task)]
                counted = times[1:] or times  # the first one also fills the system's caches of files
                row: dict[str, Any] = {"engine": contestant.name, "starts": counted}
                row |= {key: statistics.median(one[key] for one in counted) for key in counted[0]}
                if contestant.is_torch:
                    row["about"] = process.ask(do="about")
                else:
                    process.ask(do="prepare", **task | {"kind": "training_without_kernels", "batch": SMALL})
                    pauses = [process.ask(do="time", calls=calls)["seconds"] for _ in range(rounds)]
                    row["python_seconds"] = statistics.median(pauses)
            rows.append(row)
    return rows


def _begin(process: Process, task: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of a new process's imports, and of its first step."""
    first = process.ask(do="prepare", **task)["first_seconds"]
    return {"import_seconds": process.ask(do="memory")["import_seconds"], "first_seconds": first}


def start_lines(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of the rows of ``start``; older results have no time of a step's Python.

    An engine that was started less often than `STARTS` has the number beside its name.
    """
    for row in rows:
        starts = len(row.get("starts", ()))  # older results have none
        few = f" ({starts} start{'s' if starts > 1 else ''})" if 0 < starts < STARTS else ""
        python = f"{1e6 * row['python_seconds']:.0f}" if "python_seconds" in row else "-"
        yield (row["engine"] + few, f"{row['import_seconds']:.2f}", f"{row['first_seconds']:.2f}", python)


if __name__ == "__main__":
    sys.exit(main(Options, run))
