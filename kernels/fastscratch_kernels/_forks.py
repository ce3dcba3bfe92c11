"""What a forked process lacks: the threads of its parent, for which GNU OpenMP would wait for ever.

The kernels and PyTorch may share one OpenMP library, so that a team of PyTorch's is as lost as the kernels' own. That
is noticed where the parent had imported this package; whether it had used it does not matter.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

MAPS = Path("/proc/self/maps")
LIBRARY = "libgomp"
"""In the file's name of GNU OpenMP. Others (libomp, libiomp5) make new threads after a fork."""

_inherited: frozenset[str] = frozenset()  # files of GNU OpenMP that this process had when it was forked


def team_is_lost() -> bool:
    """Return whether the Cython kernels' OpenMP came from the parent of this forked process, threads left behind."""
    return bool(_inherited) and _kernels_library() in _inherited


def _after_fork() -> None:
    global _inherited
    _inherited = frozenset(path for _, _, path in _mapped())


def _mapped() -> Iterator[tuple[int, int, str]]:
    """Yield begin, end and file of each piece of GNU OpenMP in memory; nothing where the system does not tell."""
    try:
        lines = MAPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        span, *_, path = line.split(maxsplit=5)
        if LIBRARY in os.path.basename(path):
            begin, _, end = span.partition("-")
            yield int(begin, 16), int(end, 16), path


@functools.cache
def _kernels_library() -> str | None:
    """Return the file of GNU OpenMP that the Cython kernels are linked to; None without such."""
    spec = importlib.util.find_spec(f"{__package__}.conv2d_cython")
    if spec is None or spec.origin is None:
        return None
    try:
        # The loader looks in what the module needs, which may be a library that another one brought by the same name.
        function = ctypes.CDLL(spec.origin).omp_get_max_threads
    except (AttributeError, OSError):
        return None
    address = ctypes.cast(function, ctypes.c_void_p).value or 0
    return next((path for begin, end, path in _mapped() if begin <= address < end), None)


if hasattr(os, "register_at_fork"):  # not on every system
    os.register_at_fork(after_in_child=_after_fork)
