"""What holds for every geometry: drawn by Hypothesis, for every backend.

With small whole numbers all sums are exact, so that these are equalities.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cases
import fastscratch_kernels as kernels
import oracles
from fastscratch_kernels.shapes import output_size

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True, database=None)
BACKENDS = [name for name, reason in kernels.backends().items() if reason is None]


def pairs(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw):
    """Draw a geometry of a convolution in which at least one window fits."""
    kernel, dilation, padding = draw(pairs(1, 3)), draw(pairs(1, 3)), draw(pairs(0, 3))
    sizes = [
        draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 9))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    groups = draw(st.integers(1, 3))
    return cases.Windows(
        "drawn",
        x=(draw(st.integers(0, 3)), *sizes, groups * draw(st.integers(1, 3))),
        kernel=kernel,
        filters=groups * draw(st.integers(1, 4)),
        stride=draw(pairs(1, 4)),
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )


@st.composite
def poolings(draw):
    """Draw a geometry of a pooling in which at least one window fits."""
    kernel = draw(pairs(1, 4))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    sizes = [draw(st.integers(max(1, k - 2 * p), 9)) for k, p in zip(kernel, padding, strict=True)]
    return cases.Pool(
        "drawn",
        x=(draw(st.integers(0, 3)), *sizes, draw(st.integers(1, 4))),
        kernel=kernel,
        stride=draw(pairs(1, 4)),
        padding=padding,
        count_include_pad=draw(st.booleans()),
    )


def dot(a, b):
    return np.dot(a.ravel().astype(np.float64), b.ravel().astype(np.float64))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op", ["im2col", "col2im", "conv2d", "conv2d_backward"])
@given(case=convolutions())
@SETTINGS
def test_any_convolution_equals_the_loops(op, backend, case):
    assert_equals_the_loops(op, backend, case)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op", ["maxpool2d", "maxpool2d_backward", "avgpool2d", "avgpool2d_backward"])
@given(case=poolings())
@SETTINGS
def test_any_pooling_equals_the_loops(op, backend, case):
    assert_equals_the_loops(op, backend, case)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op", ["conv2d_relu_maxpool2d", "conv2d_relu_maxpool2d_backward"])
@given(case=convolutions(), data=st.data())
@SETTINGS
def test_any_fused_block_equals_the_loops(op, backend, case, data):
    pool_kernel = tuple(data.draw(st.integers(1, min(3, size))) for size in case.grid)
    pool_padding = tuple(data.draw(st.integers(0, k // 2)) for k in pool_kernel)
    pool = {
        "pool_kernel_size": pool_kernel,
        "pool_stride": data.draw(pairs(1, 3)),
        "pool_padding": pool_padding,
    }
    assert_equals_the_loops(op, backend, cases.Windows(**{**vars(case), "pool": pool}))


def assert_equals_the_loops(op, backend, case):
    if backend not in kernels.available(op):
        backend = "numpy"
    arguments = cases.arguments.__wrapped__(op, case, "integers", "float32")  # drawn cases are not worth keeping
    wanted = getattr(oracles, op)(*arguments[0].values(), **arguments[1])
    for got, oracle in zip(cases.call(op, *arguments, backend), wanted, strict=True):
        np.testing.assert_array_equal(got, oracle)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=convolutions(), seed=st.integers(0, 99))
@SETTINGS
def test_col2im_is_the_adjoint_of_im2col(backend, case, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, case.x).astype(np.float32)
    cols = kernels.im2col(x, case.kernel, **case.windows, backend=backend)
    other = rng.integers(-9, 10, cols.shape).astype(np.float32)
    back = kernels.col2im(other, case.x, case.kernel, **case.windows, backend=backend)
    assert dot(cols, other) == dot(x, back)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=convolutions(), seed=st.integers(0, 99))
@SETTINGS
def test_the_gradients_of_a_convolution_are_its_adjoints(backend, case, seed):
    """<conv(x, w), dy> = <x, dx> = <w, dw>: the convolution is linear in x and in w."""
    rng = np.random.default_rng(seed)
    how = {**case.windows, "groups": case.groups, "backend": backend}
    x, w = (rng.integers(-9, 10, shape).astype(np.float32) for shape in (case.x, case.w))
    y = kernels.conv2d(x, w, **how)
    dy = rng.integers(-9, 10, y.shape).astype(np.float32)
    dx, dw, db = kernels.conv2d_backward(dy, x, w, **how)
    assert dot(y, dy) == dot(x, dx) == dot(w, dw)
    assert db.sum() == dy.sum()


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=convolutions(), seed=st.integers(0, 99))
@SETTINGS
def test_images_of_a_batch_do_not_see_each_other(backend, case, seed):
    rng = np.random.default_rng(seed)
    how = {**case.windows, "groups": case.groups, "backend": backend}
    x, w = (rng.integers(-9, 10, shape).astype(np.float32) for shape in (case.x, case.w))
    together = kernels.conv2d(x, w, **how)
    for n in range(case.x[0]):
        np.testing.assert_array_equal(kernels.conv2d(x[n : n + 1], w, **how)[0], together[n])


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=poolings(), value=st.integers(-50, 50))
@SETTINGS
def test_pooling_a_constant_gives_the_constant(backend, case, value):
    x = np.full(case.x, value, np.float32)
    mean = kernels.avgpool2d(x, case.kernel, **case.windows, count_include_pad=False, backend=backend)
    maximum, _ = kernels.maxpool2d(x, case.kernel, **case.windows, backend=backend)
    assert (mean == value).all()
    assert (maximum == value).all()


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=poolings(), seed=st.integers(0, 99))
@SETTINGS
def test_the_argmax_of_a_pooling_points_at_the_maximum(backend, case, seed):
    x = np.random.default_rng(seed).standard_normal(case.x).astype(np.float32)
    y, argmax = kernels.maxpool2d(x, case.kernel, **case.windows, backend=backend)
    n, oh, ow, c = np.indices(y.shape)
    row = oh * case.stride[0] - case.padding[0] + argmax // case.kernel[1]
    column = ow * case.stride[1] - case.padding[1] + argmax % case.kernel[1]
    np.testing.assert_array_equal(x[n, row, column, c], y)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=poolings(), seed=st.integers(0, 99))
@SETTINGS
def test_pooling_backwards_loses_and_makes_nothing(backend, case, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, case.x).astype(np.float32)
    y, argmax = kernels.maxpool2d(x, case.kernel, **case.windows, backend=backend)
    dy = rng.integers(-9, 10, y.shape).astype(np.float32)
    dx = kernels.maxpool2d_backward(dy, argmax, case.x, case.kernel, **case.windows, backend=backend)
    assert dx.sum() == dy.sum()
    assert dot(x, dx) == dot(y, dy)


@given(
    size=st.integers(1, 40),
    kernel=st.integers(1, 9),
    stride=st.integers(1, 6),
    padding=st.integers(0, 6),
    dilation=st.integers(1, 4),
)
@SETTINGS
def test_the_number_of_windows_is_as_counted(size, kernel, stride, padding, dilation):
    counted = len(oracles.windows_along(size, kernel, stride, padding, dilation))
    assert max(0, output_size(size, kernel, stride, padding, dilation)) == counted
