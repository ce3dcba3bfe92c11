"""Ctrl-C in Numba's pool: when the caller hears of it, no other thread touches the caller's arrays any more."""

import signal
import threading
import time

import pytest

import fastscratch_kernels as kernels

parallel = pytest.importorskip("fastscratch_kernels._parallel", exc_type=ImportError)

CHUNKS = 50


@pytest.fixture(autouse=True)
def two_threads():
    before = kernels.get_num_threads()
    kernels.set_num_threads(2)
    yield
    kernels.set_num_threads(before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ArithmeticError])
def test_an_error_of_the_callers_chunk_waits_for_those_that_others_have_taken(error):
    caller, taken = threading.current_thread(), threading.Event()
    begun, done = [], []

    def chunk(start, stop):
        if threading.current_thread() is caller:
            assert taken.wait(timeout=20)
            raise error
        begun.append(start)
        taken.set()
        time.sleep(0.05)
        done.append(start)

    with pytest.raises(error):
        parallel.run_chunks(chunk, CHUNKS, 1)
    seen = list(begun)
    assert done == seen
    assert len(seen) < CHUNKS - 1  # the rest was not handed out
    time.sleep(0.1)
    assert begun == seen


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system cannot interrupt a thread")
@pytest.mark.parametrize("interrupts", [1, 2])
def test_an_interrupt_of_a_caller_that_waits_for_others_does(interrupts):
    """A second one does not hurry it: the arrays would be written while the caller goes on."""
    caller, taken = threading.current_thread(), threading.Event()
    done = []

    def chunk(start, stop):
        if threading.current_thread() is caller:
            assert taken.wait(timeout=20)
            return
        taken.set()
        for _ in range(interrupts):
            time.sleep(0.1)  # by now the caller waits
            signal.pthread_kill(caller.ident, signal.SIGINT)
        time.sleep(0.1)
        done.append(start)

    with pytest.raises(KeyboardInterrupt):
        parallel.run_chunks(chunk, 2, 1)
    assert len(done) == 1


def test_the_pool_works_on_after_an_interrupt():
    def fail(start, stop):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parallel.run_chunks(fail, CHUNKS, 1)
    done = []
    parallel.run_chunks(lambda start, stop: done.append(start), CHUNKS, 1)
    assert sorted(done) == list(range(CHUNKS))
