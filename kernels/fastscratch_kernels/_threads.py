"""How many threads the kernels use: one number for every library below."""

from __future__ import annotations

import functools
import math
import operator
import os
from pathlib import Path

_num_threads: int | None = None


@functools.cache  # every kernel asks, and the answer lies in a file
def available_cores() -> int:
    """Return how many cores this process may use: its affinity mask, and a container's quota (cgroup v2)."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        pass  # no such file: no quota
    return cores


def set_num_threads(n: int | None = None) -> None:
    """Set how many threads the kernels and the BLAS library below NumPy use, for the process.

    Parameters
    ----------
    n : int, optional
        At least 1; None sets the number of cores that this process may use.

    Raises
    ------
    TypeError
        If `n` is not an int.
    ValueError
        If `n` is below 1.

    Notes
    -----
    Nothing is set before the first call, unless FASTSCRATCH_NUM_THREADS is: its number is set at import. What is no
    number there is told by `get_num_threads`, which every kernel asks.
    """
    global _num_threads
    if n is None:
        n = available_cores()
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(f"the number of threads must be an int, got {n!r}") from None
    if n < 1:
        raise ValueError(f"the number of threads must be at least 1, got {n}")
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=n)
    _num_threads = n


def get_num_threads() -> int:
    """Return the number of threads set, else the number of cores that this process may use.

    Raises
    ------
    ValueError
        If nothing was set, and FASTSCRATCH_NUM_THREADS is not a whole number of at least 1.
    """
    if _num_threads is not None:
        return _num_threads
    text = os.environ.get("FASTSCRATCH_NUM_THREADS")
    if text is not None and not _is_number(text):
        raise ValueError(f"FASTSCRATCH_NUM_THREADS must be a whole number of at least 1, got {text!r}")
    return available_cores()


def set_from_environment() -> None:
    """Apply FASTSCRATCH_NUM_THREADS where it is a number."""
    text = os.environ.get("FASTSCRATCH_NUM_THREADS", "")
    if _is_number(text):
        set_num_threads(int(text))


def _is_number(text: str) -> bool:
    return text.isdecimal() and int(text) >= 1
