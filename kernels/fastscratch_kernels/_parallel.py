"""A small pool of threads for kernels that let go of the interpreter's lock.

Work comes in chunks that depend on the shapes alone, never on the number of threads. Each chunk fills places of its
own; so it makes no difference which thread takes it, nor how many are done in one call, and results are the same bits
on any number of threads.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from ._denormals_numba import denormal_state, flush_denormals, restore_denormals
from ._threads import threads_set
from ._waiting_numba import Counter, count, count_and_wait, wait

WORTH = 6e-5
"""Seconds of work that are worth handing chunks to another thread, which is ready for them in a training's steps."""

CALL = 2e-4
"""Seconds of a call, about: its beginning and end count for little beside it, so that longer ones gain nothing."""


def _counter() -> Counter:
    return np.zeros(1, dtype=np.int64)


class _Job:
    """One call's chunks; whoever asks next gets the next one."""

    def __init__(
        self, function: Callable[..., None], arguments: tuple[Any, ...], count: int, size: int, flush: bool
    ) -> None:
        self.function, self.arguments, self.count, self.size, self.flush = function, arguments, count, size, flush
        self.chunks = -(-count // size)
        self._tickets = itertools.count()  # its `next` is atomic
        self.finished: SimpleQueue[BaseException | None] = SimpleQueue()  # one entry a chunk of a helper
        self.left = _counter()  # helpers that have put all their entries
        self.call: Counter | None = None  # what to count when the caller begins
        self._came: list[None] = []  # one entry a helper: `append` is atomic
        self._went: list[None] = []

    def help(self) -> None:
        """Do chunks in a helper until none is left."""
        self._came.append(None)  # before the first ticket: see `abandon`
        try:
            self.work(helper=True)
        finally:
            self._went.append(None)

    def wait(self) -> None:
        """Wait for a little while until all helpers that have come are through."""
        wait(self.left, len(self._came))

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
        if not helper and self.call is not None:
            count(self.call)
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
        self._item: float | None = None  # seconds

    def worth(self, count: int) -> int:
        """Return how many helpers so many items are worth."""
        return count if self._item is None else int(self._item * count / WORTH)

    def together(self, count: int, size: int, threads: int) -> int:
        """Return how many items are done in one call: a chunk, or several that take little time."""
        if self._item is None:
            return size
        share = -(-count // (size * threads))  # chunks of a thread
        calls = max(1, round(self._item * size * share / CALL))
        return -(-share // calls) * size

    def watch(self, job: _Job) -> int:
        """Do chunks in the calling thread until none is left; return how many."""
        started = time.perf_counter()
        done = job.work(helper=False)
        if done:
            self._item = max(1e-12, (time.perf_counter() - started) / (done * job.size))
        return done


@functools.lru_cache(maxsize=1024)
def _pace(function: Callable[..., None], count: int, size: int) -> _Pace:
    """Return what is known of some work; other shapes with as many items share it, which costs time at worst."""
    return _Pace()


class _Pool:
    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._calls = _counter()  # for helpers
        self._helpers = 0
        self._lock = threading.Lock()

    def _serve(self) -> None:
        nothing = left = _counter()
        while True:
            calls = int(self._calls[0])
            try:
                job = self._jobs.get_nowait()
                count(left)
            except Empty:
                count_and_wait(left, self._calls, calls + 1)
                left = nothing
                if self._calls[0] > calls:  # whatever the call was about, others may have taken it
                    continue
                job = self._jobs.get()
            job.help()
            left = job.left
            del job  # which would keep the caller's arrays

    def _grow(self, helpers: int) -> None:
        with self._lock:
            if not self._helpers < helpers:
                return
            # Compiled here, where an error is the caller's.
            count(_counter())
            wait(_counter(), 0)
            count_and_wait(_counter(), _counter(), 0)
            while self._helpers < helpers:
                self._helpers += 1  # before it starts: an interrupt may come at once
                threading.Thread(target=self._serve, name=f"fastscratch-{self._helpers}", daemon=True).start()

    def run(self, job: _Job, helpers: int, pace: _Pace) -> None:
        self._grow(helpers)
        try:
            job.call = self._calls
            for _ in range(helpers):
                self._jobs.put(job)
            mine = pace.watch(job)
            if mine < job.chunks:
                job.wait()
            errors = [error for _ in range(job.chunks - mine) if (error := job.finished.get()) is not None]
        except BaseException:
            job.abandon()
            raise
        finally:
            job.arguments = ()  # an entry that no helper has looked at keeps the job
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
    """Call ``function(*arguments, start, stop)`` for all of ``range(count)``, chunks of `size` or runs of chunks.

    Parameters
    ----------
    function : callable
        Lets go of the interpreter's lock, and writes nothing that two chunks share. What it writes is the same whether
        it gets a chunk at a time or several.
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
    took so little time before that it is not worth a helper (`WORTH`). Chunks that took little time before are done
    several in a call (`CALL`): threads disturb each other where calls begin and end. An error of a chunk is raised
    here, and so is what interrupts the calling thread, when no other thread touches the arrays any more.
    """
    if count <= 0:
        return
    pace = _pace(function, count, size)
    helpers = min(threads_set(), -(-count // size)) - 1
    if helpers > 0:
        helpers = min(helpers, pace.worth(count))
    job = _Job(function, arguments, count, pace.together(count, size, helpers + 1), flush)
    helpers = min(helpers, job.chunks - 1)
    if helpers == 0:
        pace.watch(job)
    else:
        _pool.run(job, helpers, pace)


def chunk_size(count: int, cost: int, least: int = 1 << 17, most_chunks: int = 64) -> int:
    """Return how many of `count` items make a chunk, where one item costs `cost` steps.

    A chunk costs some `least` steps, beside which the call that does it costs little; there are at most `most_chunks`,
    of one length but for the last, which may be shorter.
    """
    size = max(1, -(-least // max(1, cost)), -(-count // most_chunks))
    return -(-count // -(-count // size)) if count else size
