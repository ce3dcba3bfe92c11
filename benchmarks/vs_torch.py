"""PyTorch / fastscratch: how many times as long PyTorch takes for the same training step.

    python benchmarks/vs_torch.py                         # training steps of both networks
    python benchmarks/vs_torch.py --layers                # every convolution alone, forward and backward
    python benchmarks/vs_torch.py --compile               # torch.compile beside both, and inference; 32 images
    python benchmarks/vs_torch.py --backends cython --threads 1 --rows vgg-32

A step is: gather a batch of random images, forward, cross entropy, backward, Adam. benchmarks/README.md says how it is
measured and what PyTorch is given.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from console import BACKENDS, chosen, chosen_backends, main, need, table, tell, thread_count
from contest import (
    KEEP_MEMORY,
    QUICK,
    TOLERANCES,
    EngineError,
    Measured,
    Pace,
    as_row,
    best_torch,
    compete,
    compete_anew,
    fastscratch_contestant,
    merged,
    ratio,
    started,
    torch_contestants,
)
from networks import STEPS, Step
from record import Section, section, settings_of
from shapes import BLOCKS, CONVOLUTIONS, key

FAST_BACKENDS = ("cython",)
"""Who has kernels of precision "fast"."""

COMPILED_ROWS = ("baseline-32", "vgg-32")
"""What is measured with torch.compile where nothing else is asked for: it takes a minute for each."""

ROUNDS, ROUNDS_OF_ONE_START = 3, 5
"""Of each start. Processes differ by more than rounds of one do, so that many starts tell more than many rounds."""

SECONDS, SECONDS_OF_LAYERS = 0.2, 0.1
"""Of a round of PyTorch; layers alone are many, and their calls short."""

COMPARED = ("backend", "ms", "PyTorch ms", "at its best", "ratio", "range")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Measure both engines in turn, in separate processes, and print PyTorch's time over this project's.

    Attributes
    ----------
    rows : str
        Which rows, by comma: baseline-4, -8, -16, -32, -64, -128, vgg-32, vgg-32-fast.
    backends : str
        Which backends, by comma: cython, numba, numpy.
    threads : int or None
        Threads of both engines; none takes every core this process may use. With --layers: 1 and that many.
    layers : bool
        Every convolution of both networks alone, and the report's CNN's fused blocks, instead of training steps.
    compile : bool
        Try torch.compile too, for training and for inference, which takes minutes; where no rows are named, for 32
        images of both networks.
    keep_memory : bool
        Have glibc keep freed memory, for both engines.
    starts : int
        Processes of each engine, one after the other; with --layers and --compile it is one.
    rounds : int or None
        Rounds of each start; the median of all counts. None takes 3, and 5 where there is one start.
    seconds : float or None
        What a round of PyTorch should take. None takes 0.2, and 0.1 with --layers, whose rows are many.
    images : int
        Random images that batches are gathered from.
    out : str
        Results file; by default benchmarks/results/CPU-DATE-COMMIT.json.
    quick : bool
        Only see that it works.
    """

    rows: str = ",".join(STEPS)
    backends: str = ",".join(BACKENDS)
    threads: int | None = None
    layers: bool = False
    compile: bool = False
    keep_memory: bool = False
    starts: int = 5
    rounds: int | None = None
    seconds: float | None = None
    images: int = 2048
    out: str = ""
    quick: bool = False


def run(options: Options) -> int:
    """Measure, print and write."""
    backends = chosen_backends(options.backends)
    names: Sequence[str] = chosen("rows", options.rows, tuple(STEPS))
    if options.compile and options.rows == Options.rows:
        names = COMPILED_ROWS
    rows = [STEPS[name] for name in names]
    if not (options.layers or any(_able(row, backends) for row in rows)):
        able = f"fast rows are measured with backend {' or '.join(FAST_BACKENDS)} alone"
        raise ValueError(f"{able}, got rows {options.rows!r} and backends {', '.join(backends)}")
    threads = thread_count(options.threads)
    if options.starts < 1:
        raise ValueError(f"starts must be at least 1, got {options.starts}")
    if options.images < max(row.batch for row in rows):
        raise ValueError(f"images must be at least {max(row.batch for row in rows)}, a batch, got {options.images}")
    starts = 1 if options.quick or options.compile or options.layers else options.starts
    rounds = options.rounds
    if rounds is None:
        rounds = ROUNDS if starts > 1 else ROUNDS_OF_ONE_START
    seconds = options.seconds
    if seconds is None:
        seconds = SECONDS_OF_LAYERS if options.layers else SECONDS
    pace = QUICK if options.quick else Pace(rounds, seconds)
    name = "vs_torch_compiled" if options.compile else "vs_torch"
    if options.layers:
        name = "vs_torch_layers"
    taken = {"threads": threads, "starts": starts, "rounds": pace.rounds, "seconds": pace.seconds}
    settings = settings_of(options) | taken
    need("torch")
    with section(name, settings, options.out) as results:
        if options.layers:
            lines = [*_layers(options, backends, threads, pace, results)]
            table(("layer", "pass", "threads", *COMPARED), lines, text_columns=2)
        else:
            lines = [*_steps(options, rows, backends, threads, starts, pace, results)]
            table(("network", "what", "batch", *COMPARED, "MiB", "PyTorch MiB"), lines, text_columns=2)
    print("\nratio: PyTorch's time / fastscratch's, median over the rounds; range: least and most")
    return int(bool(results.failures))


def _steps(
    options: Options, rows: list[Step], backends: list[str], threads: int, starts: int, pace: Pace, results: Section
) -> Iterator[tuple[Any, ...]]:
    extra = KEEP_MEMORY if options.keep_memory else None
    kinds = ("training", "inference") if options.compile else ("training",)
    for row, kind in itertools.product(rows, kinds):
        if not (ours := _able(row, backends)):
            continue
        what = f"{row.network}, {kind}, batch {row.batch} {row.precision}".rstrip()
        tell(what)
        contestants = torch_contestants(options.compile)
        contestants += [fastscratch_contestant(name, row.precision) for name in ours]
        task = {"kind": kind, "network": row.network, "batch": row.batch, "count": options.images}
        try:
            tolerance = TOLERANCES[row.precision]
            measured = merged(
                compete_anew(contestants, threads, task, pace, starts, extra=extra, tolerance=tolerance)
            )
        except EngineError as error:
            results.fail(what, error)
            continue
        results.add(dataclasses.asdict(row) | {"kind": kind, "threads": threads} | as_row(measured))
        for line in _compared(measured):
            mine, best = measured[line[0]], measured[best_torch(measured)]
            yield (row.network, kind, row.batch, *line, f"{mine.peak:.0f}", f"{best.peak:.0f}")


def _able(row: Step, backends: Sequence[str]) -> list[str]:
    """Return the backends that have kernels of a row's precision."""
    return [name for name in backends if not row.precision or name in FAST_BACKENDS]


def _layers(
    options: Options, backends: list[str], threads: int, pace: Pace, results: Section
) -> Iterator[tuple[Any, ...]]:
    contestants = torch_contestants() + [fastscratch_contestant(name) for name in backends]
    shapes = (*CONVOLUTIONS, *BLOCKS)
    for count in sorted({1, threads}):
        with started(contestants, count, KEEP_MEMORY if options.keep_memory else None) as processes:
            for shape in shapes[:: len(shapes) - 1] if options.quick else shapes:
                for backward in (False, True):
                    side = "backward" if backward else "forward"
                    tell(f"{shape.name} {side}, threads: {count}")
                    task = {"kind": "op", "shape": key(shape), "batch": shape.batch, "backward": backward}
                    try:
                        measured = compete(processes, task, pace)
                    except EngineError as error:
                        results.fail(f"{shape.name} {side}", error)
                        continue
                    what = {"layer": shape.name, "batch": shape.batch, "pass": side, "threads": count}
                    results.add(what | {"flops": shape.flops(shape.batch, backward)} | as_row(measured))
                    for line in _compared(measured):
                        yield (shape.name, side, count, *line)


def _compared(measured: dict[str, Measured]) -> Iterator[tuple[str, ...]]:
    """Yield for each backend: name, its milliseconds, PyTorch's, how PyTorch got them, the ratio, its range."""
    best = best_torch(measured)
    for name, mine in measured.items():
        if name.startswith("torch"):
            continue
        median, least, most = ratio(mine, measured[best])
        how = best.removeprefix("torch ")
        times = f"{1e3 * mine.median:.3f}", f"{1e3 * measured[best].median:.3f}"
        yield (name, *times, how, f"{median:.2f}", f"{least:.2f} to {most:.2f}")


if __name__ == "__main__":
    sys.exit(main(Options, run))
