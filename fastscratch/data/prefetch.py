"""Prepare the next items of an iterator in a background thread while the current one is used."""

from __future__ import annotations

import os
import queue
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

__all__ = ["Prefetcher"]

T = TypeVar("T")

# A dropped iterator waits this long for its thread to finish the item in hand. The limit only matters where the
# garbage collector runs while the thread needs a lock that the collecting thread holds.
_JOIN_SECONDS = 5.0


class Prefetcher(Generic[T]):
    """Iterate over `source` in a background thread, at most `depth` items ahead.

    The items, their order and the exception that ends them, if any, are those of `source`. The thread is a daemon
    and ends when the items do, when `close` is called, when the iterator is garbage collected, and when the program
    exits, whichever comes first; it never outlives the item that it is preparing. `depth` items wait at most, and
    one more is in the hands of the consumer.

    Parameters
    ----------
    source : iterable
        Where the items come from. The thread alone touches it from here on.
    depth : int
        How many items may be prepared in advance, >= 1.

    Raises
    ------
    ValueError
        If `depth` is not positive.

    Notes
    -----
    Both queues are `queue.SimpleQueue`, whose `put` may interrupt any other call on the same queue in the same
    thread. So the iterator may be collected at any point of any thread, its own background thread included, without
    a deadlock. `free` bounds the work: the thread takes one entry for each item that it begins, the consumer puts
    one back for each that it takes.
    """

    def __init__(self, source: Iterable[T], depth: int = 2) -> None:
        if depth < 1:
            raise ValueError(f"depth must be >= 1, got {depth}")
        channel: _Channel[T] = _Channel(depth)
        self._channel = channel
        self._process = os.getpid()
        # The thread knows the channel and the source but not this object, which can therefore be collected.
        thread = threading.Thread(
            target=_produce, args=(iter(source), channel), name="fastscratch-prefetch", daemon=True
        )
        thread.start()
        # Runs once: at the first of close, collection and the end of the program.
        self._finish = weakref.finalize(self, _stop, channel, thread)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if not self._finish.alive:
            raise StopIteration
        if os.getpid() != self._process:
            raise RuntimeError("a forked process has no thread that prepares batches: begin an epoch of its own in it")
        item = self._channel.ready.get()
        if isinstance(item, _End):
            self.close()
            try:
                raise item.error or StopIteration
            finally:
                del item  # its traceback holds this frame: without the cycle both go as soon as they can
        self._channel.free.put(None)
        return item

    def close(self) -> None:
        """Stop the thread and drop what it has prepared; further calls of ``next`` raise StopIteration."""
        self._finish()


class _End:
    """Follows the last item; `error` is the exception that ended the source, None at its regular end."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Channel(Generic[T]):
    """What the consumer and the thread share."""

    def __init__(self, depth: int) -> None:
        self.free: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.ready: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self.stopped = False
        for _ in range(depth):
            self.free.put(None)


def _produce(source: Iterator[T], channel: _Channel[T]) -> None:
    """Move items from `source` to `channel.ready`, one for each entry of `channel.free`, until the end or a stop."""
    try:
        while True:
            channel.free.get()
            if channel.stopped:
                break
            channel.ready.put(next(source))
    except StopIteration:
        pass
    except BaseException as error:  # whatever it is, the consumer raises it
        channel.ready.put(_End(error))
        return
    channel.ready.put(_End(None))


def _stop(channel: _Channel[T], thread: threading.Thread) -> None:
    """Tell the thread to end, and wait for it."""
    channel.stopped = True
    channel.free.put(None)
    if thread is not threading.current_thread():
        thread.join(_JOIN_SECONDS)
