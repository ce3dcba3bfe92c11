"""How many threads the kernels use: one number for every library below."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import operator
import os
from collections.abc import Iterator
from pathlib import Path

from ._forks import team_is_lost

CONTROL_GROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

MOST_THREADS = 4096
"""More than any machine has cores, and fewer than would break the libraries below."""

_num_threads: int | None = None
_told = False  # whether it was said that a fork takes one thread


@functools.cache  # every kernel asks, and the answer lies in a file
def available_cores() -> int:
    """Return how many cores this process may use: its affinity mask, and the quotas of its control groups."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    return min([cores, *(max(1, math.ceil(quota)) for quota in _quotas())])


def _quotas() -> Iterator[float]:
    """Yield the cores' worth of time that this process's control groups have, and those that they lie in."""
    try:
        memberships = OWN_GROUPS.read_text().splitlines()
    except OSError:  # not on every system
        return
    for line in memberships:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 2 has no controllers in that line, and one file; version 1 a folder for each controller.
        root = CONTROL_GROUPS / ("cpu" if controllers else "")
        files = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            with contextlib.suppress(OSError, ValueError):  # no such file, or "max": no quota
                quota, period = map(int, " ".join((folder / name).read_text() for name in files).split())
                if quota > 0:  # -1 is none, too
                    yield quota / period
            if folder == root:
                break


def set_num_threads(n: int | None = None) -> None:
    """Set how many threads the kernels and the BLAS library below NumPy use, for the process.

    Parameters
    ----------
    n : int, optional
        From 1 to 4096; None sets the number of cores that this process may use.

    Raises
    ------
    TypeError
        If `n` is not an int.
    ValueError
        If `n` is out of range.

    Notes
    -----
    Nothing is set before the first call, unless FASTSCRATCH_NUM_THREADS is: its number is set at import. What is no
    number there is told by `get_num_threads`, which every kernel with threads asks.
    """
    global _num_threads
    if n is None:
        n = available_cores()
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(f"the number of threads must be an int, got {n!r}") from None
    if not 1 <= n <= MOST_THREADS:
        raise ValueError(f"the number of threads must be from 1 to {MOST_THREADS}, got {n}")
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=n)
    _num_threads = n


def get_num_threads() -> int:
    """Return the number of threads set, else the number of cores that this process may use.

    Raises
    ------
    ValueError
        If nothing was set, and FASTSCRATCH_NUM_THREADS is not a whole number from 1 to 4096.

    Notes
    -----
    It is 1, whatever was set, in a process that was forked after its parent had loaded the OpenMP library of the Cython
    kernels, with them or with PyTorch: GNU OpenMP would wait there forever for threads that only the parent has.
    Numba's kernels go on with the number set. A process that is started by other means ("spawn", "forkserver") is not
    concerned.
    """
    global _told
    threads = threads_set()
    if threads == 1 or not team_is_lost():
        return threads
    if not _told:
        _told = True
        logging.getLogger(__package__).warning(
            "this process was forked after the Cython kernels' OpenMP was loaded: they use one thread here; start it "
            "by 'spawn' for more"
        )
    return 1


def threads_set() -> int:
    """Return the number of threads without the exception that `get_num_threads` makes for OpenMP."""
    if _num_threads is not None:
        return _num_threads
    text = os.environ.get("FASTSCRATCH_NUM_THREADS")
    if text is not None and not _is_number(text):
        raise ValueError(f"FASTSCRATCH_NUM_THREADS must be a whole number from 1 to {MOST_THREADS}, got {text!r}")
    return available_cores()


def set_from_environment() -> None:
    """Apply FASTSCRATCH_NUM_THREADS where it is a number."""
    text = os.environ.get("FASTSCRATCH_NUM_THREADS", "")
    if _is_number(text):
        set_num_threads(int(text))


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MOST_THREADS  # int takes so many digits only
