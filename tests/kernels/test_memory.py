"""Memory that is used again: only where nothing can see it any more, and only inside the block that asks for it."""

import threading

import numpy as np
import pytest

import fastscratch_kernels as kernels
from fastscratch_kernels import _memory

SHAPE = (8, 64, 64, 4)  # 512 KiB of float32


@pytest.fixture(autouse=True)
def small_arrays_are_worth_it(monkeypatch):
    monkeypatch.setattr(_memory, "LEAST", 1 << 18)


def result():
    return kernels.avgpool2d(np.ones(SHAPE, np.float32), 1)


def place(array):
    return array.__array_interface__["data"][0]


def test_the_next_array_takes_the_memory_of_one_that_is_gone():
    with kernels.reuse_memory():
        places = {place(result()) for _ in range(5)}
        several = [result() for _ in range(3)]
        again = {place(array) for array in several}
        del several
        assert {place(array) for array in [result() for _ in range(3)]} == again
    assert len(places) == 1
    assert places < again


def test_memory_that_a_view_shows_is_left_alone():
    with kernels.reuse_memory():
        first = result()
        view, other = first[1:, ::2].transpose(1, 0, 2, 3), memoryview(first)
        del first
        second = kernels.avgpool2d(np.full(SHAPE, 2, np.float32), 1)
        assert not np.shares_memory(second, view)
        assert (view == 1).all()
        del view
        third = kernels.avgpool2d(np.full(SHAPE, 3, np.float32), 1)
        assert (np.asarray(other) == 1).all()
        assert not np.shares_memory(second, third)


def test_an_array_outlives_the_block():
    with kernels.reuse_memory():
        first = result()
    second = kernels.avgpool2d(np.full(SHAPE, 2, np.float32), 1)
    assert (first == 1).all()
    assert (second == 2).all()


def test_a_block_inside_another_has_memory_of_its_own():
    with kernels.reuse_memory():
        outer = place(result())
        with kernels.reuse_memory():
            held = [result()]
            assert place(held[0]) != outer
        assert place(result()) == outer


def test_threads_do_not_share_memory():
    with kernels.reuse_memory():
        mine = place(result())
        theirs = []
        thread = threading.Thread(target=lambda: theirs.append(result()))
        thread.start()
        thread.join()
        assert place(result()) == mine
        assert place(theirs[0]) != mine


def test_arrays_may_go_in_another_thread_than_they_came_from():
    with kernels.reuse_memory():
        arrays = [result() for _ in range(4)]
        places = {place(array) for array in arrays}
        thread = threading.Thread(target=arrays.clear)
        thread.start()
        thread.join()
        assert {place(array) for array in [result() for _ in range(4)]} == places


def test_what_is_left_of_earlier_numbers_does_not_matter():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((4, 32, 32, 16)).astype(np.float32), rng.standard_normal((3, 3, 16, 32))
    dy = rng.standard_normal((4, 32, 32, 32)).astype(np.float32)

    def both():
        y = kernels.conv2d(x, w.astype(np.float32), padding=1)
        return y, *kernels.conv2d_backward(dy, x, w.astype(np.float32), padding=1)

    wanted = both()
    with kernels.reuse_memory():
        for array in both():
            array.fill(np.nan)
        del array
        for got, should in zip(both(), wanted, strict=True):
            assert got.tobytes() == should.tobytes()


def test_small_arrays_are_left_to_the_allocator(monkeypatch):
    monkeypatch.setattr(_memory, "LEAST", 1 << 30)
    with kernels.reuse_memory():
        assert result().base.base is None  # of NumPy's own memory


@pytest.fixture
def name(request):
    yield request.node.name
    _memory._kept.working.pop(request.node.name, None)


def test_working_memory_is_kept_for_the_next_block_of_its_name(name):
    places = set()
    for size in (1000, 1000, 500):
        with _memory.working_memory(name, size, np.dtype(np.float32)) as memory:
            assert memory.shape == (size,)
            assert memory.dtype == np.float32
            assert memory.flags.carray
            places.add(place(memory))
    assert len(places) == 1
    assert not places.pop() % _memory.CACHE_LINE
    with _memory.working_memory(name, 5000, np.dtype(np.float64)) as memory:
        memory[:] = np.nan  # is there as a whole
        assert not place(memory) % _memory.CACHE_LINE


def test_working_memory_of_a_block_inside_another_is_its_own(name):
    with _memory.working_memory(name, 100, np.dtype(np.float32)) as outer:
        outer[:] = 1
        with _memory.working_memory(name, 100, np.dtype(np.float32)) as inner:
            inner[:] = 2
        assert not np.shares_memory(outer, inner)
        np.testing.assert_array_equal(outer, 1)


def test_memory_is_kept_unless_its_block_fails(name):
    """A helper may be at work in it still, where two interrupts came one after the other."""
    with _memory.working_memory(name, 100, np.dtype(np.float32)):
        pass
    assert name in _memory._kept.working
    with pytest.raises(ZeroDivisionError), _memory.working_memory(name, 100, np.dtype(np.float32)):
        raise ZeroDivisionError
    assert name not in _memory._kept.working


def test_threads_share_no_working_memory(name):
    def work():
        with _memory.working_memory(name, 100, np.dtype(np.float32)) as memory:
            places.append(place(memory))
            both.wait()

    both = threading.Barrier(2, timeout=60)
    places = []
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(places)) == 2
