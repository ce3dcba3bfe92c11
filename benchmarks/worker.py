"""One engine in a process of its own, told by lines of JSON what to do; started by `contest.py`.

The first line makes the engine, ``{"engine": "torch", "layout": "contiguous"}``. Then:

    {"do": "prepare", "kind": "training", "network": "vgg", "batch": 32, "count": 2048}
    {"do": "time", "calls": 20}
    {"do": "memory"}

Each is answered by a line with what the method of that name returns, or ``{"error": "..."}``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

CHECKED_STEPS = 2
"""Steps that both engines do first, whose losses have to agree: the second one's follow from gradients and Adam."""

SAMPLE = 4096
"""Numbers of an array that are compared."""

PR_SET_PDEATHSIG = 1
"""What Linux's `prctl` is told with, from <linux/prctl.h>."""


def end_with_parent() -> None:
    """Have Linux kill this process when the one that started it dies: no training goes on beside the next benchmark."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def memory() -> dict[str, float]:
    """Return this process's resident memory in MiB: now, and at its highest.

    The kernel's high-water mark of this program; `getrusage` would count what the process was before it, too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return {key: int(lines[name].split()[0]) / 1024 for key, name in (("now", "VmRSS"), ("peak", "VmHWM"))}
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"now": peak, "peak": peak}


class Worker:
    """An engine, and the task it was last given."""

    def __init__(self, engine: str, **settings: Any) -> None:
        started = time.perf_counter()
        if engine == "torch":
            import torch  # noqa: F401 - its own time and memory, without this project's

            self._note_imports(started)
            from engine_torch import TorchEngine

            self.engine: Any = TorchEngine(**settings)
        else:
            from engine_fastscratch import FastscratchEngine

            import fastscratch_kernels as kernels

            self.engine = FastscratchEngine(**settings)
            self._memory = contextlib.ExitStack()
            if hasattr(kernels, "reuse_memory"):  # `compare.py` measures commits that had none
                self._memory.enter_context(kernels.reuse_memory())  # as in `Trainer`, as long as the process lives
            self._note_imports(started)

    def _note_imports(self, started: float) -> None:
        self.import_seconds = time.perf_counter() - started
        self.imported = memory()["now"]

    def prepare(self, kind: str, **what: Any) -> dict[str, Any]:
        """Make the task, do it a few times, and return what came out."""
        if "shape" in what:
            from shapes import found

            what["shape"] = found(what["shape"])
        self.task = getattr(self.engine, kind)(**what)
        started = time.perf_counter()
        results = [self.task.result()]
        first = time.perf_counter() - started if results[0] else None
        if kind == "training":  # nothing else changes what comes out the next time
            results += [self.task.result() for _ in range(CHECKED_STEPS - 1)]
        return {"first_seconds": first, "check": [summary(array) for result in results for array in result]}

    def time(self, calls: int, wake: float | None = 0.0) -> dict[str, Any]:
        """Time the task."""
        return {"seconds": self.task.time(calls, wake)}

    def where(self) -> dict[str, str]:
        """Return where this project was imported from."""
        import fastscratch

        return {"file": fastscratch.__file__}

    def about(self) -> dict[str, Any]:
        """Return how the engine was built and what it uses."""
        about: dict[str, Any] = self.engine.about()
        return about

    def learn(self, **what: Any) -> dict[str, Any]:
        """Train on a data set, and return the accuracy after each epoch."""
        from learning import learn

        return {"history": learn(self.engine, **what)}

    def memory(self) -> dict[str, Any]:
        """Return MiB after the imports and at the peak, and the seconds that the imports took."""
        return {"imported": self.imported, "peak": memory()["peak"], "import_seconds": self.import_seconds}


def summary(array: Any) -> list[float]:
    """Return what stands for an array: its root mean square, then its numbers, of many a sample of them.

    The sample is the same for all arrays of a size, and not evenly spaced: a step that is a multiple of the number of
    channels would see one of them alone.
    """
    import numpy as np

    flat = np.asarray(array, np.float64).ravel()
    shown = flat if flat.size <= SAMPLE else flat[np.random.default_rng(0).integers(0, flat.size, SAMPLE)]
    return [float(np.sqrt(np.mean(np.square(flat)))), *shown.tolist()]


def serve(requests: TextIO, replies: TextIO) -> None:
    """Do what each line asks for until there are no more."""
    worker: Worker | None = None
    for line in requests:
        request = json.loads(line)
        try:
            if worker is None:
                worker = Worker(**request)
                reply: dict[str, Any] = {}
            else:
                reply = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # whatever it was, the other end has to know
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    end_with_parent()
    # What libraries print must not come between the replies.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, channel)
