"""How many threads the kernels use: one number for every library below."""

from __future__ import annotations

import functools
import logging
import math
import operator
import os
import sys
from pathlib import Path

MOST_THREADS = 4096
"""More than any machine has cores, and fewer than would break the libraries below."""

_num_threads: int | None = None
_team_lost = False  # whether this process is the fork of one whose OpenMP threads it lacks
_told = False  # whether that was said


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
    number there is told by `get_num_threads`, which every kernel asks.
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
    It is 1, whatever was set, in a process that was forked after its parent had loaded the Cython kernels: GNU OpenMP
    would wait there forever for threads that only the parent has. Numba's kernels go on with the number set. A process
    that is started by other means ("spawn", "forkserver") is not concerned.
    """
    global _told
    threads = threads_set()
    if not _team_lost or threads == 1:
        return threads
    if not _told:
        _told = True
        logging.getLogger(__package__).warning(
            "this process was forked after the Cython kernels were loaded: they use one thread here; start it by "
            "'spawn' for more"
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


def _after_fork() -> None:
    global _team_lost
    _team_lost = f"{__package__}._tiles" in sys.modules


if hasattr(os, "register_at_fork"):  # not on every system
    os.register_at_fork(after_in_child=_after_fork)
