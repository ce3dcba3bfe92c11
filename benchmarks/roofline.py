"""How near each layer comes to what the machine can do.

    python benchmarks/roofline.py

Measures the matrix product (sgemm) and the memory, then every layer of both networks, forward and backward, on
every engine, and draws all of it beside the results file. Rates are those of the dense algorithm: a
kernel that saves operations, by Winograd's algorithm or by leaving out zeros, may lie above the roof.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
from typing import Any

import figures
import limits
from console import BACKENDS, chosen_backends, main, need, table, tell, thread_count
from contest import QUICK, Pace, as_row, compete, fastscratch_contestant, started, torch_contestants
from record import section, settings_of
from shapes import BLOCKS, CONVOLUTIONS, DENSE, NORMS, POOLINGS, key

from fastscratch.report.figures import save

LAYERS = (*CONVOLUTIONS, *BLOCKS, *POOLINGS, *DENSE, *NORMS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the machine's limits and every layer, and draw the roofline.

    Attributes
    ----------
    backends : str
        Which backends, by comma: cython, numba, numpy.
    threads : int or None
        None takes every core this process may use.
    rounds : int
        Rounds; the median counts.
    seconds : float
        What a round of PyTorch should take.
    out : str
        Results file; by default benchmarks/results/CPU-DATE-COMMIT.json.
    quick : bool
        Only see that it works.
    """

    backends: str = ",".join(BACKENDS)
    threads: int | None = None
    rounds: int = 5
    seconds: float = 0.05
    out: str = ""
    quick: bool = False


def run(options: Options) -> int:
    """Measure, print, draw and write."""
    backends = chosen_backends(options.backends)
    threads = thread_count(options.threads)
    pace = QUICK if options.quick else Pace(options.rounds, options.seconds, budget=10.0)
    need("torch")
    with section("roofline", settings_of(options) | {"threads": threads}, options.out) as results:
        tell("matrix product and memory")
        roof = results.data["limits"] = limits.measure(threads, options.quick)
        print(f"sgemm {roof['flops'] / 1e9:.1f} GFLOP/s, memory {roof['bytes'] / 1e9:.1f} GB/s, threads: {threads}\n")
        contestants = [*torch_contestants(), *map(fastscratch_contestant, backends)]
        rows: list[dict[str, Any]] = []
        with started(contestants, threads) as processes:
            for shape in LAYERS[:1] if options.quick else LAYERS:
                for backward in (False, True):
                    way = "backward" if backward else "forward"
                    tell(f"{shape.name} {way}")
                    task = {"kind": "op", "shape": key(shape), "batch": shape.batch, "backward": backward}
                    work = {"flops": shape.flops(shape.batch, backward), "bytes": shape.bytes(shape.batch, backward)}
                    row = {"layer": shape.name, "pass": way, "batch": shape.batch} | work
                    rows.append(row | as_row(compete(processes, task, pace)))
                    results.add(rows[-1])
        heads = ("layer", "pass", *(contestant.name for contestant in contestants))
        table(heads, [_cells(row, roof["flops"]) for row in rows], text_columns=2)
        print("\nGFLOP/s of the dense algorithm, and its share of sgemm")
        picture = results.path.with_name(f"{results.path.stem}-roofline.png")
        save(figures.roofline(rows, roof, threads), picture)
        print(f"figure: {picture}")
    return 0


def _cells(row: dict[str, Any], peak: float) -> tuple[str, ...]:
    rates = [row["flops"] / statistics.median(one["seconds"]) for one in row["engines"].values()]
    return (row["layer"], row["pass"], *(f"{rate / 1e9:.1f} ({100 * rate / peak:.0f} %)" for rate in rates))


if __name__ == "__main__":
    sys.exit(main(Options, run))
