"""Every op alone, on every engine: forward and backward, each shape of `shapes.py`, one thread and all.

Each case first compares its result with the NumPy kernels', then is timed by pytest-benchmark. A group is one op on one
shape; its table has a line an engine.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import limits
import numpy as np
import pytest
from engine_fastscratch import FastscratchEngine
from record import Section
from shapes import ALL, BLOCKS, CONVOLUTIONS, DENSE, FLAT, PATCHES, POOLINGS, AnyShape, Flat, key
from tasks import Task

import fastscratch_kernels as kernels

ENGINES = ("numpy", "numba", "cython", "torch-contiguous", "torch-channels_last", "jax")
# float64 is for gradient checks; that its kernels are no slower than they should be shows on the small network.
_IN_LAYERS: tuple[AnyShape, ...] = (*CONVOLUTIONS, *BLOCKS, *POOLINGS, *DENSE, *PATCHES)
FLOAT64 = tuple(key(shape) for shape in _IN_LAYERS if shape.name.startswith("baseline"))
CASES = [
    (dtype, name, backward)
    for dtype, names in (("float32", ALL), ("float64", FLOAT64))
    for name in names
    for backward in (False, True)
    if not (backward and isinstance(shape := ALL[name], Flat) and not shape.both_ways)
]
WAYS = ("forward", "backward")
NOT_IN_JAX = frozenset(key(shape) for shape in FLAT if shape.op != "log_softmax")
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}
"""Largest difference from the NumPy kernels, relative to the largest number."""

PEAK = {"float32": ("share_of_sgemm", "flops"), "float64": ("share_of_dgemm", "flops_float64")}
"""What the operations of a dtype are held to: the share's name, and that of the limit."""

WRITTEN_EVERY = 100
"""Rows between two writes of the results file: a disk disturbs."""


def _engine(name: str) -> Any:
    """Return an engine; skip where it is not installed."""
    if name.startswith("torch"):
        pytest.importorskip("torch")
        from engine_torch import TorchEngine

        return TorchEngine(name.removeprefix("torch-"))
    if name == "jax":
        pytest.importorskip("jax")
        from engine_jax import JaxEngine

        return JaxEngine()
    if (reason := kernels.backends()[name]) is not None:
        pytest.skip(reason)
    return FastscratchEngine(name)


def _set_threads(engine: str, threads: int) -> None:
    if engine.startswith("torch"):
        import torch

        torch.set_num_threads(threads)
    kernels.set_num_threads(threads)


@functools.lru_cache(maxsize=4)
def _wanted(name: str, batch: int, dtype: str, backward: bool) -> list[np.ndarray]:
    with kernels.use_backend("numpy"):
        return FastscratchEngine("numpy").op(ALL[name], batch, dtype, backward).result()


def _check(task: Task, name: str, batch: int, dtype: str, backward: bool) -> None:
    for got, wanted in zip(task.result(), _wanted(name, batch, dtype, backward), strict=True):
        allowed = TOLERANCE[dtype] * float(np.abs(wanted).max(initial=0))
        np.testing.assert_allclose(got, wanted, rtol=0, atol=allowed, err_msg=name)


@pytest.fixture(autouse=True)
def _settings_come_back() -> Iterator[None]:
    threads = kernels.get_num_threads()
    with kernels.use_backend(kernels.selected_backend()):
        yield
    kernels.set_num_threads(threads)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Measure with one thread and with all; `--quick` with one."""
    all_threads = () if metafunc.config.getoption("--quick") else (kernels.available_cores(),)
    metafunc.parametrize("threads", sorted({1, *all_threads}), ids="threads{}".format)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("dtype", "name", "backward"), CASES, ids=[f"{name}-{dtype}-{WAYS[backward]}" for dtype, name, backward in CASES]
)
def bench_op(
    benchmark: Any,
    request: pytest.FixtureRequest,
    results: Section | None,
    name: str,
    dtype: str,
    backward: bool,
    threads: int,
    engine: str,
) -> None:
    """Compare one op on one shape with NumPy's result, then time it."""
    quick = request.config.getoption("--quick")
    shape = ALL[name]
    batch = 1 if quick else shape.batch
    _wanted(name, batch, dtype, backward)  # before the engine chooses its backend
    side = _engine(engine)
    if engine == "jax" and name in NOT_IN_JAX:
        pytest.skip("left to other libraries by JAX")
    if engine == "jax" and not quick and threads != kernels.available_cores():
        pytest.skip("JAX keeps the threads that it began with")
    _set_threads(engine, threads)
    task = side.op(shape, batch, dtype, backward)
    _check(task, name, batch, dtype, backward)

    way = WAYS[backward]
    benchmark.group = f"{name} {way}, batch {batch}, {dtype}, threads: {threads}"
    work = _work(shape, batch, dtype, backward)
    benchmark.extra_info.update(work | {"engine": engine, "threads": threads, "batch": batch})
    benchmark(task.call)
    if benchmark.stats is None or results is None:  # run as a test
        return
    stats = benchmark.stats.stats
    rates = {
        "gflops": work["flops"] / stats.median / 1e9,
        PEAK[dtype][0]: work["flops"] / stats.median / limits.measure(threads, quick)[PEAK[dtype][1]],
        "share_of_bandwidth": work["bytes"] / stats.median / limits.measure(threads, quick)["bytes"],
    }
    benchmark.extra_info.update(rates)
    what = {"shape": name, "pass": way, "dtype": dtype, "median": stats.median, "least": stats.min}
    rows = results.data["rows"]
    rows.append(what | dict(benchmark.extra_info))
    if len(rows) % WRITTEN_EVERY == 0:
        results.write()


def _work(shape: AnyShape, batch: int, dtype: str, backward: bool) -> dict[str, int]:
    """Return the operations of the dense algorithm, and the bytes that have to move."""
    return {
        "flops": shape.flops(batch, backward),
        "bytes": shape.bytes(batch, backward, np.dtype(dtype).itemsize),
    }
