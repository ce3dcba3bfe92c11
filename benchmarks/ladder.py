"""The ladder from naive loops to the fastest kernel: what each idea gains.

python benchmarks/ladder.py
python benchmarks/ladder.py --backend numba
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from console import chosen_one, main, table, tell, thread_count
from contest import (
    QUICK,
    Measured,
    Pace,
    compete,
    fastscratch_contestant,
    started,
    thread_variables,
)
from record import section, settings_of
from rungs import LADDERS, Rung, gains
from shapes import BLOCKS, CONVOLUTIONS, key

BACKENDS = ("cython", "numba")
ONCE = Pace(rounds=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Measure forward and backward of a block on each rung of the ladder, in turn.

    Attributes
    ----------
    backend : str
        Whose kernels: cython or numba.
    threads : int or None
        Threads of the rungs that have them; none takes every core this process may use.
    batch : int
        Images.
    rounds : int
        Rounds; the median counts.
    seconds : float
        What a round of the first rung after the naive loops should take.
    out : str
        Results file; by default benchmarks/results/CPU-DATE-COMMIT.json.
    quick : bool
        Only see that it works.
    """

    backend: str = "cython"
    threads: int | None = None
    batch: int = 32
    rounds: int = 7
    seconds: float = 0.5
    out: str = ""
    quick: bool = False


def run(options: Options) -> int:
    """Measure, print and write."""
    backend = chosen_one("backend", options.backend, BACKENDS)
    threads = thread_count(options.threads)
    pace, batch = (QUICK, 2) if options.quick else (Pace(options.rounds, options.seconds), options.batch)
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    shapes = {key(shape): shape for shape in (*CONVOLUTIONS, *BLOCKS)}
    with section("ladder", settings_of(options) | {"threads": threads}, options.out) as results:
        for name, rungs in LADDERS.items():
            shape = shapes[name]
            if options.quick:
                shape = dataclasses.replace(shape, size=8, channels=32, filters=32)
            tell(f"{shape.name}: {', '.join(rung.name for rung in rungs)}")
            rows = _climb(dataclasses.asdict(shape), rungs, backend, threads, batch, pace)
            for row in rows:
                results.add({"shape": name, "batch": batch, "backend": backend} | row)
            print(f"{shape.name}, {batch} images, forward and backward, {backend}")
            table(("rung", "threads", "ms", "gained", "in all"), map(_cells, rows, gains(rows)))
            print()
    return 0


def _climb(
    shape: dict[str, Any], rungs: Sequence[Rung], backend: str, threads: int, batch: int, pace: Pace
) -> list[dict[str, Any]]:
    """Return a row a rung: its time, which is that of a batch, and every round of its own."""
    measured: dict[str, Measured] = {}
    for one_image in (True, False):
        together = [rung for rung in rungs if rung.one_image == one_image]
        contestants = [
            dataclasses.replace(
                fastscratch_contestant(backend),
                name=rung.name,
                variables=thread_variables(rung.threads or threads),
                task={"rung": dataclasses.asdict(rung)},
            )
            for rung in together
        ]
        task = {"kind": "rung", "shape": shape, "batch": 1 if one_image else batch}
        if contestants:
            with started(contestants, threads) as processes:
                measured |= compete(processes, task, ONCE if one_image else pace, calls=1 if one_image else None)
    return [
        {
            "rung": rung.name,
            "threads": rung.threads or threads,
            "seconds": measured[rung.name].median * (batch if rung.one_image else 1),
            "rounds": measured[rung.name].seconds,
        }
        for rung in rungs
    ]


def _cells(row: dict[str, Any], gain: tuple[float, float]) -> tuple[str, ...]:
    return (row["rung"], str(row["threads"]), f"{1e3 * row['seconds']:,.2f}", f"{gain[0]:.2f}", f"{gain[1]:,.1f}")


if __name__ == "__main__":
    sys.exit(main(Options, run))
