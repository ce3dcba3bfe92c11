"""Every backend of every op against the naive loops: ops x backends x dtypes x cases, all from `cases.py`.

The outputs are handed in filled with rubbish, inside larger buffers, so that a number that was not written and a
number that was written beside the array both show.
"""

import os

import numpy as np
import pytest

import cases
import fastscratch_kernels as kernels
from tolerances import EXACT, KERNELS, assert_close

GUARD = 64
OPS = tuple(cases.CASES)


def every_case():
    for op in OPS:
        for backend in kernels.available(op):
            for dtype in cases.DTYPES:
                for case in cases.CASES[op]:
                    yield pytest.param(op, backend, dtype, case, id=f"{op}-{backend}-{dtype}-{case}")


def backends_of_ops():
    return [pytest.param(op, name, id=f"{op}-{name}") for op in OPS for name in kernels.available(op)]


class Guarded:
    """An array full of rubbish between two guards."""

    def __init__(self, like):
        self.rubbish = np.nan if like.dtype.kind == "f" else 0xA5
        self.buffer = np.full(like.size + 2 * GUARD, self.rubbish, like.dtype)
        self.array = self.buffer[GUARD : GUARD + like.size].reshape(like.shape)

    def check(self, what):
        guards = np.concatenate([self.buffer[:GUARD], self.buffer[-GUARD:]])
        np.testing.assert_array_equal(guards, np.full_like(guards, self.rubbish), f"written beside {what}")


def run_and_compare(op, backend, dtype, case, fill):
    arrays, how = cases.arguments(op, case, fill, dtype)
    before = {name: None if array is None else array.copy() for name, array in arrays.items()}
    wanted = cases.expected(op, case, fill, dtype)
    guarded = {name: Guarded(array) for name, array in zip(cases.OUTPUTS[op], wanted, strict=True) if array is not None}
    got = cases.call(op, arrays, how, backend, **{name: guard.array for name, guard in guarded.items()})
    exact = fill in ("integers", "ties")
    for name, mine, oracle in zip(cases.OUTPUTS[op], got, wanted, strict=True):
        if oracle is None:
            assert mine is None, name
            continue
        assert mine is guarded[name].array, f"{name} is not the array that was handed in"
        guarded[name].check(name)
        assert_close(mine, oracle, EXACT if exact else KERNELS[op, dtype], f"{name}, {fill}")
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name], f"{name} was changed")
    return got


@pytest.mark.parametrize(("op", "backend", "dtype", "case"), list(every_case()))
def test_every_backend_equals_the_loops(op, backend, dtype, case):
    for fill in cases.fills_of(op):
        run_and_compare(op, backend, dtype, case, fill)


@pytest.mark.parametrize(("op", "backend"), backends_of_ops())
def test_the_outputs_are_made_where_none_are_handed_in(op, backend):
    which = op, cases.CASES[op][0], "normal", "float32"
    for made, wanted in zip(cases.call(op, *cases.arguments(*which), backend), cases.expected(*which), strict=True):
        assert made.flags.c_contiguous
        assert made.flags.writeable
        assert_close(made, wanted, KERNELS[op, "float32"], op)


def as_fortran(array):
    return np.asfortranarray(array)


def as_channels_first(array):
    """Return the same numbers stored as PyTorch stores them: channels first."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1)).transpose(0, *range(2, array.ndim), 1)


def as_every_other(array):
    wide = np.repeat(array, 2, axis=-1)
    return wide[..., ::2]


def as_backwards(array):
    return np.ascontiguousarray(array[::-1])[::-1]


def as_read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("layout", [as_fortran, as_channels_first, as_every_other, as_backwards, as_read_only])
@pytest.mark.parametrize(("op", "backend"), backends_of_ops())
def test_inputs_may_be_read_only_and_lie_in_any_order(op, backend, layout):
    odd = ("seventeen_channels", "seventeen_filters")
    case = next((case for case in cases.CASES[op] if case.id in odd), cases.CASES[op][0])
    arrays, how = cases.arguments(op, case, "normal", "float32")
    plain = cases.call(op, arrays, how, backend)
    other = {
        name: None if array is None else layout(array) if array.ndim > 1 else as_read_only(array)
        for name, array in arrays.items()
    }
    for got, wanted in zip(cases.call(op, other, how, backend), plain, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(("op", "backend"), backends_of_ops())
def test_the_same_call_gives_the_same_bits(op, backend):
    arrays, how = cases.arguments(op, cases.CASES[op][0], "normal", "float32")
    first = cases.call(op, arrays, how, backend)
    for got, wanted in zip(cases.call(op, arrays, how, backend), first, strict=True):
        assert got is wanted is None or got.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("op", ["conv2d_backward", "conv2d_relu_maxpool2d_backward"])
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_gradients_that_are_not_wanted_do_not_change_the_others(op, dtype):
    for backend in kernels.available(op):
        for case in cases.CASES[op]:
            arrays, how = cases.arguments(op, case, "normal", dtype)
            _, dw, db = cases.call(op, arrays, {**how, "bias": True}, backend)
            dx, dw_alone, nothing = cases.call(op, arrays, {**how, "bias": False, "input_grad": False}, backend)
            assert dx is None
            assert nothing is None
            np.testing.assert_array_equal(dw_alone, dw)
            _, _, db_alone = cases.call(op, arrays, {**how, "bias": True, "input_grad": False}, backend)
            np.testing.assert_array_equal(db_alone, db)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", cases.FUSED, ids=str)
def test_the_fused_block_is_the_composition(case, dtype):
    """On NumPy bit for bit; the other backends are held to the loops with the table's tolerance above."""
    for fill in ("normal", "ties"):
        arrays, how = cases.arguments("conv2d_relu_maxpool2d", case, fill, dtype)
        fused_pool = {name: value for name, value in how.items() if name.startswith("pool_")}
        pool = {"kernel_size": 2} | {name.removeprefix("pool_"): value for name, value in fused_pool.items()}
        how = {name: value for name, value in how.items() if name not in fused_pool}
        out, argmax = kernels.conv2d_relu_maxpool2d(**arrays, **how, **fused_pool, backend="numpy")
        y = np.maximum(kernels.conv2d(**arrays, **how, backend="numpy"), 0)
        plain_out, plain_argmax = kernels.maxpool2d(y, **pool, backend="numpy")
        assert out.tobytes() == plain_out.tobytes()
        dead = out <= 0
        np.testing.assert_array_equal(argmax[~dead], plain_argmax[~dead])
        assert (argmax[dead] == np.iinfo(argmax.dtype).max).all()

        x, w = arrays["x"], arrays["w"]
        dy = np.random.default_rng(1).standard_normal(out.shape).astype(dtype)
        fused = kernels.conv2d_relu_maxpool2d_backward(dy, argmax, x, w, **how, **fused_pool, backend="numpy")
        dpool = kernels.maxpool2d_backward(dy, plain_argmax, y.shape, **pool, backend="numpy")
        drelu = np.where(y <= 0, dy.dtype.type(0), dpool)
        plain = kernels.conv2d_backward(drelu, x, w, **how, backend="numpy")
        for got, wanted in zip(fused, plain, strict=True):
            assert got.tobytes() == wanted.tobytes()


LARGE_LAYERS = (
    cases.Windows("first", (5, 16, 16, 3), (3, 3), 32),
    cases.Windows("second", (5, 15, 15, 32), (5, 5), 64),
    cases.Windows("third", (5, 6, 6, 64), (3, 3), 64),
    cases.Windows("parts", (2, 37, 41, 48), (3, 2), 40),
)
"""The report's layers with all their channels, and images that leave remainders: what fast paths are made for; and
images that no cache holds, gone through in parts."""


@pytest.mark.large
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("case", LARGE_LAYERS, ids=str)
@pytest.mark.parametrize("backend", [name for name in kernels.available("conv2d") if name != "numpy"])
def test_large_layers_equal_the_reference(backend, case, dtype):
    """Too large for the loops: against NumPy, which is held to the loops above. Whole numbers again bit for bit.

    A path that Winograd's transforms shorten is exact for no numbers, and breaks ties its own way.
    """
    for fill in ("integers", "normal"):
        rng = np.random.default_rng(6)
        x, w, b = (cases.filled(shape, fill, dtype, rng) for shape in (case.x, case.w, (case.filters,)))
        results = {}
        for name in ("numpy", backend):
            y = kernels.conv2d(x, w, b, backend=name)
            dy = cases.filled(y.shape, fill, dtype, np.random.default_rng(7))
            pooled, argmax = kernels.conv2d_relu_maxpool2d(x, w, b, backend=name)
            reference = kernels.conv2d_relu_maxpool2d(x, w, b, backend="numpy")[1]
            dpooled = cases.filled(pooled.shape, fill, dtype, np.random.default_rng(8))
            fused = kernels.conv2d_relu_maxpool2d_backward(dpooled, reference, x, w, backend=name)
            results[name] = (y, *kernels.conv2d_backward(dy, x, w, backend=name), *fused, pooled, argmax)
        shortened = case.kernel == (5, 5) and dtype == "float32"  # F(2x2,5x5)
        for i, (got, wanted) in enumerate(zip(results[backend], results["numpy"], strict=True)):
            if fill == "integers" and not (shortened and i >= 7):
                np.testing.assert_array_equal(got, wanted)
            elif got.dtype == np.uint8:
                assert np.mean(got != wanted) < (1e-3 if fill == "normal" else 1e-1)  # near ties, or ties
            else:
                scale = np.abs(wanted).max()
                assert_close(got / scale, wanted / scale, KERNELS["conv2d_backward", dtype], f"output {i}")


def test_a_small_workspace_changes_nothing(monkeypatch):
    """The NumPy convolution takes as many images at a time as its workspace holds: here one."""
    from fastscratch_kernels import conv2d_numpy

    case = next(case for case in cases.CONVOLUTIONS if case.id == "seven_images")
    for op in ("conv2d", "conv2d_backward"):
        arrays, how = cases.arguments(op, case, "integers", "float32")
        whole = cases.call(op, arrays, how, "numpy")
        with monkeypatch.context() as patch:
            patch.setattr(conv2d_numpy, "WORKSPACE_BYTES", 1)
            for got, wanted in zip(cases.call(op, arrays, how, "numpy"), whole, strict=True):
                np.testing.assert_array_equal(got, wanted)


@pytest.mark.skipif("cython" not in kernels.available("conv2d_relu_maxpool2d_backward"), reason="no Cython kernels")
def test_an_image_too_large_for_32_bit_offsets_takes_the_plain_ops(monkeypatch):
    """Its border counts, and so do its gradients; an image of that size itself is more than memory holds."""
    from fastscratch_kernels import conv2d_relu_maxpool2d_cython as module
    from fastscratch_kernels.shapes import largest_image

    assert largest_image((9, 30_000, 20_000, 3), (1, 2), (9, 1, 1, 1)) == 30_002 * 20_004 * 3
    assert largest_image((9, 2, 2, 3), (0, 0), (9, 1000, 1000, 4000)) == 4 * 10**9
    assert np.iinfo(np.int32).max == module.LARGEST_IMAGE
    op, taken, plain = "conv2d_relu_maxpool2d_backward", [], module.compose_backward
    monkeypatch.setattr(module, "compose_backward", lambda *arguments: taken.append(op) or plain(*arguments))
    for name in ("runs_of_sixteen", "seventeen_filters"):
        case = next(case for case in cases.FUSED if case.id == name)
        arrays, _ = cases.arguments(op, case, "integers", "float32")
        size = largest_image(case.x, case.padding, arrays["dy"].shape)
        for limit, composed in ((size, 0), (size - 1, 1)):
            taken.clear()
            monkeypatch.setattr(module, "LARGEST_IMAGE", limit)
            run_and_compare(op, "cython", "float32", case, "integers")
            assert len(taken) == composed


def test_required_backends_are_here():
    """Continuous integration names the backends it built: FASTSCRATCH_REQUIRE_BACKENDS=numpy,numba,cython."""
    required = [name for name in os.environ.get("FASTSCRATCH_REQUIRE_BACKENDS", "numpy").split(",") if name]
    reasons = kernels.backends()
    missing = {name: reasons.get(name, "no such backend") for name in required if reasons.get(name, "") is not None}
    assert not missing


def test_the_table_holds_what_kernels_get_wrong():
    """A table that lost its corners would leave the tests above green."""
    convolutions = cases.CONVOLUTIONS
    for table in (convolutions, cases.FUSED):
        assert any(case.kernel[0] > case.kernel[1] for case in table)
        assert any(case.stride > (1, 1) and case.stride != case.kernel for case in table)
        assert any(case.stride[0] > case.kernel[0] and case.stride[1] > case.kernel[1] for case in table)
        assert any(case.padding[0] != case.padding[1] for case in table)
        assert any(case.dilation[0] != case.dilation[1] for case in table)
        assert any(1 < case.groups < case.x[3] for case in table)
        assert any(case.groups == case.x[3] > 1 for case in table)
        assert {0, 1} <= {case.x[0] for case in table}
        assert 1 in {case.x[3] for case in table}
        assert any(case.filters % 8 for case in table)
        assert any(case.filters % 8 == 0 for case in table)
        assert any(not case.bias for case in table)
    # Numbers of an image that lie side by side in a patch: the sparse gradients take whole vectors of them.
    runs = {case.x[3] * (case.kernel[1] if case.dilation[1] == 1 else 1) for case in cases.FUSED if case.groups == 1}
    assert {8, 16, 48, 96} <= runs
    assert any(case.kernel[0] < case.kernel[1] for case in convolutions)
    assert any(case.kernel == case.x[1:3] for case in convolutions)
    assert any(case.padding >= case.kernel for case in convolutions)
    poolings = cases.POOLINGS
    assert any(case.stride and case.stride > case.kernel for case in poolings)
    assert any(case.padding[0] != case.padding[1] for case in poolings)
    assert any(case.padding != (0, 0) and not case.count_include_pad for case in poolings)
    assert any(case.kernel == case.x[1:3] for case in poolings)
    assert {True, False} == {case.kernel[0] * case.kernel[1] < 255 for case in poolings}


@pytest.mark.parametrize("op", OPS)
def test_the_cases_are_not_vacuous(op):
    """Every case has numbers in its output, and NaN in the input leaves its trace in most."""
    for case in cases.CASES[op]:
        first = cases.expected(op, case, "normal", "float32")[0]
        assert np.count_nonzero(first) > 0 or case.id in ("no_images", "one_class"), case
    if "special" in cases.fills_of(op) and op not in ("col2im", "maxpool2d_backward", "avgpool2d_backward"):
        outputs = [cases.expected(op, case, "special", "float32") for case in cases.CASES[op]]
        traces = [any(np.isnan(array).any() for array in arrays if array is not None) for arrays in outputs]
        assert sum(traces) > len(traces) // 2
