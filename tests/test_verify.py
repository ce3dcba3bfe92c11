"""``fastscratch doctor --verify`` and ``--warm-up``: right kernels pass, wrong ones are found."""

import logging
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastscratch_kernels as kernels
from fastscratch import op_cases
from fastscratch.op_cases import (
    Batch,
    Convolution,
    Dense,
    Normalization,
    Pooling,
    Rectified,
    Softmax,
    Update,
    every_call,
)
from fastscratch.verify import EPS, FACTOR, FAST_LIMIT, FLOOR, SHORTENED_FACTOR, Row, verify, worst
from fastscratch_kernels import _registry
from small_run import call

HERE = tuple(name for name, reason in kernels.backends().items() if reason is None)
SMALL = (
    Convolution((2, 7, 6, 3), (3, 2), 5, {"padding": (1, 0)}, patches=True),
    Convolution((2, 8, 7, 3), (3, 3), 5, pool={"pool_kernel_size": (2, 2), "pool_padding": (1, 1)}),
    Pooling((2, 6, 7, 3), {"kernel_size": (3, 2), "stride": (2, 2), "padding": (1, 1)}),
    Dense(3, 8, 4),
    Normalization((2, 4, 5, 3)),
    Rectified((3, 4)),
    Softmax(3, 4),
    Update(9),
    Batch((3, 4, 5, 3)),
)
OPS = sorted({one.op for one in every_call()})


@pytest.fixture
def small_cases(monkeypatch):
    """Let the commands work on shapes that take no time."""
    monkeypatch.setattr(op_cases, "CASES", SMALL)


@pytest.fixture(params=[name for name in HERE if name != "numpy"])
def spoil(request, monkeypatch):
    """Return a function that replaces an op of a compiled backend by itself and a mistake in an output."""
    backend = request.param

    def replace(op, mistake):
        taken, right = _registry.find(op, backend)

        def wrong(*arguments):
            right(*arguments)
            mistake(*arguments)

        monkeypatch.setitem(_registry._functions, (op, backend), (taken, wrong))
        return backend

    return replace


def rows_of(calls, torch_ops=None):
    return [row for rows in verify(calls, HERE, torch_ops or {}) for row in rows]


# -- the calls ---------------------------------------------------------------------------------------------------------


def test_every_op_is_called_and_the_small_cases_call_them_too():
    dense = {"linear", "linear_backward"}  # public, and computed as a convolution
    assert set(OPS) == set(_registry.KERNELS) | dense
    assert {one.op for case in SMALL for one in case.calls(np.random.default_rng(0))} == set(OPS)


def test_the_calls_are_the_same_each_time_and_other_ones_for_another_seed():
    first, again, other = (next(every_call(seed)).arrays["x"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_call_converts_numbers_and_leaves_places_alone():
    for one in SMALL[1].calls(np.random.default_rng(0)):
        for dtype in (np.float32, np.float64):
            outputs = one.run(dtype, "numpy")
            assert list(outputs) == list(one.terms)
            assert {array.dtype for name, array in outputs.items() if name != "argmax"} == {np.dtype(dtype)}


# -- right kernels -----------------------------------------------------------------------------------------------------


def test_right_kernels_pass_without_pytorch(small_cases):
    rows = rows_of(every_call())
    assert {row.op for row in rows} == set(OPS)
    assert {row.backend for row in rows} == set(HERE)
    assert [row for row in rows if not row.ok] == []
    assert all(row.torch_error is None for row in rows)
    assert all(row.ulps == 0 for row in rows if row.backend == "numpy")
    assert max(row.error for row in rows) > EPS / 2  # something was measured


@pytest.mark.torch
@pytest.mark.usefixtures("one_torch_thread")
def test_pytorch_computes_the_same_ops():
    pytest.importorskip("torch")
    from fastscratch.interop.torch_ops import OPS as TORCH_OPS

    assert set(TORCH_OPS) <= set(OPS)
    for one in every_call():
        if one.op not in TORCH_OPS:
            continue
        arrays = {name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in one.arrays.items()}
        theirs = TORCH_OPS[one.op](**arrays, **one.how)
        ours = [array for name, array in one.run(np.float64, "numpy").items() if name != "argmax"]
        assert len(theirs) == len(ours)
        for got, wanted in zip(theirs, ours, strict=True):
            assert got.shape == wanted.shape
            assert got.dtype == wanted.dtype
            np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-13 * np.abs(wanted).max(), err_msg=str(one))


@pytest.mark.torch
@pytest.mark.usefixtures("one_torch_thread")
def test_every_algorithm_is_held_to_pytorchs_error():
    pytest.importorskip("torch")
    from fastscratch.interop.torch_ops import OPS as TORCH_OPS

    rows = rows_of(every_call(), TORCH_OPS)
    theirs = [row for row in rows if row.backend == "PyTorch"]
    assert {row.op for row in theirs} == set(TORCH_OPS)
    assert [row for row in theirs if not row.ok] == []
    errors = {(row.op, row.shape, row.output): row.error for row in theirs}
    for row in rows:
        if row.backend == "PyTorch" or row.output == "argmax":
            continue
        if row.op not in TORCH_OPS:
            assert row.torch_error is None
            continue
        assert row.torch_error == errors[row.op, row.shape, row.output]
        shortened = row.op == "conv2d_relu_maxpool2d" and "5 x 5 to" in row.shape
        factor = SHORTENED_FACTOR if shortened and row.algorithm in ("auto", "winograd") else FACTOR
        fast = row.algorithm == "winograd, fast"
        assert row.limit == (FAST_LIMIT if fast else max(FLOOR, factor * row.torch_error))
        assert row.ok, row
    for backend in HERE:
        here = {row.algorithm for row in rows if row.backend == backend and row.op == "conv2d_relu_maxpool2d"}
        assert here == {"auto", *kernels.algorithms(backend)}
    if "cython" in HERE:
        squares = {row.shape for row in rows if row.algorithm == "winograd, fast"}
        assert len(squares) == 3
        assert all("3 x 3 to" in shape for shape in squares)


# -- wrong ones --------------------------------------------------------------------------------------------------------


class TestAWrongKernelIsFound:
    """Each of these mistakes changes one number of an output, or all of them by a little."""

    @pytest.fixture(autouse=True)
    def _small(self, small_cases):
        pass

    def misses(self, op, backend, output, also=()):
        rows = rows_of(every_call())
        missed = {(row.op, row.output, row.backend) for row in rows if not row.ok}
        assert missed == {(name, output, backend) for name in (op, *also)}

    def test_a_number_that_was_not_written(self, spoil):
        def leave_out(x, w, b, out, *how):
            out[-1, -1, -1, -1] = np.nan

        self.misses("conv2d", spoil("conv2d", leave_out), "y", also=["linear"])

    def test_a_forgotten_bias_gradient(self, spoil):
        def forget(dy, x, w, dx, dw, db, *how):
            db[0] = 0

        self.misses("conv2d_backward", spoil("conv2d_backward", forget), "db", also=["linear_backward"])

    def test_a_sum_that_lacks_digits(self, spoil):
        def blur(dy, argmax, x, w, dx, dw, db, *how):
            dw *= dw.dtype.type(1 + 1e-4)

        op = "conv2d_relu_maxpool2d_backward"
        self.misses(op, spoil(op, blur), "dw")

    def test_a_place_that_is_not_the_largest(self, spoil):
        def confuse(x, out, argmax, *how):
            argmax[0, 1, 1, 0] = (argmax[0, 1, 1, 0] + 1) % 6

        self.misses("maxpool2d", spoil("maxpool2d", confuse), "argmax")

    @pytest.mark.parametrize("place", [0, 6, 200])
    def test_a_place_in_the_border_or_outside_the_window(self, spoil, place):
        def point_there(x, out, argmax, *how):
            argmax[0, 0, 0, 0] = place

        self.misses("maxpool2d", spoil("maxpool2d", point_there), "argmax")

    def test_a_window_that_is_called_dead_and_lives(self, spoil):
        def switch_off(x, w, b, out, argmax, *how):
            argmax[out == out.max()] = 255

        self.misses("conv2d_relu_maxpool2d", spoil("conv2d_relu_maxpool2d", switch_off), "argmax")

    def test_the_command_says_so_and_exits_with_1(self, spoil):
        def leave_out(x, out, *how):
            out[0, 0, 0, 0] = np.nan

        backend = spoil("im2col", leave_out)
        code, out, err = call("doctor", "--verify")
        assert (code, err) == (1, "")
        assert f"miss: im2col (auto, {backend}) of 2 x 7 x 6 x 3, 3 x 2 to 5, padding 1 x 0: error of cols nan" in out
        (row,) = [line for line in out.splitlines() if line.startswith("im2col") and f" {backend} " in line]
        assert row.endswith("MISS")
        assert "1 of " in out.splitlines()[-1]


def test_pytorch_is_held_to_the_reference_too(small_cases):
    """Else a PyTorch that computes something else would allow everything."""

    def wrong(x, kernel_size, **how):
        return (kernels.avgpool2d(x, kernel_size, **how, backend="numpy") + 1,)

    rows = rows_of(every_call(), {"avgpool2d": wrong})
    assert {(row.op, row.backend) for row in rows if not row.ok} == {("avgpool2d", "PyTorch")}


def test_the_worst_row_of_each_group():
    def row(error, **other):
        words = {"op": "conv2d", "output": "y", "shape": "", "algorithm": "auto", "backend": "numpy"}
        return Row(**{**words, **other}, ulps=0, error=error, torch_error=None, limit=1.0)

    rows = [row(0.5), row(0.7), row(0.1), row(0.2, backend="numba"), row(3.0, op="a"), row(math.nan, op="a")]
    found = worst(rows)
    assert [(one.op, one.backend) for one in found] == [("a", "numpy"), ("conv2d", "numpy"), ("conv2d", "numba")]
    assert math.isnan(found[0].error)
    assert not found[0].ok
    assert found[1].error == 0.7
    assert row(1.0).ok
    assert not row(1.1).ok


# -- the commands ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_cases")
def test_right_kernels_are_a_table_and_exit_code_0(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastscratch.interop.torch_ops", None)  # as if PyTorch were missing
    code, out, err = call("doctor", "--verify")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    heads, *lines = out.splitlines()
    assert heads.split() == ["op", "output", "algorithm", "backend", "ulps", "error", "PyTorch", "limit", "verdict"]
    told = {(words[0], words[2].rstrip(","), words[-6]) for line in lines if (words := line.split())[-1:] == ["ok"]}
    assert {(op, "auto", backend) for op in OPS for backend in HERE} <= told
    assert "limit: 4 eps of float32" in out
    assert "the root of the number of terms" in out
    assert "outputs are right" in lines[-1]


@pytest.mark.usefixtures("small_cases")
def test_a_backend_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(_registry._reasons, "cython", "not built (cure: reinstall)")
    code, out, _ = call("doctor", "--verify")
    assert code == 0
    assert "not verified: cython: not built (cure: reinstall)" in out
    assert " cython " not in out


@pytest.mark.skipif("numba" not in HERE, reason="Numba is not here")
class TestWarmUp:
    def test_it_says_where_the_cache_is(self, small_cases):
        level = logging.getLogger("fastscratch_kernels").level
        code, out, err = call("doctor", "--warm-up")
        assert (code, err) == (0, "")
        folder = kernels.numba_cache()
        if folder is None:
            assert "nothing is kept" in out
        else:
            assert out.endswith(f"cache: {folder}\n")
            assert list(folder.glob("*im2col_images*.nbi"))
        assert logging.getLogger("fastscratch_kernels").level == level

    def test_both_at_once(self, small_cases):
        code, out, _ = call("doctor", "--warm-up", "--verify")
        assert out.index("Numba kernels are compiled") < out.index("verdict")
        assert code == 0

    def test_without_numba_it_is_a_users_mistake(self, monkeypatch):
        monkeypatch.setitem(_registry._reasons, "numba", "No module named 'numba' (cure: pip install numba)")
        monkeypatch.setattr(_registry, "_functions", {})
        code, _, err = call("doctor", "--warm-up")
        assert code == 2
        assert err == (
            "fastscratch doctor: backend 'numba' is not available: No module named 'numba' (cure: pip install numba)\n"
        )

    @pytest.mark.slow
    @pytest.mark.timeout(400)
    def test_it_compiles_every_kernel_for_both_types(self):
        """In a process of its own, where nothing else has compiled them; functions called by compiled ones go along."""
        code = f"""
import importlib, pkgutil
from pathlib import Path
import numba
from fastscratch.op_cases import every_call
from fastscratch.warm_up import warm_up
list(warm_up(every_call()))
for info in pkgutil.iter_modules([{str(Path(kernels.__file__).parent)!r}]):
    if not info.name.endswith("_numba"):
        continue
    module = importlib.import_module("fastscratch_kernels." + info.name)
    for name, function in vars(module).items():
        if getattr(function, "targetoptions", dict()).get("_nrt") and function.__module__ == module.__name__:
            types = [str(t.dtype) for one in function.signatures for t in one if hasattr(t, "dtype")]
            print(info.name, name, *sorted(set(types) & set(("float32", "float64"))))
"""
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "NUMBA_DISABLE_JIT": "0"}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        compiled = [line.split() for line in done.stdout.splitlines()]
        assert len(compiled) > 20
        for module, name, *floats in compiled:
            # Those that set a thread's state take no arrays, one moves bytes, whatever they stand for, and some count.
            neither = module in ("_denormals_numba", "_waiting_numba", "crop_images_numba")
            assert floats == ([] if neither else ["float32", "float64"]), f"{module}.{name}"
