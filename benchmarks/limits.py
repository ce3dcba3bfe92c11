"""What this machine can do at most: operations a second in a matrix product, bytes a second from memory.

    python benchmarks/limits.py          # as JSON, with the threads that the environment names

`measure` runs it in a process of its own, so that BLAS starts with the threads and the settings wanted.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from contest import environment

from fastscratch.profiling import matmul_peak
from fastscratch_kernels import get_num_threads

NUMBERS = 1 << 24
"""Numbers of each of the three arrays: 64 MiB, more than caches hold."""

def memory_bandwidth(threads: int, *, numbers: int = NUMBERS, repeats: int = 5) -> float:
    """Measure ``a = b + c`` on float32 arrays that no cache holds, each thread's part in one call of NumPy.

    McCalpin's triad has a factor at c; it moves the same bytes, but NumPy would pass over one of the arrays twice.

    Parameters
    ----------
    threads : int
        Each takes a part of the arrays.
    numbers : int
        Length of each array.
    repeats : int
        The fastest of so many counts.

    Returns
    -------
    rate : float
        Bytes a second: two reads and one write a number, as McCalpin's STREAM counts.
    """
    a, b, c = (np.full(numbers, value, np.float32) for value in (0, 1, 2))
    bounds = np.linspace(0, numbers, threads + 1, dtype=int)

    def part(index: int) -> None:
        here = slice(bounds[index], bounds[index + 1])
        np.add(b[here], c[here], out=a[here])

    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats + 1):
            started = time.perf_counter()
            list(pool.map(part, range(threads)))
            seconds.append(time.perf_counter() - started)
    return 3 * 4 * numbers / min(seconds[1:])


@functools.cache
def measure(threads: int, quick: bool = False) -> dict[str, float]:
    """Return what so many threads reach in a process of its own: ``flops``, ``flops_float64``, ``bytes`` a second."""
    command = [sys.executable, str(Path(__file__).resolve()), *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(threads))
    result: dict[str, float] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    small = "--quick" in sys.argv[1:]
    n_threads = get_num_threads()
    product: dict[str, Any] = {"size": 256 if small else 1024, "repeats": 1 if small else 10}
    found = {
        "flops": matmul_peak(**product),
        "flops_float64": matmul_peak(**product, dtype=np.float64),
        "bytes": memory_bandwidth(n_threads, numbers=NUMBERS >> (4 if small else 0), repeats=1 if small else 5),
    }
    print(json.dumps(found))
