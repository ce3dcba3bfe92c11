"""The background thread: same items, bounded work, and no thread left behind however the iteration ends."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import pytest

from fastscratch.data.prefetch import Prefetcher


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fastscratch-prefetch"]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited ten seconds in vain"
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    assert threads() == []
    yield
    assert threads() == []


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_same_items_in_the_same_order(count, depth):
    assert list(Prefetcher(range(count), depth)) == list(range(count))


def test_items_that_are_none_or_exceptions_are_items_like_others():
    items = [None, ValueError("an item"), StopIteration("too"), ()]
    assert list(Prefetcher(items)) == items


def test_after_the_end_it_stays_at_the_end():
    numbers = Prefetcher(iter([1]))
    assert next(numbers) == 1
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(numbers)


def test_items_are_prepared_in_another_thread():
    names = list(Prefetcher(threading.current_thread().name for _ in range(3)))
    assert names == ["fastscratch-prefetch"] * 3


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_at_most_depth_items_wait(depth):
    begun = []

    def source() -> Iterator[int]:
        for i in range(100):
            begun.append(i)
            yield i

    numbers = Prefetcher(source(), depth)
    wait_for(lambda: len(begun) == depth)
    for taken in range(1, 6):
        next(numbers)
        wait_for(lambda taken=taken: len(begun) == depth + taken)
    time.sleep(0.05)
    assert len(begun) == depth + 5
    numbers.close()


def test_the_next_item_is_prepared_while_this_one_is_used():
    started = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        started.set()
        yield 1

    numbers = Prefetcher(source(), 1)
    assert next(numbers) == 0
    assert started.wait(10)  # nobody has asked for the second item
    assert list(numbers) == [1]


def broken_source() -> Iterator[int]:
    yield 1
    raise KeyError("the third image")


def test_an_exception_reaches_the_consumer_with_its_traceback():
    numbers = Prefetcher(broken_source())
    assert next(numbers) == 1
    with pytest.raises(KeyError, match="the third image") as caught:
        next(numbers)
    assert "broken_source" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert threads() == []
    assert list(numbers) == []


def test_an_interrupt_in_the_source_reaches_the_consumer():
    def source() -> Iterator[int]:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        next(Prefetcher(source()))


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_close_ends_the_thread(taken):
    numbers = Prefetcher(iter(range(10**9)))
    for _ in range(taken):
        next(numbers)
    assert len(threads()) == 1
    numbers.close()
    assert threads() == []
    assert list(numbers) == []
    numbers.close()


def test_a_dropped_iterator_ends_its_thread():
    for number in Prefetcher(iter(range(10**9))):
        if number == 3:
            break
    del number
    gc.collect()
    assert threads() == []


def test_an_iterator_dropped_in_a_cycle_ends_its_thread():
    class Holder:
        pass

    holder = Holder()
    holder.me, holder.numbers = holder, Prefetcher(iter(range(10**9)))
    next(holder.numbers)
    del holder
    assert len(threads()) == 1
    gc.collect()
    assert threads() == []


def test_the_thread_itself_may_collect_the_iterator():
    collect, collected = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        yield 0
        collect.wait(10)
        gc.collect()
        collected.set()
        yield 1

    class Holder:
        pass

    gc.disable()
    try:
        holder = Holder()
        holder.me, holder.numbers = holder, Prefetcher(source())
        del holder
        collect.set()
        assert collected.wait(10)
    finally:
        gc.enable()
    wait_for(lambda: threads() == [])


def test_an_exception_in_the_loop_ends_the_thread():
    def train() -> None:
        for number in Prefetcher(iter(range(10**9))):
            if number == 2:
                raise RuntimeError("the loss is not finite")

    with pytest.raises(RuntimeError, match="not finite"):
        train()
    gc.collect()
    wait_for(lambda: threads() == [])


def test_close_waits_for_the_item_in_hand():
    begun, done = threading.Event(), []

    def source() -> Iterator[int]:
        begun.set()
        time.sleep(0.05)
        done.append(True)
        yield 1

    numbers = Prefetcher(source())
    begun.wait(10)
    numbers.close()
    assert done == [True]
    assert threads() == []


def test_the_program_ends_with_iterations_under_way():
    program = """
import itertools, time
from fastscratch.data.prefetch import Prefetcher

def slow():
    for i in itertools.count():
        time.sleep(0.01)
        yield i

waiting, busy, untouched = Prefetcher(itertools.count()), Prefetcher(slow()), Prefetcher(slow())
print(next(waiting), next(busy))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 0\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_forked_process_is_told_that_it_has_no_thread():
    items = Prefetcher(range(5))
    next(items)
    child = os.fork()
    if child == 0:
        try:
            next(items)
        except RuntimeError as error:
            os._exit(0 if "a forked process has no thread" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    items.close()


@pytest.mark.parametrize("depth", [0, -1])
def test_depth_must_be_positive(depth):
    with pytest.raises(ValueError, match=f"depth must be >= 1, got {depth}"):
        Prefetcher([], depth)
