"""The threads of the Numba kernels: how work is cut into calls, and how threads wait for each other."""

import threading
import time

import numpy as np
import pytest

import cases
import fastscratch_kernels as kernels

numba = pytest.importorskip("numba")

from fastscratch_kernels import _parallel, _waiting_numba  # noqa: E402
from fastscratch_kernels._waiting_numba import count, count_and_wait, wait  # noqa: E402


@pytest.fixture(autouse=True)
def restore_threads():
    before = kernels.get_num_threads()
    yield
    kernels.set_num_threads(before)


@pytest.fixture
def counter():
    return np.zeros(1, dtype=np.int64)


def all_cases():
    """Yield the cases of every op that has a Numba kernel."""
    for op, some in cases.CASES.items():
        if "numba" in kernels.available(op):
            yield from (pytest.param(op, case, id=f"{op}-{case}") for case in some)


@pytest.mark.parametrize(("op", "case"), list(all_cases()))
def test_bits_do_not_depend_on_how_many_chunks_are_done_in_a_call(op, case, monkeypatch):
    arrays, how = cases.arguments(op, case, "normal", "float32")
    kernels.set_num_threads(2)
    results = []
    for chunks in (1, 2, 3, 1000):
        monkeypatch.setattr(_parallel._Pace, "together", lambda _, count, size, threads, n=chunks: n * size)
        results.append([None if y is None else y.tobytes() for y in cases.call(op, arrays, how, "numba")])
    assert results[1:] == results[:-1]


def test_short_chunks_are_done_in_one_call_a_thread(monkeypatch):
    monkeypatch.setattr(_parallel, "CALL", 1e3)
    kernels.set_num_threads(2)
    both = threading.Barrier(2, timeout=30)
    runs = []

    def note(start, stop):
        runs.append((start, stop))
        if stop - start > 1:
            both.wait()  # so that neither does both

    _parallel.run_chunks(note, 9, 1)  # of which nobody knows how long it takes
    assert sorted(runs) == [(i, i + 1) for i in range(9)]
    runs.clear()
    monkeypatch.setattr(_parallel, "WORTH", 1e-12)
    _parallel.run_chunks(note, 9, 1)
    assert sorted(runs) == [(0, 5), (5, 9)]


def test_long_chunks_are_done_one_by_one(monkeypatch):
    monkeypatch.setattr(_parallel, "CALL", 1e-12)
    kernels.set_num_threads(1)
    runs = []

    def note(start, stop):
        runs.append((start, stop))

    for _ in range(2):
        runs.clear()
        _parallel.run_chunks(note, 9, 2)
        assert runs == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 9)]


def test_chunks_are_all_but_as_long_as_each_other():
    assert _parallel.chunk_size(4, 1 << 16) == 2
    assert _parallel.chunk_size(4, 3 << 14) == 2  # three would be enough, and leave one for the other thread
    assert _parallel.chunk_size(64, 1 << 20, most_chunks=16) == 4
    assert _parallel.chunk_size(3, 1) == 3
    assert _parallel.chunk_size(0, 1) > 0


def test_a_count_ends_a_wait(counter):
    ended = threading.Event()

    def look():
        while not ended.is_set():
            wait(counter, 1)

    waiting = threading.Thread(target=look, daemon=True)
    waiting.start()
    mine = np.zeros(1, dtype=np.int64)
    count(counter)
    count_and_wait(mine, counter, 1)
    ended.set()
    waiting.join(timeout=30)
    assert not waiting.is_alive()
    assert (counter[0], mine[0]) == (1, 1)


def test_a_wait_for_nobody_ends(counter):
    mine = np.zeros(1, dtype=np.int64)
    wait(counter, 1)
    count_and_wait(mine, counter, 1)
    assert (counter[0], mine[0]) == (0, 1)


def test_counts_of_many_threads_are_all_there(counter):
    def work():
        for _ in range(1000):
            count(counter)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter[0] == 4000


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_who_waits_lets_go_of_the_interpreters_lock(counter):
    """Otherwise this thread could not count what the other one waits for, and it would look to the end."""
    wait(counter, 0)  # compiles
    began = threading.Event()
    seen = []

    def look():
        began.set()
        for _ in range(100_000):
            wait(counter, 1)
            if counter[0]:
                break
        seen.append(int(counter[0]))

    waiting = threading.Thread(target=look)
    waiting.start()
    began.wait()
    time.sleep(0.01)
    count(counter)
    waiting.join(timeout=60)
    assert seen == [1]


def test_the_functions_without_the_compiler(counter):
    mine = np.zeros(1, dtype=np.int64)
    _waiting_numba._count_in_python(counter)
    _waiting_numba._never_wait(counter, 2)
    _waiting_numba._count_and_never_wait(mine, counter, 2)
    assert (counter[0], mine[0]) == (1, 1)
