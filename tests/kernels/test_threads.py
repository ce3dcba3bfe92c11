"""One number of threads for all libraries below, and results that do not depend on it."""

import concurrent.futures
import itertools
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import cases
import fastscratch_kernels as kernels
from fastscratch_kernels import _threads
from tolerances import KERNELS, assert_close


@pytest.fixture(autouse=True)
def one_number_before_and_after():
    """Give the number of threads back."""
    before = _threads._num_threads
    with threadpool_limits():  # remembers the libraries' own numbers
        yield
    _threads._num_threads = before


# Large enough for a library to cut them up: a batch of the report's second layer, with an odd number of images.
LARGE_CONVOLUTION = cases.Windows("large", (17, 15, 15, 32), (5, 5), 64)
LARGE_FUSED = cases.Windows("large", (17, 15, 15, 32), (3, 3), 64)
LARGE_POOLING = cases.Pool("large", (33, 29, 29, 32), (3, 3), (2, 2), (1, 1))
LARGE_NORM = cases.Norm("large", (9, 29, 29, 32), relu=True)


def large_arguments(op):
    """Return random arrays of a size of a training step, and the other arguments; outputs of the forward pass too."""
    rng = np.random.default_rng(5)

    def array(shape):
        return rng.standard_normal(shape).astype(np.float32)

    if "pool2d" in op and not op.startswith("conv2d"):
        case = LARGE_POOLING
        how = {"kernel_size": case.kernel, **case.windows}
        if not op.endswith("_backward"):
            return {"x": array(case.x)}, how
        x = array(case.x)
        y, argmax = kernels.maxpool2d(x, **how)
        rest = {"argmax": argmax} if op.startswith("max") else {}
        return {"dy": array(y.shape), **rest}, {"input_shape": case.x, **how}
    if "channel" in op or "norm" in op:
        return cases.arguments(op, LARGE_NORM, "normal", "float32")
    if op in ("relu", "relu_backward"):
        return cases.arguments(op, cases.Numbers("large", (9, 29, 29, 32)), "normal", "float32")
    if op.endswith("_step"):
        return cases.arguments(op, cases.Step("large", 100_001, {"lr": 0.1}), "normal", "float32")
    if op in ("log_softmax", "cross_entropy_backward"):
        return cases.arguments(op, cases.Logits("large", (300, 10)), "normal", "float32")
    if op in ("look_up_levels", "crop_images"):
        return cases.arguments(op, cases.Batch("large", (65, 32, 32, 3)), "normal", "float32")
    case = LARGE_FUSED if "pool" in op else LARGE_CONVOLUTION
    x, w, b = array(case.x), array(case.w), array((case.filters,))
    if op == "im2col":
        return {"x": x}, {"kernel_size": case.kernel}
    if op == "col2im":
        cols = (case.x[0], *case.grid, case.kernel[0] * case.kernel[1] * case.x[3])
        return {"cols": array(cols)}, {"input_shape": case.x, "kernel_size": case.kernel}
    if not op.endswith("_backward"):
        return {"x": x, "w": w, "b": b}, {}
    if op == "conv2d_backward":
        return {"dy": array((case.x[0], *case.grid, case.filters)), "x": x, "w": w}, {}
    y, argmax = kernels.conv2d_relu_maxpool2d(x, w, b)
    return {"dy": array(y.shape), "argmax": argmax, "x": x, "w": w}, {}


@pytest.mark.large
@pytest.mark.parametrize(
    ("op", "backend"), [pytest.param(op, name) for op in cases.CASES for name in kernels.available(op)]
)
def test_results_do_not_depend_on_the_number_of_threads(op, backend, all_is_shared):
    """Bit for bit, but for the matrix products of the NumPy column.

    Those are the BLAS library's, which cuts the rows by the number of threads and rounds the rows at the cuts in
    another order; its results stay within the tolerance of any other order.
    """
    arrays, how = large_arguments(op)
    results = []
    for threads in (1, 2, 3):
        kernels.set_num_threads(threads)
        results.append(cases.call(op, arrays, how, backend))
    blas = backend == "numpy" and op.startswith("conv2d")
    for other in results[1:]:
        for name, got, wanted in zip(cases.OUTPUTS[op], other, results[0], strict=True):
            if wanted is None:
                assert got is None, name
            elif blas and name == "argmax":
                assert np.mean(got != wanted) < 1e-3, name  # near ties
            elif blas:
                scale = np.abs(wanted).max()
                assert_close(got / scale, wanted / scale, KERNELS[op, "float32"], name)
            else:
                assert got.tobytes() == wanted.tobytes(), name


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("backend", kernels.available("maxpool2d"))
def test_pooling_over_many_places_does_not_depend_on_the_number_of_threads(backend, dtype, all_is_shared):
    """Windows whose places need more than a byte have loops of their own."""
    case = cases.Pool("many_places", (5, 40, 33, 3), (17, 16), (8, 5), (3, 8))
    results = []
    for threads in (1, 2, 3):
        kernels.set_num_threads(threads)
        results.append([
            array.tobytes()
            for op in ("maxpool2d", "maxpool2d_backward")
            for array in cases.call(op, *cases.arguments(op, case, "special", dtype), backend)
        ])
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("backend", [name for name in kernels.available("maxpool2d") if name != "numpy"])
def test_pooling_over_many_places_lets_other_threads_run(backend):
    """For most of the time: a kernel that held the interpreter's lock would stop this one for as long as it takes."""
    x = np.random.default_rng(3).standard_normal((32, 64, 64, 32), dtype=np.float32)
    _, argmax = kernels.maxpool2d(x, 16, stride=4, backend=backend)
    dy = np.ones(argmax.shape, np.float32)

    def pool():
        begun = time.perf_counter()
        kernels.maxpool2d(x, 16, stride=4, backend=backend)
        kernels.maxpool2d_backward(dy, argmax, x.shape, 16, stride=4, backend=backend)
        span.extend((begun, time.perf_counter()))

    for _ in range(3):  # others on this machine may stop both threads
        span, ticks = [], [time.perf_counter()]
        thread = threading.Thread(target=pool)
        thread.start()
        while thread.is_alive():
            time.sleep(1e-3)
            ticks.append(time.perf_counter())
        thread.join()
        longest = max(later - earlier for earlier, later in itertools.pairwise(ticks))
        if longest < (span[1] - span[0]) / 2:
            return
    pytest.fail(f"stopped for {longest} of {span[1] - span[0]} seconds")


@pytest.mark.parametrize("op", ["conv2d", "conv2d_backward"])
def test_one_number_of_threads_gives_the_same_bits_each_time(op):
    arrays, how = large_arguments(op)
    kernels.set_num_threads(2)
    first = cases.call(op, arrays, how, "numpy")
    for _ in range(3):
        for got, wanted in zip(cases.call(op, arrays, how, "numpy"), first, strict=True):
            assert got.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("backend", [name for name, reason in kernels.backends().items() if reason is None])
def test_kernels_may_be_called_from_several_threads_at_once(backend):
    """A loader's thread augments while the main thread trains."""
    case = cases.CONVOLUTIONS[0]
    jobs = [(op, case) for op in ("im2col", "conv2d", "conv2d_backward")] * 8

    def run(job):
        op, case = job
        return cases.call(op, *cases.arguments(op, case, "integers", "float32"), backend)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for (op, case), outputs in zip(jobs, pool.map(run, jobs), strict=True):
            for got, wanted in zip(outputs, cases.expected(op, case, "integers", "float32"), strict=True):
                np.testing.assert_array_equal(got, wanted)


def test_the_number_set_is_the_number_told():
    kernels.set_num_threads(2)
    assert kernels.get_num_threads() == 2
    kernels.set_num_threads(np.int64(1))
    assert kernels.get_num_threads() == 1


def test_none_sets_the_cores_that_the_process_may_use():
    kernels.set_num_threads()
    assert kernels.get_num_threads() == kernels.available_cores()


def test_the_blas_library_below_numpy_follows():
    for threads in (1, 2):
        kernels.set_num_threads(threads)
        blas = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
        assert blas
        assert set(blas) == {threads}


def test_the_cores_are_at_least_one_and_no_more_than_there_are():
    assert 1 <= kernels.available_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("membership", "files", "wanted"),
    [
        ("0::/", {}, 8),
        ("0::/", {"cpu.max": "max 100000\n"}, 8),
        ("0::/", {"cpu.max": "250000 100000\n"}, 3),
        ("0::/", {"cpu.max": "1000 100000\n"}, 1),
        ("0::/pod/one", {"pod/one/cpu.max": "500000 100000\n", "pod/cpu.max": "400000 100000\n"}, 4),
        ("0::/elsewhere", {"cpu.max": "200000 100000\n"}, 2),  # a container sees its own group as the root
        ("4:memory:/\n2:cpuacct,cpu:/job", {
            "cpu/job/cpu.cfs_quota_us": "150000\n", "cpu/job/cpu.cfs_period_us": "100000\n",
            "cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n",
        }, 2),
    ],
)  # fmt: skip
def test_quotas_of_control_groups_count(membership, files, wanted, tmp_path, monkeypatch):
    (tmp_path / "own").write_text(f"{membership}\n")
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text)
    monkeypatch.setattr(_threads, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(_threads, "CONTROL_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert _threads.available_cores.__wrapped__() == wanted


@pytest.mark.parametrize("wrong", [0, -1, 4097, 10**30])
def test_too_few_and_too_many_threads_are_refused(wrong):
    with pytest.raises(ValueError, match=f"the number of threads must be from 1 to 4096, got {wrong}"):
        kernels.set_num_threads(wrong)


@pytest.mark.parametrize("wrong", [1.5, "2"])
def test_a_number_of_threads_is_an_int(wrong):
    with pytest.raises(TypeError, match="the number of threads must be an int"):
        kernels.set_num_threads(wrong)


def run_python(code, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_environment_sets_the_number():
    done = run_python("import fastscratch_kernels as k; print(k.get_num_threads())", FASTSCRATCH_NUM_THREADS="3")
    assert done.stdout.strip() == "3", done.stderr


@pytest.mark.parametrize("wrong", ["0", "-1", "two", "1.5", "", "4097", "9" * 5000])
def test_a_wrong_number_in_the_environment_is_told(wrong):
    done = run_python("import fastscratch_kernels as k; k.get_num_threads()", FASTSCRATCH_NUM_THREADS=wrong)
    assert f"FASTSCRATCH_NUM_THREADS must be a whole number from 1 to 4096, got {wrong!r}" in done.stderr
