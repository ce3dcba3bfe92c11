"""A small pool of threads for kernels that let go of the interpreter's lock.

Work comes in chunks that depend on the shapes alone, never on the number of threads. Each chunk fills places of its
own; so it makes no difference which thread takes it, nor how many are done in one call, and results are the same bits
on any number of threads.

A thread has a run of chunks of its own, the same in every kernel that goes over as many with as many threads: what it
has written of its images is still in its cache when the next kernel reads it. Who is through takes chunks of others
over.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import numpy as np

from ._denormals_numba import denormal_state, flush_denormals, restore_denormals
from ._threads import threads_set
from ._waiting_numba import Counter, count, count_and_wait, wait

Result = TypeVar("Result")

WORTH = 6e-5
"""Seconds of work that are worth handing chunks to another thread, which is ready for them in a training's steps."""

LONG = 1e-3
"""Seconds of work that are always shared. Less is where that turns out quicker: where cores have no cache in common, to
fetch what the other one has written can take longer than to do all oneself."""

TRY = 200
"""After so many calls the slower way is tried again: others may use the cores, or the caches, now."""

CALL = 2e-4
"""Seconds of a call, about: its beginning and end count for little beside it, so that longer ones gain nothing."""


def _counter() -> Counter:
    return np.zeros(1, dtype=np.int64)


def _flushed(work: Callable[..., Result], *arguments: Any) -> Result:
    """Return what ``work(*arguments)`` does, denormal numbers as zero meanwhile."""
    state = denormal_state()
    try:
        flush_denormals()  # in here, since an interrupt may come as soon as it is done
        return work(*arguments)
    finally:
        restore_denormals(state)


def _in_turn(function: Callable[..., None], arguments: tuple[Any, ...], count: int, size: int) -> None:
    for start in range(0, count, size):
        function(*arguments, start, min(start + size, count))


class _Run:
    """Chunks in a row; whoever asks next gets the next one."""

    def __init__(self, first: int, stop: int) -> None:
        self.stop = stop
        self._tickets = itertools.count(first)  # its `next` is atomic

    def __iter__(self) -> Iterator[int]:
        while (chunk := next(self._tickets)) < self.stop:
            yield chunk


class _Job:
    """One call's chunks, in runs for so many threads."""

    def __init__(
        self,
        function: Callable[..., None],
        arguments: tuple[Any, ...],
        count: int,
        size: int,
        flush: bool,
        threads: int,
    ) -> None:
        self.function, self.arguments, self.count, self.size, self.flush = function, arguments, count, size, flush
        self.chunks = -(-count // size)
        self._runs = [_Run(self.chunks * i // threads, self.chunks * (i + 1) // threads) for i in range(threads)]
        self.finished: SimpleQueue[BaseException | None] = SimpleQueue()  # one entry a chunk of a helper
        self.left = _counter()  # helpers that have put all their entries
        self.call: Counter | None = None  # what to count when the caller begins
        self._came: list[None] = []  # one entry a helper: `append` is atomic
        self._went: list[None] = []

    def help(self, number: int) -> None:
        """Do chunks in helper `number`, from 1 on, until none is left."""
        self._came.append(None)  # before the first chunk: see `abandon`
        try:
            self.work(number)
        finally:
            self._went.append(None)

    def wait(self) -> None:
        """Wait for a little while until all helpers that have come are through."""
        wait(self.left, len(self._came))

    def abandon(self) -> None:
        """Hand out no chunk any more, and return when no helper works on one."""
        while True:
            try:
                for run in self._runs:
                    for _ in run:
                        pass
                # A helper that comes after this finds no chunk.
                while len(self._went) < len(self._came):
                    time.sleep(1e-4)
                return
            except BaseException:  # a second interrupt: the arrays are the helpers' still, and the first one is raised
                continue

    def work(self, helper: int = 0) -> int:
        """Do chunks until none is left, in a helper or, as 0, in the calling thread; return how many."""
        return _flushed(self._work, helper) if self.flush else self._work(helper)

    def _work(self, helper: int) -> int:
        done = 0
        if not helper and self.call is not None:
            count(self.call)
        runs = len(self._runs)
        first = 1 + (helper - 1) % (runs - 1) if helper and runs > 1 else 0  # the calling thread's own is the first
        for i in range(runs):
            for chunk in self._runs[(first + i) % runs]:
                start = chunk * self.size
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
    """How fast some work was done before."""

    def __init__(self) -> None:
        self._item: float | None = None  # seconds of the calling thread
        self._calls = 0
        self._alone: float | None = None  # seconds of a call
        self._shared: float | None = None

    def helpers(self, count: int, most: int) -> int:
        """Return how many helpers so many items are shared with."""
        if self._item is None:
            return most
        alone = self._item * count if self._alone is None else self._alone
        helpers = min(most, int(alone / WORTH))
        # Half of the work takes longer than half of the time where another core has what it needs.
        if helpers == 0 or alone >= (2 * LONG if self._alone is None else LONG) or self._shared is None:
            return helpers
        self._calls += 1
        share = self._alone is not None and self._shared < self._alone
        return helpers if share != (self._calls % TRY == 0) else 0

    def together(self, count: int, size: int, threads: int) -> int:
        """Return how many items are done in one call: a chunk, or several that take little time."""
        if self._item is None:
            return size
        share = -(-count // (size * threads))  # chunks of a thread
        calls = max(1, round(self._item * size * share / CALL))
        return -(-share // calls) * size

    def note(self, seconds: float, items: int) -> None:
        """Take down that the calling thread did so many items, at least one, in so many seconds."""
        self._item = max(1e-12, seconds / items)

    def compare(self, seconds: float, helpers: int) -> None:
        """Take down how long a call took: the least, which is slowly forgotten."""
        if helpers:
            self._shared = _slowly(self._shared, seconds)
        else:
            self._alone = _slowly(self._alone, seconds)


def _slowly(least: float | None, seconds: float) -> float:
    # However long a call was interrupted, it counts as no more than twice the least.
    return seconds if least is None or seconds < least else least + (min(seconds, 2 * least) - least) / 8


def _pace(function: Callable[..., None], arguments: tuple[Any, ...], count: int, size: int) -> _Pace:
    """Return what is known of some work: of arrays of these sizes."""
    return _pace_of(function, count, size, tuple([a.size for a in arguments if type(a) is np.ndarray]))


@functools.lru_cache(maxsize=1024)
def _pace_of(function: Callable[..., None], count: int, size: int, sizes: tuple[int, ...]) -> _Pace:
    return _Pace()


class _Pool:
    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._calls = _counter()  # for helpers
        self._helpers = 0
        self._lock = threading.RLock()  # a signal handler may come here while its thread has it

    def _serve(self, number: int) -> None:
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
            job.help(number)
            left = job.left
            del job  # which would keep the caller's arrays

    def _grow(self, helpers: int) -> None:
        if self._helpers >= helpers:
            return
        with self._lock:
            # Compiled here, where an error is the caller's.
            count(_counter())
            wait(_counter(), 0)
            count_and_wait(_counter(), _counter(), 0)
            while self._helpers < helpers:
                self._helpers += 1  # before it starts: an interrupt may come at once
                number = self._helpers
                threading.Thread(
                    target=self._serve, args=(number,), name=f"fastscratch-{number}", daemon=True
                ).start()

    def run(self, job: _Job, helpers: int, pace: _Pace) -> None:
        self._grow(helpers)
        try:
            job.call = self._calls
            for _ in range(helpers):
                self._jobs.put(job)
            started = time.perf_counter()
            if mine := job.work():
                pace.note(time.perf_counter() - started, mine * job.size)
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
    took so little time before that it is not worth a helper (`WORTH`), or less alone than with helpers (`LONG`). Chunks
    that took little time before are done several in a call (`CALL`): threads disturb each other where calls begin and
    end. An error of a chunk is raised here, and so is what interrupts the calling thread, when no other thread touches
    the arrays any more.
    """
    if count <= 0:
        return
    threads = threads_set()  # in any case: it tells of a number that is none
    if count <= size:  # nothing to share: as most work of a small batch, of which the overhead counts
        _alone(function, arguments, count, size, flush)
        return
    pace = _pace(function, arguments, count, size)
    helpers = pace.helpers(count, min(threads, -(-count // size)) - 1)
    size = pace.together(count, size, helpers + 1)
    helpers = min(helpers, -(-count // size) - 1)
    started = time.perf_counter()
    if helpers > 0:
        _pool.run(_Job(function, arguments, count, size, flush, helpers + 1), helpers, pace)
        seconds = time.perf_counter() - started
    else:
        _alone(function, arguments, count, size, flush)
        seconds = time.perf_counter() - started
        pace.note(seconds, count)
    pace.compare(seconds, helpers)


def _alone(function: Callable[..., None], arguments: tuple[Any, ...], count: int, size: int, flush: bool) -> None:
    """Do all chunks in the calling thread."""
    if flush:
        _flushed(_in_turn, function, arguments, count, size)
    else:
        _in_turn(function, arguments, count, size)


def chunk_size(count: int, cost: int, least: int = 1 << 17, most_chunks: int = 64) -> int:
    """Return how many of `count` items make a chunk, where one item costs `cost` steps.

    A chunk costs some `least` steps, beside which the call that does it costs little; there are at most `most_chunks`,
    of one length but for the last, which may be shorter.
    """
    size = max(1, -(-least // max(1, cost)), -(-count // most_chunks))
    return -(-count // -(-count // size)) if count else size
