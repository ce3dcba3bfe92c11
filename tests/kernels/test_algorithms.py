"""Every algorithm of a convolution, on every backend that has it, against the loops; and which one "auto" takes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cases
import fastscratch_kernels as kernels
from fastscratch_kernels._algorithms import choose
from tolerances import EXACT, KERNELS, Tolerance, assert_close

OPS = ("conv2d", "conv2d_backward", "conv2d_relu_maxpool2d")
PLAIN = ((1, 1), (0, 0), (1, 1), 1)
POOL = ((2, 2), (2, 2), (0, 0))

WINOGRAD = {"float32": Tolerance(1e-4, 1e-4), "float64": Tolerance(1e-12, 1e-12)}
"""The transforms add and subtract numbers larger than the result; float64 shows that nothing but rounding is lost."""


def fits(op, backend, algorithm, case):
    """Whether an algorithm can be asked for: Winograd's for a few windows alone."""
    arrays, how = cases.arguments(op, case, "integers", "float32")
    try:
        cases.call(op, arrays, {**how, "algorithm": algorithm}, backend)
    except ValueError:
        return False
    return True


def every_algorithm():
    for op in OPS:
        for backend in kernels.available(op):
            for algorithm in kernels.algorithms(backend):
                for case in cases.CASES[op]:
                    if algorithm != "winograd" or fits(op, backend, algorithm, case):
                        yield pytest.param(op, backend, algorithm, case, id=f"{op}-{backend}-{algorithm}-{case}")


def compare(op, backend, algorithm, case, fill, dtype, tolerance, **more):
    arrays, how = cases.arguments(op, case, fill, dtype)
    wanted = cases.expected(op, case, fill, dtype)
    outs = {
        name: np.full_like(array, np.nan if array.dtype.kind == "f" else 77)
        for name, array in zip(cases.OUTPUTS[op], wanted, strict=True)
        if array is not None
    }
    got = cases.call(op, arrays, {**how, "algorithm": algorithm, **more}, backend, **outs)
    for name, mine, oracle in zip(cases.OUTPUTS[op], got, wanted, strict=True):
        if oracle is not None:
            assert_close(mine, oracle, tolerance, f"{name}, {fill}")


@pytest.mark.parametrize("backend", [name for name, reason in kernels.backends().items() if reason is None])
def test_a_long_sum_for_the_bias_keeps_its_digits(backend):
    """With as many numbers as a large batch has, added up in a row in float32, five digits of seven would be lost."""
    rng = np.random.default_rng(0)
    x, w = rng.random((64, 32, 32, 16), np.float32), np.zeros((1, 1, 16, 4), np.float32)
    dy, argmax = rng.random((64, 16, 16, 4), np.float32), np.zeros((64, 16, 16, 4), np.uint8)
    _, _, db = kernels.conv2d_relu_maxpool2d_backward(dy, argmax, x, w, backend=backend, input_grad=False)
    np.testing.assert_allclose(db, dy.sum(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("pixels", [1, 5, 12])
def test_more_images_than_a_cache_holds(pixels, groups, threads, dtype):
    """They are gone through a part at a time, and no part is left out or counted twice. Too many for the loops."""
    rng = np.random.default_rng(pixels)
    images = 300_000 // (pixels**2 * 40 * 4) + 2
    x = rng.integers(-1, 2, (images, pixels, pixels, 40)).astype(dtype)
    w = rng.integers(-1, 2, (3, 2, 40 // groups, 36)).astype(dtype)
    windows = {"padding": (1, 0) if pixels > 1 else (1, 1), "groups": groups}
    dy = rng.integers(-1, 2, kernels.conv2d(x, w, **windows, backend="numpy").shape).astype(dtype)
    wanted = kernels.conv2d_backward(dy, x, w, **windows, backend="numpy")
    before = kernels.get_num_threads()
    kernels.set_num_threads(threads)
    try:
        for backend in kernels.available("conv2d_backward"):
            if "direct" not in kernels.algorithms(backend):
                continue
            got = kernels.conv2d_backward(dy, x, w, **windows, backend=backend, algorithm="direct")
            for name, mine, reference in zip(("dx", "dw", "db"), got, wanted, strict=True):
                np.testing.assert_array_equal(mine, reference, f"{name}, {backend}")
    finally:
        kernels.set_num_threads(before)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("op", "backend", "algorithm", "case"), list(every_algorithm()))
def test_every_algorithm_equals_the_loops(op, backend, algorithm, case, dtype):
    """Whole numbers bit for bit, but for F(2x2,5x5), whose transforms divide by 6 and 24."""
    thirds = algorithm == "winograd" and case.kernel == (5, 5)
    compare(op, backend, algorithm, case, "integers", dtype, WINOGRAD[dtype] if thirds else EXACT)
    if algorithm == "winograd":
        compare(op, backend, algorithm, case, "normal", dtype, WINOGRAD[dtype])
        return
    for fill in cases.fills_of(op):
        if fill != "integers":
            compare(op, backend, algorithm, case, fill, dtype, KERNELS[op, dtype])


SIZES = st.integers(3, 11)
CHANNELS = st.sampled_from([1, 3, 7, 8, 9, 15, 16, 17, 33, 40])


@pytest.mark.parametrize("backend", [name for name in kernels.available("conv2d") if name == "cython"])
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    n=st.integers(0, 3), h=SIZES, w=SIZES, c=CHANNELS, f=CHANNELS, ph=st.integers(0, 2), pw=st.integers(0, 2),
    dtype=st.sampled_from(cases.DTYPES), precision=st.sampled_from(["standard", "fast"]),
)  # fmt: skip
def test_winograd_equals_direct(backend, n, h, w, c, f, ph, pw, dtype, precision):
    rng = np.random.default_rng(h * 100 + w)
    x, filters = (cases.filled(shape, "normal", dtype, rng) for shape in ((n, h, w, c), (3, 3, c, f)))
    how = {"padding": (ph, pw), "backend": backend}
    y = kernels.conv2d(x, filters, algorithm="direct", **how)
    dy = cases.filled(y.shape, "normal", dtype, rng)
    wanted = (y, *kernels.conv2d_backward(dy, x, filters, algorithm="direct", **how))
    quick = {**how, "algorithm": "winograd", "precision": precision}
    got = (kernels.conv2d(x, filters, **quick), *kernels.conv2d_backward(dy, x, filters, **quick))
    for name, mine, other in zip(("y", "dx", "dw", "db"), got, wanted, strict=True):
        scale = max(1, np.abs(other).max(initial=0))
        assert_close(mine / mine.dtype.type(scale), other / other.dtype.type(scale), WINOGRAD[dtype], name)


@pytest.mark.parametrize("backend", [name for name in kernels.available("conv2d") if name != "numpy"])
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(
    n=st.integers(0, 3), h=st.integers(6, 13), w=st.integers(6, 13), c=st.sampled_from([8, 13, 16, 24, 40]),
    f=CHANNELS, ph=st.integers(0, 3), pw=st.integers(0, 3),
)  # fmt: skip
def test_a_pooled_winograd_equals_direct(backend, n, h, w, c, f, ph, pw):
    rng = np.random.default_rng(h * 100 + w)
    arrays = [cases.filled(shape, "normal", "float32", rng) for shape in ((n, h, w, c), (5, 5, c, f), (f,))]
    how = {"padding": (ph, pw), "backend": backend}
    y, argmax = kernels.conv2d_relu_maxpool2d(*arrays, algorithm="direct", **how)
    quick, quick_argmax = kernels.conv2d_relu_maxpool2d(*arrays, algorithm="winograd", **how)
    scale = np.float32(max(1, np.abs(y).max(initial=0)))
    assert_close(quick / scale, y / scale, WINOGRAD["float32"], "y")
    assert np.mean(quick_argmax != argmax) < 0.01 if argmax.size else quick_argmax.shape == argmax.shape  # near ties


@pytest.mark.parametrize(
    ("backend", "changes", "wanted"),
    [
        ("cython", {}, "F(2x2,3x3)"),
        ("cython", {"precision": "fast"}, "F(4x4,3x3)"),
        ("cython", {"itemsize": 8}, "direct"),
        ("cython", {"w_shape": (3, 3, 3, 64)}, "direct"),
        ("cython", {"out_size": (3, 3)}, "direct"),
        ("cython", {"w_shape": (5, 5, 64, 64)}, "direct"),
        ("cython", {"w_shape": (5, 5, 64, 64), "pool": POOL}, "F(2x2,5x5)"),
        ("cython", {"w_shape": (5, 5, 64, 64), "pool": ((3, 3), (2, 2), (0, 0))}, "direct"),
        ("cython", {"windows": ((2, 2), (0, 0), (1, 1), 1)}, "direct"),
        ("cython", {"algorithm": "im2col"}, "im2col"),
        ("numba", {"w_shape": (5, 5, 64, 64), "pool": POOL}, "F(2x2,5x5)"),
        ("numpy", {}, "im2col"),
    ],
)
def test_auto_takes_what_repays(backend, changes, wanted):
    usual = {
        "algorithm": "auto", "precision": "standard", "itemsize": 4, "w_shape": (3, 3, 64, 64),
        "out_size": (16, 16), "windows": PLAIN,
    }  # fmt: skip
    assert choose(backend, **{**usual, **changes}) == wanted


X, W = np.ones((1, 8, 8, 2), np.float32), np.ones((3, 3, 2, 4), np.float32)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"algorithm": "fft"}, r"algorithm must be one of auto, im2col, direct, winograd, got 'fft'"),
        ({"precision": "half"}, r"precision must be one of standard, fast, got 'half'"),
        (
            {"algorithm": "direct", "backend": "numpy"},
            r"algorithm 'direct' is not written for backend 'numpy', which has im2col",
        ),
        (
            {"algorithm": "winograd", "backend": "numba"},
            r"backend 'numba' has no form of 'winograd' but F\(2x2,5x5\), under a 2 x 2 pooling",
        ),
        (
            {"algorithm": "winograd", "stride": 2, "backend": "auto"},
            r"'winograd' (takes 3 x 3 filters with stride.*got filters \(3, 3, 2, 4\), stride \(2, 2\)|is not written)",
        ),
    ],
)
def test_what_cannot_be_asked_for_is_said(how, message):
    with pytest.raises(ValueError, match=message):
        kernels.conv2d(X, W, **how)


def test_precision_holds_for_a_block():
    assert kernels.selected_precision() == "standard"
    with kernels.use_precision("fast"):
        assert kernels.selected_precision() == "fast"
    assert kernels.selected_precision() == "standard"
    with pytest.raises(ValueError, match="precision must be one of standard, fast, got 'exact'"):
        kernels.use_precision("exact")
    with pytest.raises(ValueError, match="backend must be one of numpy, numba, cython, got 'cuda'"):
        kernels.algorithms("cuda")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("precision", "side"), [("standard", 2), ("fast", 4)])
@pytest.mark.parametrize("backend", [name for name in kernels.available("conv2d") if name == "cython"])
def test_a_special_value_shows_where_it_takes_part_and_nowhere_outside_its_tiles(backend, precision, side, value):
    rng = np.random.default_rng(4)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((1, 14, 14, 16), (3, 3, 16, 16)))
    clean = kernels.conv2d(x, w, algorithm="winograd", precision=precision, backend=backend)
    x[0, 5, 6, 3] = value
    with np.errstate(invalid="ignore"):
        y = kernels.conv2d(x, w, algorithm="winograd", precision=precision, backend=backend)
    assert not np.isfinite(y[0, 3:6, 4:7]).any()
    rows, columns = (slice(first // side * side, last // side * side + side) for first, last in ((3, 5), (4, 6)))
    outside = np.ones(y.shape, bool)
    outside[0, rows, columns] = False
    assert y[outside].tobytes() == clean[outside].tobytes()
