"""A kernel called while another one is about to begin, in the same thread: by a signal handler or a finalizer."""

import numpy as np
import pytest

import fastscratch_kernels as kernels
from fastscratch_kernels import backends

pytestmark = pytest.mark.skipif(backends()["cython"] is not None, reason="the Cython kernels have not been built")

RNG = np.random.default_rng(0)


def numbers(*shape):
    return RNG.integers(-3, 4, shape).astype(np.float32)


def block(size, channels):
    x, w, b = numbers(2, size, size, channels), numbers(3, 3, channels, 8), numbers(8)
    out, argmax = kernels.conv2d_relu_maxpool2d(x, w, b, backend="numpy")
    dy = numbers(*out.shape)
    return {
        "conv2d_relu_maxpool2d": lambda: kernels.conv2d_relu_maxpool2d(x, w, b, backend="cython"),
        "conv2d_relu_maxpool2d_backward": lambda: kernels.conv2d_relu_maxpool2d_backward(
            dy, argmax, x, w, backend="cython"
        ),
    }


def convolution(size, channels, algorithm):
    x, w = numbers(2, size, size, channels), numbers(3, 3, channels, 16)
    dy = numbers(2, size, size, 16)
    how = {"padding": 1, "backend": "cython", "algorithm": algorithm}
    return {
        f"conv2d, {algorithm}": lambda: kernels.conv2d(x, w, **how),
        f"conv2d_backward, {algorithm}": lambda: kernels.conv2d_backward(dy, x, w, **how),
    }


CALLS, OTHERS = (
    block(size, channels) | convolution(size, channels, "direct") | convolution(size, channels, "winograd")
    for size, channels in ((12, 16), (20, 32))
)


@pytest.mark.parametrize("name", CALLS)
def test_what_runs_before_a_kernel_begins_does_not_change_what_it_computes(name, monkeypatch):
    from fastscratch_kernels import _winograd_cython, conv2d_cython, conv2d_relu_maxpool2d_cython

    wanted = CALLS[name]()
    entered = []

    def interrupted():
        if not entered:
            entered.append(name)
            OTHERS[name]()
        return 2

    for module in (_winograd_cython, conv2d_cython, conv2d_relu_maxpool2d_cython):
        monkeypatch.setattr(module, "get_num_threads", interrupted)
    got = CALLS[name]()
    assert entered
    for mine, other in zip(*((one,) if isinstance(one, np.ndarray) else one for one in (got, wanted)), strict=True):
        np.testing.assert_array_equal(mine, other)
