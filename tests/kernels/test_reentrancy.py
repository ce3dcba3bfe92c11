"""A kernel called while another one is about to begin, in the same thread: by a signal handler or a finalizer."""

import numpy as np
import pytest

import fastscratch_kernels as kernels
from fastscratch_kernels import backends

RNG = np.random.default_rng(0)


def numbers(*shape):
    return RNG.integers(-3, 4, shape).astype(np.float32)


def block(backend, size, channels, kernel):
    x, w, b = numbers(2, size, size, channels), numbers(kernel, kernel, channels, 24), numbers(24)
    out, argmax = kernels.conv2d_relu_maxpool2d(x, w, b, backend="numpy")
    dy = numbers(*out.shape)
    return {
        f"conv2d_relu_maxpool2d, {kernel}": lambda: kernels.conv2d_relu_maxpool2d(x, w, b, backend=backend),
        f"conv2d_relu_maxpool2d_backward, {kernel}": lambda: kernels.conv2d_relu_maxpool2d_backward(
            dy, argmax, x, w, backend=backend
        ),
    }


def convolution(backend, size, channels, algorithm):
    x, w = numbers(2, size, size, channels), numbers(3, 3, channels, 16)
    dy = numbers(2, size, size, 16)
    how = {"padding": 1, "backend": backend, "algorithm": algorithm}
    return {
        f"conv2d, {algorithm}": lambda: kernels.conv2d(x, w, **how),
        f"conv2d_backward, {algorithm}": lambda: kernels.conv2d_backward(dy, x, w, **how),
    }


def calls(backend, size, channels):
    """Return calls of kernels that keep memory for their next call, by name."""
    some = block(backend, size, channels, 3) | block(backend, size, channels, 5)
    some |= convolution(backend, size, channels, "direct")
    return some | convolution(backend, size, channels, "winograd") if backend == "cython" else some


def assert_undisturbed(wanted, got):
    for mine, other in zip(*((one,) if isinstance(one, np.ndarray) else one for one in (got, wanted)), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.skipif(backends()["cython"] is not None, reason="the Cython kernels have not been built")
@pytest.mark.parametrize("name", calls("cython", 12, 16))
def test_what_runs_before_a_kernel_begins_does_not_change_what_it_computes(name, monkeypatch):
    from fastscratch_kernels import _winograd_cython, conv2d_cython, conv2d_relu_maxpool2d_cython

    call, other = calls("cython", 12, 16)[name], calls("cython", 20, 32)[name]
    wanted = call()
    entered = []

    def interrupted():
        if not entered:
            entered.append(name)
            other()
        return 2

    for module in (_winograd_cython, conv2d_cython, conv2d_relu_maxpool2d_cython):
        monkeypatch.setattr(module, "get_num_threads", interrupted)
    got = call()
    assert entered
    assert_undisturbed(wanted, got)


@pytest.mark.parametrize("name", calls("numba", 12, 16))
def test_what_runs_inside_a_numba_kernel_does_not_change_what_it_computes(name, monkeypatch):
    """Its filters are laid out when it asks for threads: each time it does, something else is computed."""
    pytest.importorskip("numba")
    from fastscratch_kernels import _parallel

    call, other = calls("numba", 12, 16)[name], calls("numba", 20, 32)[name]
    other()  # leaves memory that is large enough for both
    wanted = call()
    busy, entered = [], []

    def interrupted():
        if not busy:
            busy.append(name)
            other()
            busy.clear()
            entered.append(name)
        return 2

    monkeypatch.setattr(_parallel, "threads_set", interrupted)
    got = call()
    assert entered
    assert_undisturbed(wanted, got)
