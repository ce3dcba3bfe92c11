"""A small pool of threads for kernels that let go of the interpreter's lock.

Work comes in chunks that depend on the shapes alone, never on the number of threads. Each chunk fills places of its
own; so it makes no difference which thread takes it, and results are the same bits on any number of threads.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from ._denormals_numba import denormal_state, flush_denormals, restore_denormals
from ._threads import threads_set

WORTH = 3e-4
"""Seconds of work that are worth waking a thread: it has to be woken, and to get the interpreter's lock."""


class _Job:
    """One call's chunks; whoever asks next gets the next one."""

    def __init__(
        self, function: Callable[..., None], arguments: tuple[Any, ...], count: int, size: int, flush: bool
    ) -> None:
        self.function, self.arguments, self.count, self.size, self.flush = function, arguments, count, size, flush
        self.chunks = -(-count // size)
        self._tickets = itertools.count()  # its `next` is atomic
        self.finished: SimpleQueue[BaseException | None] = SimpleQueue()  # one entry a chunk of a helper
        self._came: list[None] = []  # one entry a helper: `append` is atomic
        self._went: list[None] = []

    def help(self) -> None:
        """Do chunks in a helper until none is left."""
        self._came.append(None)  # before the first ticket: see `abandon`
        try:
            self.work(helper=True)
        finally:
            self._went.append(None)

    def abandon(self) -> None:
        """Hand out no chunk any more, and return when no helper works on one."""
        while True:
            try:
                while next(self._tickets) < self.chunks:
                    pass
                # A helper that comes after this finds no ticket.
                while len(self._went) < len(self._came):
                    time.sleep(1e-4)
                return
            except BaseException:  # a second interrupt: the arrays are the helpers' still, and the first one is raised
                continue

    def work(self, helper: bool) -> int:
        """Do chunks until none is left; return how many."""
        if not self.flush:
            return self._work(helper)
        state = denormal_state()
        try:
            flush_denormals()  # in here, since an interrupt may come as soon as it is done
            return self._work(helper)
        finally:
            restore_denormals(state)

    def _work(self, helper: bool) -> int:
        done = 0
        while (ticket := next(self._tickets)) < self.chunks:
            start = ticket * self.size
            error: BaseException | None = None
            try:
                self.function(*self.arguments, start, min(start + self.size, self.count))
            except BaseException as raised:
                if not helper:
                    raise
                error = raised
            done += 1
            if helper:
                self.finished.put(error)
        return done


class _Pace:
    """How fast the calling thread did some work when it last did it."""

    def __init__(self) -> None:
        self._chunk: float | None = None  # seconds

    def worth(self, job: _Job) -> int:
        """Return how many helpers a job is worth."""
        return job.chunks if self._chunk is None else int(self._chunk * job.chunks / WORTH)

    def watch(self, job: _Job) -> int:
        """Do chunks in the calling thread until none is left; return how many."""
        started = time.perf_counter()
        done = job.work(helper=False)
        if done:
            self._chunk = (time.perf_counter() - started) / done
        return done


@functools.lru_cache(maxsize=1024)
def _pace(function: Callable[..., None], count: int, size: int) -> _Pace:
    """Return what is known of some work; other shapes with as many items share it, which costs time at worst."""
    return _Pace()


class _Pool:
    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._helpers = 0
        self._lock = threading.Lock()

    def _serve(self) -> None:
        while True:
            self._jobs.get().help()

    def _grow(self, helpers: int) -> None:
        with self._lock:
            while self._helpers < helpers:
                threading.Thread(target=self._serve, name=f"fastscratch-{self._helpers}", daemon=True).start()
                self._helpers += 1

    def run(self, job: _Job, helpers: int, pace: _Pace) -> None:
        self._grow(helpers)
        try:
            for _ in range(helpers):
                self._jobs.put(job)
            mine = pace.watch(job)
            errors = [error for _ in range(job.chunks - mine) if (error := job.finished.get()) is not None]
        except BaseException:
            job.abandon()
            raise
        if errors:
            raise errors[0]


_pool = _Pool()


def _forget() -> None:
    """Start anew after a fork: the child has none of the parent's threads."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):  # not on every system
    os.register_at_fork(after_in_child=_forget)


def run_chunks(function: Callable[..., None], count: int, size: int, *arguments: Any, flush: bool = True) -> None:
    """Call ``function(*arguments, start, stop)`` for every chunk of `size` out of ``range(count)``.

    Parameters
    ----------
    function : callable
        Lets go of the interpreter's lock, and writes nothing that two chunks share.
    count, size : int
        How many items there are and how many make a chunk; both from the shapes alone.
    *arguments
        What `function` takes before `start` and `stop`.
    flush : bool
        Whether denormal numbers count as zero meanwhile. Not in kernels that move and compare numbers rather than
        compute with them, nor in those whose Cython twin keeps them.

    Notes
    -----
    The calling thread works too, and does all by itself where there is one chunk or one thread, or where the work
    took so little time before that no helper is worth waking (`WORTH`). An error of a chunk is raised here, and so is
    what interrupts the calling thread, when no other thread touches the arrays any more.
    """
    if count <= 0:
        return
    job = _Job(function, arguments, count, size, flush)
    helpers = min(threads_set(), job.chunks) - 1
    if helpers == 0:
        job.work(helper=False)
        return
    pace = _pace(function, count, size)
    helpers = min(helpers, pace.worth(job))
    if helpers == 0:
        pace.watch(job)
    else:
        _pool.run(job, helpers, pace)


def chunk_size(count: int, cost: int, least: int = 1 << 17, most_chunks: int = 64) -> int:
    """Return how many of `count` items make a chunk, where one item costs `cost` steps.

    A chunk costs `least` steps, beside which the call that does it costs little; there are at most `most_chunks`.
    """
    return max(1, -(-least // max(1, cost)), -(-count // most_chunks))
