"""Denormal numbers count as zero while a convolution runs, in every thread that works on it, and nowhere else."""

import platform
import threading

import numpy as np
import pytest

import cases
import fastscratch_kernels as kernels
from assembly import assembly

COMPILED = [name for name in ("numba", "cython") if kernels.backends()[name] is None]
FLUSHING = [op for op in cases.CASES if op.startswith("conv2d")]
MOVING = ("im2col", "col2im", "maxpool2d", "avgpool2d", "relu", "look_up_levels", "crop_images")
KEEPING = [op for op in cases.CASES if op.startswith(MOVING)]
SMALL = ("x", "dy", "cols", "images", "table")
TINY = {"float32": 1e-40, "float64": 1e-310}


@pytest.fixture(autouse=True)
def restore_threads():
    before = kernels.get_num_threads()
    yield
    kernels.set_num_threads(before)


def keeps_denormals():
    """Compute with denormal numbers in this thread; return whether they are still there."""
    return all(np.dtype(dtype).type(tiny) * np.dtype(dtype).type(0.5) > 0 for dtype, tiny in TINY.items())


def flushes(backend):
    """Return whether the backend knows this machine's register; plain Python, without Numba's compiler, does not."""
    if backend == "numba":
        from fastscratch_kernels import _denormals_numba

        return _denormals_numba.machine() != ""
    return platform.machine().lower() in ("x86_64", "amd64", "aarch64", "arm64")


def call_with_denormals(op, dtype, backend):
    """Run `op` on denormal images and upstream gradients; filters stay as they are."""
    chosen = ("seven_images", "overlapping", "numbers")
    case = next((case for case in cases.CASES[op] if case.id in chosen), cases.CASES[op][0])
    arrays, how = cases.arguments(op, case, "integers", dtype)
    scaled = {
        name: array * array.dtype.type(TINY[dtype]) if name in SMALL and array.dtype == dtype else array
        for name, array in arrays.items()
    }
    if "b" in scaled:
        scaled["b"] = np.zeros_like(scaled["b"])
    return cases.call(op, scaled, how, backend)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("backend", COMPILED)
@pytest.mark.parametrize("op", FLUSHING)
def test_convolutions_take_denormals_as_zero(op, backend, dtype):
    if not flushes(backend):
        pytest.skip("denormals are kept here")
    kernels.set_num_threads(2)
    assert any(out.any() for out in call_with_denormals(op, dtype, "numpy"))
    for out in call_with_denormals(op, dtype, backend):
        if out.dtype == dtype:
            assert not out.any()
    assert keeps_denormals()


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("backend", COMPILED)
@pytest.mark.parametrize("op", KEEPING)
def test_other_ops_keep_them(op, backend, dtype):
    """They move or compare numbers, and 1e-40 is larger than 0."""
    wanted = call_with_denormals(op, dtype, "numpy")
    assert any(out.any() for out in wanted)
    for got, one in zip(call_with_denormals(op, dtype, backend), wanted, strict=True):
        np.testing.assert_allclose(got, one, rtol=0, atol=2e-45 if dtype == "float32" else 1e-323)
    assert keeps_denormals()


class TestThreads:
    """Of Numba's pool: chunks are Python functions here, which see what state their thread is in."""

    THREADS = 3

    @pytest.fixture(autouse=True)
    def pool(self):
        pytest.importorskip("numba")
        from fastscratch_kernels import _parallel

        if not flushes("numba"):
            pytest.skip("denormals are kept here")
        self.run_chunks = _parallel.run_chunks
        kernels.set_num_threads(self.THREADS)

    def states(self, **how):
        """Let every thread take one chunk; return what each one saw, by its name."""
        seen, together = {}, threading.Barrier(self.THREADS)

        def look(start, stop):
            together.wait(timeout=20)
            seen[threading.current_thread().name] = keeps_denormals()

        self.run_chunks(look, self.THREADS, 1, **how)
        assert len(seen) == self.THREADS
        return set(seen.values())

    def test_each_of_them_flushes_and_is_put_back(self):
        assert self.states() == {False}
        assert keeps_denormals()
        assert self.states(flush=False) == {True}

    @pytest.mark.parametrize("threads", [1, 3])
    def test_after_an_error_too(self, threads):
        kernels.set_num_threads(threads)

        def fail(start, stop):
            assert not keeps_denormals()
            raise ArithmeticError("of a chunk")

        with pytest.raises(ArithmeticError, match="of a chunk"):
            self.run_chunks(fail, 6, 1)
        assert keeps_denormals()
        kernels.set_num_threads(self.THREADS)
        assert self.states(flush=False) == {True}

    @pytest.mark.parametrize("threads", [1, 3])
    def test_after_an_interrupt_that_comes_as_soon_as_they_are_flushed(self, threads, monkeypatch):
        from fastscratch_kernels import _parallel

        flush, caller = _parallel.flush_denormals, threading.current_thread()

        def flush_and_raise():
            state = flush()
            if threading.current_thread() is caller:
                raise KeyboardInterrupt
            return state

        monkeypatch.setattr(_parallel, "flush_denormals", flush_and_raise)
        kernels.set_num_threads(threads)
        with pytest.raises(KeyboardInterrupt):
            self.run_chunks(lambda start, stop: None, 6, 1)
        assert keeps_denormals()

    def test_what_was_set_before_stays_set(self):
        from fastscratch_kernels._denormals_numba import flush_denormals, restore_denormals

        outer = flush_denormals()
        try:
            inner = flush_denormals()
            restore_denormals(inner)
            assert not keeps_denormals()
        finally:
            restore_denormals(outer)
        assert keeps_denormals()


@pytest.mark.parametrize(
    ("machine", "instructions"),
    [("x86_64", ("stmxcsr", "ldmxcsr")), ("aarch64", ("mrs\tx0, FPCR", "msr\tFPCR, x0"))],
)
def test_the_instructions_of_every_machine_that_is_known(machine, instructions):
    """Translated here, for whichever of the machines this one is not."""
    ir = pytest.importorskip("llvmlite.ir")

    from fastscratch_kernels import _denormals_numba

    module = ir.Module()
    wide = ir.IntType(64)
    read = ir.IRBuilder(ir.Function(module, ir.FunctionType(wide, []), "read").append_basic_block())
    read.ret(_denormals_numba.emit_read(read, machine))
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [wide]), "write")
    write = ir.IRBuilder(function.append_basic_block())
    _denormals_numba.emit_write(write, machine, function.args[0])
    write.ret_void()
    code = assembly(module, machine)
    for instruction in instructions:
        assert instruction in code
    assert machine in _denormals_numba.FLUSH
