"""How long the threads of GNU OpenMP wait for each other before they sleep.

At both ends of a parallel loop a thread looks again and again whether the others are there, 300,000 times where nothing
else is said, and sleeps only then. That takes milliseconds, a kernel takes a fraction of one. Where two programs share
the cores, the one that is waited for is often not running, and cannot while those that wait keep the cores busy.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

SPINS = 20_000
"""So many times a thread looks: long enough to be awake still when Python comes with the next kernel.

And long enough for the system to move one of two threads that began on the same core: with 5,000 they take turns there.
"""

SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""Environment variables that say something about it."""

_lock = threading.RLock()


@contextlib.contextmanager
def short_waits() -> Iterator[None]:
    """Set `SPINS` for the OpenMP library that is loaded meanwhile, if it is GNU's: it reads settings then, and once.

    Where the user has set one of `SETTINGS` that holds, and so does what a library had read that is there already,
    PyTorch's for instance.
    """
    with _lock:
        if any(name in os.environ for name in SETTINGS):
            yield
            return
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
        try:
            yield
        finally:
            os.environ.pop("GOMP_SPINCOUNT", None)
