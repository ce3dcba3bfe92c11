"""The threads of the Numba kernels: how work is cut into calls, and how threads wait for each other."""

import gc
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import cases
import fastscratch_kernels as kernels
from assembly import assembly

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
def test_bits_do_not_depend_on_how_many_chunks_are_done_in_a_call(op, case, monkeypatch, all_is_shared):
    arrays, how = cases.arguments(op, case, "normal", "float32")
    monkeypatch.setattr(_parallel.chunk_size, "__defaults__", (1, 64))  # many chunks of little work
    kernels.set_num_threads(2)
    results = []
    for chunks in (1, 2, 3, 1000):
        monkeypatch.setattr(_parallel._Pace, "together", lambda _, count, size, threads, n=chunks: n * size)
        results.append([None if y is None else y.tobytes() for y in cases.call(op, arrays, how, "numba")])
    assert results[1:] == results[:-1]


def test_short_chunks_are_done_in_one_call_a_thread(monkeypatch, all_is_shared):
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
    _parallel._pace(note, (), 9, 1)._item = 1e-6  # whoever did the chunks
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


def test_a_thread_begins_with_a_run_of_its_own_and_takes_over_what_is_left_of_others():
    seen = []
    for thread in range(3):
        job = _parallel._Job(lambda start, stop: seen.append(start), (), 17, 2, flush=False, threads=3)
        assert job.work(thread) == 9
    assert seen[:9] == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert seen[9:18] == [6, 8, 10, 12, 14, 16, 0, 2, 4]
    assert seen[18:] == [12, 14, 16, 0, 2, 4, 6, 8, 10]


def test_short_work_is_shared_where_that_is_quicker(monkeypatch):
    monkeypatch.setattr(_parallel, "TRY", 10)
    pace = _parallel._Pace()
    count, most = 8, 3

    def called(alone, shared):
        helpers = pace.helpers(count, most)
        pace.note(4e-4, count)
        pace.compare(shared if helpers else alone, helpers)
        return helpers

    assert [called(4e-4, 2e-4) for _ in range(22)] == [3, 0, *[3] * 8, 0, *[3] * 9, 0, 3]
    # Now it is not, which nobody knows before it has been tried for a while.
    assert [called(4e-4, 8e-4) for _ in range(40)] == [*[3] * 6, 0, 0, *[3, *[0] * 9] * 3, 3, 0]


@pytest.mark.parametrize(("seconds", "helpers"), [(1e-5, 0), (1e-4, 1), (2.5e-3, 3), (0.1, 3)])
def test_little_work_is_never_shared_and_much_is_always(seconds, helpers):
    """Work between them is tried alone, too."""
    pace = _parallel._Pace()
    pace.note(seconds, 8)
    assert pace.helpers(8, 3) == helpers
    pace.compare(seconds, helpers)
    pace.note(seconds, 8)
    is_between = 6e-5 < seconds < 2e-3
    assert [pace.helpers(8, 3) for _ in range(30)] == [0 if is_between else helpers] * 30


def test_helpers_begin_behind_the_calling_threads_chunks():
    begun = []
    for helper in range(1, 16):
        job = _parallel._Job(lambda start, stop: begun.append(start), (), 4, 1, flush=False, threads=4)
        job.work(helper)
    assert begun[::4] == [1, 2, 3] * 5
    alone = _parallel._Job(lambda start, stop: begun.append(start), (), 4, 1, flush=False, threads=1)
    assert alone.work(3) == 4


class Clock:
    """In place of the module `time`."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(2e-4, [True, False, True, True, True, False, True]), (9e-4, [True, False, False, False, False, True, False])],
)
def test_a_call_goes_by_what_was_quicker_before(monkeypatch, seconds, expected):
    """Four chunks take 0.4 ms alone, and `seconds` shared."""
    clock, shared = Clock(), []

    def work(start, stop):
        clock.now += 1e-4 * (stop - start)

    def run(job, helpers, pace):
        clock.now += seconds
        pace.note(seconds, 2)
        shared.append(helpers)

    monkeypatch.setattr(_parallel, "time", clock)
    monkeypatch.setattr(_parallel._pool, "run", run)
    monkeypatch.setattr(_parallel, "TRY", 5)
    kernels.set_num_threads(2)
    happened = []
    for _ in expected:
        shared.clear()
        _parallel.run_chunks(work, 4, 1)
        happened.append(bool(shared))
    assert happened == expected


def test_layers_with_as_many_chunks_are_told_apart_by_their_arrays():
    def work(x, w, start, stop):
        pass

    x, w = np.zeros(6), np.zeros(3)
    pace = _parallel._pace(work, (x, 1, w), 4, 1)
    assert _parallel._pace(work, (x.copy(), 2, w), 4, 1) is pace
    for other in ((x, 1, np.zeros(4)), (w, 1, x), (np.zeros(12), 1, w)):
        assert _parallel._pace(work, other, 4, 1) is not pace


def test_the_last_chunk_is_not_much_shorter_where_that_can_be():
    assert _parallel.chunk_size(4, 1 << 16) == 2
    assert _parallel.chunk_size(4, 3 << 14) == 2  # three would be enough, and leave one for the other thread
    assert _parallel.chunk_size(64, 1 << 20, most_chunks=16) == 4
    assert _parallel.chunk_size(3, 1) == 3
    assert _parallel.chunk_size(0, 1) > 0


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_a_count_ends_a_wait(counter):
    """A hundredfold difference, held to a tenth of it in the best of many tries."""

    def seconds(at_least):
        started = time.perf_counter()
        wait(counter, at_least)
        return time.perf_counter() - started

    count(counter)
    assert min(seconds(1) for _ in range(50)) < min(seconds(2) for _ in range(50)) / 10


def test_a_wait_for_nobody_ends(counter):
    mine = np.zeros(1, dtype=np.int64)
    wait(counter, 1)
    count_and_wait(mine, counter, 1)
    assert (counter[0], mine[0]) == (0, 1)


def test_counts_of_many_threads_without_the_lock_are_all_there(counter):
    def work():
        for _ in range(1000):
            count_and_wait(counter, there, 0)

    there = np.zeros(1, dtype=np.int64)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter[0] == 4000


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_who_waits_lets_go_of_the_interpreters_lock(counter):
    """Otherwise this thread, which asks for it in vain, could not count what the other one waits for."""
    wait(counter, 0)  # compiles
    began = threading.Event()
    seen = []

    def look():
        began.set()
        for _ in range(300):
            wait(counter, 1)
            if counter[0]:
                break
        seen.append(int(counter[0]))

    waiting = threading.Thread(target=look)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        waiting.start()
        began.wait()
        count(counter)
        waiting.join(timeout=60)
    finally:
        sys.setswitchinterval(interval)
    assert seen == [1]


def test_a_helper_that_came_for_nothing_waits_on():
    """One call wakes all that wait, and there may be work for one of them only."""
    pool = _parallel._Pool()
    served = threading.Event()
    helper = threading.Thread(target=pool._serve, args=(1,), daemon=True)
    helper.start()
    for _ in range(100):
        count(pool._calls)
    job = _parallel._Job(lambda start, stop: served.set(), (), 1, 1, flush=False, threads=1)
    pool._jobs.put(job)
    assert served.wait(timeout=60)
    assert job.finished.get(timeout=60) is None


def test_a_job_that_no_helper_looked_at_keeps_no_arrays():
    class Argument:
        pass

    pool = _parallel._Pool()
    pool._helpers = 3  # who never come
    argument = Argument()
    gone = weakref.ref(argument)
    job = _parallel._Job(lambda argument, start, stop: None, (argument,), 4, 1, flush=False, threads=4)
    pool.run(job, 3, _parallel._Pace())
    del job, argument
    gc.collect()
    assert gone() is None
    assert pool._jobs.qsize() == 3


@pytest.mark.parametrize(("machine", "instruction"), [("x86_64", "pause"), ("aarch64", "isb")])
def test_the_pause_of_every_machine_that_is_known(machine, instruction):
    """Translated here, for whichever of the machines this one is not."""
    ir = pytest.importorskip("llvmlite.ir")
    module = ir.Module()
    builder = ir.IRBuilder(ir.Function(module, ir.FunctionType(ir.VoidType(), []), "rest").append_basic_block())
    _waiting_numba.emit_pause(builder, machine)
    builder.ret_void()
    assert instruction in assembly(module, machine)


def test_the_functions_without_the_compiler(counter):
    mine = np.zeros(1, dtype=np.int64)
    _waiting_numba._count_in_python(counter)
    _waiting_numba._never_wait(counter, 2)
    _waiting_numba._count_and_never_wait(mine, counter, 2)
    assert (counter[0], mine[0]) == (1, 1)
