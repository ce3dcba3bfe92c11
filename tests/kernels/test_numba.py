"""What only the Numba column has: its vectors, its thread pool, its compiler and the compiler's cache."""

import os
import subprocess
import sys
import threading
import types
import uuid
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastscratch_kernels as kernels

numba = pytest.importorskip("numba")

from fastscratch_kernels import (  # noqa: E402
    _jit_numba,
    _parallel,
    _simd_numba,
    _sparse_numba,
    _tiles_numba,
    _winograd_numba,
    avgpool2d_numba,
    conv2d_numba,
    conv2d_relu_maxpool2d_numba,
    im2col_numba,
    maxpool2d_numba,
)
from fastscratch_kernels._simd_numba import (  # noqa: E402
    add,
    fill,
    if_positive,
    if_wins,
    lanes,
    load,
    madd,
    store,
    subtract,
)

MODULES = (
    _sparse_numba,
    _tiles_numba,
    _winograd_numba,
    avgpool2d_numba,
    conv2d_numba,
    conv2d_relu_maxpool2d_numba,
    im2col_numba,
    maxpool2d_numba,
)
POOL = {"pool_kernel_size": 2}


@pytest.fixture(autouse=True)
def restore_threads():
    before = kernels.get_num_threads()
    yield
    kernels.set_num_threads(before)


def every_op(rng, dtype, freeze):
    """Run each op once, on enough images for several chunks; return all results."""

    def draw(*shape):
        array = rng.standard_normal(shape).astype(dtype)
        array.flags.writeable = not freeze
        return array

    x, w, b = draw(12, 20, 20, 8), draw(3, 3, 8, 20), draw(20)
    thin, thin_w = draw(12, 20, 20, 3), draw(3, 3, 3, 20)
    with kernels.use_backend("numba"):
        results = [
            kernels.im2col(x, 3),
            kernels.col2im(draw(12, 18, 18, 72), (12, 20, 20, 8), 3),
            *kernels.maxpool2d(x, 2),
            kernels.maxpool2d_backward(draw(12, 10, 10, 8), kernels.maxpool2d(x, 2)[1], x.shape, 2),
            kernels.avgpool2d(x, 2),
            kernels.avgpool2d_backward(draw(12, 10, 10, 8), x.shape, 2),
            kernels.conv2d(x, w, b, padding=1),
            *kernels.conv2d_backward(draw(12, 20, 20, 20), x, w, padding=1),
            kernels.conv2d(x, draw(3, 3, 4, 20), b, groups=2),
            *kernels.conv2d_backward(draw(12, 18, 18, 20), x, draw(3, 3, 4, 20), groups=2),
        ]
        deep, deep_w = draw(12, 15, 15, 16), draw(5, 5, 16, 20)
        for images, filters in ((x, w), (thin, thin_w), (deep, deep_w)):
            y, argmax = kernels.conv2d_relu_maxpool2d(images, filters, b, **POOL)
            argmax.flags.writeable = not freeze
            results += [y, argmax]
            results += kernels.conv2d_relu_maxpool2d_backward(draw(*y.shape), argmax, images, filters, **POOL)
    return results


def specializations():
    """Return how many times each function was compiled."""
    return {
        f"{module.__name__}.{name}": len(function.signatures)
        for module in MODULES
        for name, function in vars(module).items()
        if hasattr(function, "signatures")
    }


@pytest.mark.large
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_do_not_depend_on_the_number_of_threads(rng, dtype, all_is_shared):
    state = rng.bit_generator.state
    runs = []
    for threads in (1, 2, 3, 7):
        kernels.set_num_threads(threads)
        rng.bit_generator.state = state
        runs.append(every_op(rng, dtype, freeze=False))
    for run in runs[1:]:
        for one, other in zip(runs[0], run, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.large
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_do_not_depend_on_how_many_chunks_are_done_in_a_call(rng, dtype, monkeypatch, all_is_shared):
    state = rng.bit_generator.state
    kernels.set_num_threads(2)
    runs = []
    for chunks in (1, 2, 5, 1000):
        monkeypatch.setattr(_parallel._Pace, "together", lambda _, count, size, threads, n=chunks: n * size)
        rng.bit_generator.state = state
        runs.append([array.tobytes() for array in every_op(rng, dtype, freeze=False)])
    assert runs[1:] == runs[:-1]


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_read_only_arrays_are_not_compiled_for_again(rng):
    every_op(rng, "float32", freeze=False)
    before = specializations()
    assert sum(before.values()) > 10
    every_op(rng, "float32", freeze=True)
    assert specializations() == before


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize(("n", "size", "c", "f"), [(2, 15, 32, 64), (5, 9, 16, 20), (1, 6, 24, 17), (0, 8, 16, 16)])
def test_winograd_stays_within_its_bound(rng, n, size, c, f, padding):
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((n, size, size, c), (5, 5, c, f), (f,)))
    y, argmax = kernels.conv2d_relu_maxpool2d(x, w, b, padding=padding, backend="numba")
    if n == 0:
        assert y.size == argmax.size == 0
        return
    exact, places = kernels.conv2d_relu_maxpool2d(
        *(array.astype(np.float64) for array in (x, w, b)), padding=padding, backend="numpy"
    )
    np.testing.assert_allclose(y, exact, rtol=0, atol=6e-6 * exact.max(initial=1))
    assert (argmax == places).mean() > 0.999


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_are_what_their_numpy_forms_say(rng, dtype):
    count = _simd_numba.VECTOR_BYTES // np.dtype(dtype).itemsize
    a, b = rng.integers(-9, 9, count + 1).astype(dtype), rng.integers(-9, 9, count + 1).astype(dtype)
    a[1], b[2], a[3], b[3] = np.nan, np.nan, -0.0, 0.0

    def steps(a, b, out):
        at, wide = np.uint64(1), lanes(a)
        u, v = load(a, at), load(b, at)
        store(out, np.uint64(0), madd(subtract(add(u, v), u), b[0], v))
        store(out, wide, if_wins(u, v, u, v))
        store(out, wide + wide, if_positive(u, v, fill(a, 3)))

    plain, machine = np.full(3 * count + 1, 7, dtype), np.full(3 * count + 1, 7, dtype)
    types.FunctionType(steps.__code__, {"np": np, **_simd_numba.PLAIN})(a, b, plain)
    numba.njit(steps)(a, b, machine)
    np.testing.assert_array_equal(machine, plain)
    assert plain[3 * count] == 7
    best = plain[count : 2 * count]
    assert np.isnan(best[0])  # NaN wins as the newcomer, and stays where it was
    assert np.isnan(best[1])


def test_every_item_is_done_once_whatever_the_chunks():
    kernels.set_num_threads(3)
    for count, size in ((0, 4), (1, 4), (9, 4), (40, 1)):
        seen = np.zeros(count, dtype=int)

        def mark(seen, start, stop):
            seen[start:stop] += 1

        _parallel.run_chunks(mark, count, size, seen)
        assert (seen == 1).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_of_a_chunk_is_raised_and_the_pool_goes_on(threads):
    kernels.set_num_threads(threads)

    def fail(start, stop):
        if start >= 5:
            raise ArithmeticError(f"chunk {start}")

    with pytest.raises(ArithmeticError, match="chunk"):
        _parallel.run_chunks(fail, 12, 1)
    done = []
    _parallel.run_chunks(lambda start, stop: done.append(start), 12, 1)
    assert sorted(done) == list(range(12))


def test_one_chunk_or_one_thread_stays_in_the_calling_thread():
    names = set()

    def note(start, stop):
        names.add(threading.current_thread().name)

    kernels.set_num_threads(4)
    _parallel.run_chunks(note, 4, 4)
    kernels.set_num_threads(1)
    _parallel.run_chunks(note, 40, 1)
    assert names == {threading.current_thread().name}


def test_work_known_to_be_short_wakes_no_thread(monkeypatch):
    monkeypatch.setattr(_parallel, "WORTH", 1e9)
    kernels.set_num_threads(4)
    names = []

    def note(start, stop):
        names.extend([threading.current_thread().name] * (stop - start))

    _parallel.run_chunks(note, 40, 1)  # of which nobody knows how long it takes
    _parallel._pace(note, (), 40, 1)._item = 1e-6  # whoever did the chunks
    names.clear()
    _parallel.run_chunks(note, 40, 1)
    assert names == [threading.current_thread().name] * 40


def test_work_known_to_be_long_is_shared(all_is_shared):
    kernels.set_num_threads(2)
    both = threading.Barrier(2, timeout=30)  # breaks where one thread does both chunks

    def meet(start, stop):
        both.wait()

    for _ in range(3):
        _parallel.run_chunks(meet, 2, 1)


@pytest.mark.large
def test_four_threads_at_once_get_the_results_of_one(rng):
    kernels.set_num_threads(2)
    x, w = rng.standard_normal((12, 20, 20, 8)), rng.standard_normal((3, 3, 8, 16))
    alone = kernels.conv2d(x, w, backend="numba")
    results = [None] * 4

    with kernels.use_backend("numba"):

        def work(i):
            results[i] = [kernels.conv2d(x, w) for _ in range(10)]

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for got in results:
        for y in got:
            np.testing.assert_array_equal(y, alone)


def run_python(code, **environment):
    path = os.pathsep.join([str(Path(kernels.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", **environment},
        check=False,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_after_a_fork_has_a_pool_of_its_own():
    code = """
import os, numpy as np, fastscratch_kernels as k
k.set_num_threads(3); k.use_backend("numba")
x = np.ones((64, 32, 32, 16), np.float32)
y = k.avgpool2d(x, 2)
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(k.avgpool2d(x, 2), y) else 1)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = run_python(code)
    assert done.stdout.strip() == "child 0", done.stderr


def test_the_code_runs_without_the_compiler():
    code = """
import numpy as np, fastscratch_kernels as k
rng = np.random.default_rng(0)
x, w, b = rng.integers(-3, 4, (2, 8, 9, 3)), rng.integers(-3, 4, (3, 3, 3, 5)), rng.integers(-3, 4, 5)
x, w, b = (a.astype(np.float32) for a in (x, w, b))
results = {}
for name in ("numpy", "numba"):
    k.use_backend(name)
    y, argmax = k.conv2d_relu_maxpool2d(x, w, b, padding=1)
    dy = np.arange(y.size, dtype=np.float32).reshape(y.shape) % 5
    results[name] = [
        y, argmax, *k.conv2d_relu_maxpool2d_backward(dy, argmax, x, w, padding=1), k.conv2d(x, w, b),
        *k.maxpool2d(x, 3, stride=2, padding=1), k.avgpool2d(x, 2), k.im2col(x, 2),
    ]
for one, other in zip(results["numpy"], results["numba"], strict=True):
    np.testing.assert_array_equal(one, other)
print("equal")
"""
    done = run_python(code, NUMBA_DISABLE_JIT="1")
    assert done.stdout.strip() == "equal", done.stderr


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_the_cache_goes_where_it_is_told_to(tmp_path):
    code = "import numpy as np, fastscratch_kernels as k; k.im2col(np.ones((1, 3, 3, 1)), 2, backend='numba')"
    done = run_python(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.rglob("*.nbi") if "_im2col_images" in path.name]


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_where_nothing_can_be_cached_kernels_compile_and_say_so(monkeypatch):
    def no_folder(function):
        raise RuntimeError("cannot cache function 'f': no locator available")

    monkeypatch.setattr(_jit_numba, "_Cache", no_folder)
    with pytest.warns(RuntimeWarning, match="no locator available.*set NUMBA_CACHE_DIR"):
        double = _jit_numba.compiled(lambda number: 2 * number)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert double(4) == 8


def _twice(number):
    return 2 * number


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_code_in_the_cache_is_of_the_sources_of_all_kernels(monkeypatch):
    """A function's machine code holds that of functions in other files, which Numba does not look at."""

    def loads_and_compilations():
        function = _jit_numba.compiled(_twice)
        function(1)
        return function.stats.cache_hits.total(), function.stats.cache_misses.total()

    loads_and_compilations()
    assert loads_and_compilations() == (1, 0)
    monkeypatch.setattr(_jit_numba, "_SOURCES", uuid.uuid4().hex)
    assert loads_and_compilations() == (0, 1)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_compiling_is_said_once_and_loading_from_the_cache_is_not(tmp_path):
    code = """
import numpy as np, fastscratch_kernels as k
for dtype in (np.float32, np.float64):
    k.im2col(np.ones((1, 3, 3, 1), dtype), 2, backend="numba")
"""
    first, second = (run_python(code, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert first.stderr == (
        "compiling Numba kernels, once per machine; `fastscratch doctor --warm-up` does it ahead\n"
    )
    assert second.stderr == ""
