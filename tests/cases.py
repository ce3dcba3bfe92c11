"""The one table of ops x cases. The parity tests, the tests against PyTorch and the thread tests all loop over it.

A case is a geometry; a fill is what the arrays hold. `arguments(op, case, fill, dtype)` makes the arrays, the same
ones each time; `call(op, ...)` runs the public op. A new op is tested by standing in `CASES`, a new backend by
standing in the registry.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import fastscratch_kernels as kernels
import oracles
from case_kinds import Batch, Case, Logits, Norm, Numbers, Pool, Step, Windows

DTYPES = ("float32", "float64")

OUTPUTS = {
    "im2col": ("out",),
    "col2im": ("out",),
    "conv2d": ("out",),
    "conv2d_backward": ("dx", "dw", "db"),
    "maxpool2d": ("out", "argmax"),
    "maxpool2d_backward": ("dx",),
    "avgpool2d": ("out",),
    "avgpool2d_backward": ("dx",),
    "conv2d_relu_maxpool2d": ("out", "argmax"),
    "conv2d_relu_maxpool2d_backward": ("dx", "dw", "db"),
    "channel_moments": ("mean", "var"),
    "batchnorm2d": ("out",),
    "batchnorm2d_backward": ("dx", "dweight", "dbias"),
    "relu": ("out",),
    "relu_backward": ("dx",),
    "sgd_step": ("out", "out_velocity"),
    "adam_step": ("out", "out_m", "out_v"),
    "log_softmax": ("out",),
    "cross_entropy_backward": ("dz",),
    "look_up_levels": ("out",),
    "crop_images": ("out",),
}
"""op -> the parameters that take its outputs, in the order of what it returns."""

FILLS = ("normal", "integers", "ties", "negative", "special")
"""normal; whole numbers from -3 to 3; 0 and 1, mostly 0, as after ReLU; all negative; NaN, infinities, -0.0 in x."""

# -- geometries: x is (N, H, W, C), pairs are (height, width) ----------------------------------------------------------

CONVOLUTIONS = (
    Windows("plain", (2, 5, 6, 3), (3, 3)),
    Windows("tall_kernel", (2, 6, 5, 2), (3, 2), 5),
    Windows("wide_kernel", (2, 4, 8, 2), (1, 5), 3),
    Windows("column_kernel", (1, 7, 3, 3), (5, 1)),
    Windows("one_by_one", (2, 3, 4, 5), (1, 1), 7),
    Windows("one_by_one_strided", (2, 4, 5, 3), (1, 1), stride=(2, 3)),
    Windows("overlapping_strides", (2, 8, 7, 2), (3, 3), stride=(2, 1)),
    Windows("gaps", (2, 8, 9, 2), (2, 2), stride=(3, 4)),
    Windows("remainders", (2, 8, 8, 2), (3, 3), stride=(2, 3)),
    Windows("padding", (2, 4, 5, 3), (3, 3), padding=(1, 1)),
    Windows("rectangular_padding", (2, 4, 5, 2), (3, 5), padding=(1, 2)),
    Windows("windows_in_the_border", (1, 3, 3, 2), (2, 2), padding=(3, 2)),
    Windows("dilation", (2, 7, 8, 2), (3, 2), dilation=(2, 3)),
    Windows("dilation_stride_padding", (2, 7, 9, 2), (3, 3), stride=(2, 1), padding=(2, 1), dilation=(2, 2)),
    Windows("groups", (2, 5, 5, 4), (3, 3), 6, groups=2),
    Windows("depthwise", (2, 5, 6, 3), (3, 3), 3, padding=(1, 1), groups=3),
    Windows("depthwise_sixteen", (17, 4, 5, 16), (3, 3), 16, padding=(1, 1), groups=16),
    Windows("depthwise_remainders", (1, 6, 5, 29), (5, 3), 29, (2, 1), (2, 0), (1, 2), groups=29, bias=False),
    Windows("depthwise_doubled", (2, 5, 5, 3), (3, 3), 6, groups=3),
    Windows("groups_and_all", (2, 7, 6, 4), (3, 2), 4, (2, 1), (1, 0), (2, 1), groups=2, bias=False),
    Windows("kernel_is_image", (3, 4, 5, 2), (4, 5)),
    Windows("one_pixel", (2, 1, 1, 3), (3, 3), padding=(1, 1)),
    Windows("one_image", (1, 6, 5, 3), (3, 3)),
    Windows("one_channel", (3, 5, 5, 1), (3, 3), 8),
    Windows("one_filter", (2, 4, 4, 3), (2, 2), 1),
    Windows("no_images", (0, 5, 5, 3), (3, 3)),
    Windows("no_bias", (2, 4, 4, 3), (3, 3), 5, bias=False),
    Windows("seven_images", (7, 4, 4, 2), (3, 3), 3),
    Windows("eight_filters", (1, 5, 9, 2), (3, 3), 8),
    Windows("nine_filters", (1, 4, 8, 2), (3, 3), 9),
    Windows("seventeen_channels", (1, 3, 5, 17), (3, 3), 25),  # too small for Winograd, which spreads infinities
    Windows("seventeen_channels_wide", (1, 4, 6, 17), (2, 3), 25),
    Windows("wide_image", (1, 3, 23, 2), (3, 3), 16),
)

POOLINGS = (
    Pool("halves", (2, 4, 6, 3), (2, 2)),
    Pool("tall_window", (2, 6, 4, 2), (3, 2)),
    Pool("wide_window", (2, 3, 8, 2), (1, 4)),
    Pool("one_by_one", (2, 3, 4, 2), (1, 1)),
    Pool("overlapping", (2, 6, 7, 2), (3, 3), (2, 1)),
    Pool("gaps", (2, 8, 9, 2), (2, 2), (3, 4)),
    Pool("remainders", (2, 7, 8, 2), (2, 3)),
    Pool("padding", (2, 4, 4, 2), (3, 3), (2, 2), (1, 1)),
    Pool("half_padding", (2, 5, 4, 2), (2, 2), (1, 2), (1, 1)),
    Pool("rectangular_padding", (1, 5, 6, 3), (4, 3), (2, 2), (2, 1)),
    Pool("padding_not_counted", (2, 5, 6, 2), (3, 3), (2, 2), (1, 1), count_include_pad=False),
    Pool("rectangular_not_counted", (1, 6, 5, 2), (4, 2), (1, 2), (2, 1), count_include_pad=False),
    Pool("window_is_image", (3, 4, 5, 2), (4, 5)),
    Pool("one_pixel", (2, 1, 1, 3), (2, 2), (1, 1), (1, 1)),
    Pool("one_image", (1, 4, 4, 3), (2, 2)),
    Pool("one_channel", (3, 4, 4, 1), (2, 2)),
    Pool("no_images", (0, 4, 4, 2), (2, 2)),
    Pool("nine_channels", (1, 4, 4, 9), (2, 2)),
    Pool("seventeen_channels", (2, 4, 4, 17), (3, 3), (1, 1)),
    Pool("largest_byte_window", (1, 2, 127, 1), (2, 127)),
    Pool("smallest_int_window", (1, 15, 17, 2), (15, 17)),
)

FUSED = (
    Windows("plain", (2, 6, 6, 3), (3, 3), 4),
    Windows("five_by_five", (1, 8, 8, 2), (5, 5), 8),
    Windows("rectangles", (2, 6, 8, 2), (2, 3), 5, pool={"pool_kernel_size": (1, 3)}),
    Windows("pool_remainders", (2, 7, 6, 2), (3, 3), 3, pool={"pool_kernel_size": (2, 3)}),
    Windows("pool_overlaps", (2, 6, 6, 2), (2, 2), 3, pool={"pool_kernel_size": (3, 3), "pool_stride": (1, 2)}),
    Windows("pool_gaps", (2, 8, 9, 2), (2, 2), 3, pool={"pool_kernel_size": (2, 2), "pool_stride": (3, 4)}),
    Windows(
        "pool_padding",
        (2, 5, 6, 2),
        (2, 2),
        3,
        pool={"pool_kernel_size": (3, 2), "pool_stride": (2, 2), "pool_padding": (1, 1)},
    ),
    Windows("pool_all", (2, 5, 4, 2), (3, 2), 3, pool={"pool_kernel_size": (3, 3)}),
    Windows("pool_one_by_one", (2, 4, 4, 2), (3, 3), 3, pool={"pool_kernel_size": (1, 1)}),
    Windows("stride", (2, 9, 8, 2), (3, 3), 3, stride=(2, 1)),
    Windows("gaps", (1, 10, 10, 2), (2, 2), 3, stride=(3, 3)),
    Windows("padding", (2, 4, 5, 3), (3, 3), 4, padding=(1, 2)),
    Windows("dilation", (1, 8, 8, 2), (3, 2), 3, padding=(1, 0), dilation=(2, 3)),
    Windows("groups", (2, 6, 6, 4), (3, 3), 6, groups=2),
    Windows("depthwise", (2, 6, 6, 3), (3, 3), 3, padding=(1, 1), groups=3),
    Windows("one_image", (1, 5, 6, 3), (3, 3), 4),
    Windows("one_channel", (2, 5, 5, 1), (2, 2), 8),
    Windows("no_images", (0, 6, 6, 2), (3, 3), 3),
    Windows("no_bias", (2, 6, 6, 2), (3, 3), 5, bias=False),
    Windows("nine_filters", (1, 6, 6, 2), (3, 3), 9),
    Windows("seventeen_filters", (3, 5, 7, 3), (2, 2), 17),
    Windows("seven_images", (7, 4, 4, 2), (3, 3), 2),
)

NORMS = (
    Norm("plain", (2, 3, 4, 5)),
    Norm("with_relu", (3, 4, 3, 8), relu=True),
    Norm("evaluation", (2, 3, 3, 6), training=False),
    Norm("evaluation_with_relu", (2, 2, 5, 9), relu=True, training=False),
    Norm("one_channel", (3, 2, 2, 1), relu=True),
    Norm("one_image", (1, 5, 2, 16)),
    Norm("two_values", (2, 1, 1, 3)),
    Norm("seventeen_channels", (2, 3, 5, 17), relu=True),
    Norm("thirty_five_channels", (2, 2, 3, 35), relu=True),
    Norm("many_rows", (5, 9, 9, 64), relu=True),  # several chunks, the last one smaller
    Norm("no_images", (0, 3, 3, 2), training=False),
)

NUMBERS = (
    Numbers("images", (2, 3, 5, 3)),
    Numbers("rows", (3, 17)),
    Numbers("seventy_one", (71,)),
    Numbers("one_row", (1, 133)),
    Numbers("several_chunks", (2, 65_536 + 5)),
    Numbers("no_images", (0, 4, 4, 2)),
)

SGD_STEPS = (
    Step("momentum", 17, {"lr": 0.5, "momentum": 0.9}),
    Step("plain", 7, {"lr": 0.1}),
    Step("decay", 9, {"lr": 0.1, "decay": 0.3}),
    Step("nesterov", 33, {"lr": 0.5, "momentum": 0.9, "nesterov": True}),
    Step("nesterov_and_decay", 8, {"lr": 0.5, "momentum": 0.5, "nesterov": True, "decay": 0.25}),
    Step("several_chunks", 16_384 * 2 + 5, {"lr": 0.1, "momentum": 0.9}),
    Step("one_number", 1, {"lr": 1.0}),
)
ADAM_STEPS = (
    Step("plain", 7, {"lr": 0.1}),
    Step("slow_means", 16, {"lr": 0.01, "beta1": 0.99, "beta2": 0.5, "eps": 1e-3}),
    Step("decay", 19, {"lr": 0.1, "decay": 0.3}),
    Step("shrink", 33, {"lr": 0.1, "shrink": 0.9}),
    Step("several_chunks", 16_384 * 2 + 5, {"lr": 0.1}),
    Step("one_number", 1, {"lr": 1.0}),
)
LOGITS = (
    Logits("plain", (5, 10)),
    Logits("one_image", (1, 3)),
    Logits("one_class", (4, 1)),
    Logits("many_classes", (3, 133)),
    Logits("far_apart", (6, 4), scale=300.0),
    Logits("no_images", (0, 5)),
)

LEVELS = (
    Batch("plain", (3, 4, 5, 3)),
    Batch("one_image", (1, 5, 3, 3)),
    Batch("one_channel", (2, 3, 7, 1)),
    Batch("one_pixel", (2, 1, 1, 3)),
    Batch("seventeen_channels", (2, 3, 2, 17)),
    Batch("every_level", (1, 16, 32, 2)),
    Batch("no_images", (0, 4, 4, 3)),
)
CROPS = (
    Batch("plain", (9, 4, 6, 3)),
    Batch("numbers", (9, 5, 4, 3), levels=False),
    Batch("one_image", (1, 5, 4, 3), levels=False),
    Batch("one_channel", (8, 3, 7, 1)),
    Batch("one_column", (8, 9, 1, 4), levels=False),
    Batch("one_row", (8, 1, 9, 4), levels=False),
    Batch("seventeen_channels", (8, 3, 4, 17), levels=False),
    Batch("no_images", (0, 4, 4, 3)),
)

CASES: dict[str, tuple[Case, ...]] = {
    "im2col": CONVOLUTIONS,
    "col2im": CONVOLUTIONS,
    "conv2d": CONVOLUTIONS,
    "conv2d_backward": CONVOLUTIONS,
    "maxpool2d": POOLINGS,
    "maxpool2d_backward": POOLINGS,
    "avgpool2d": POOLINGS,
    "avgpool2d_backward": POOLINGS,
    "conv2d_relu_maxpool2d": FUSED,
    "conv2d_relu_maxpool2d_backward": FUSED,
    "channel_moments": tuple(case for case in NORMS if case.x[0]),  # no image has no mean
    "batchnorm2d": NORMS,
    "batchnorm2d_backward": NORMS,
    "relu": NUMBERS,
    "relu_backward": NUMBERS,
    "sgd_step": SGD_STEPS,
    "adam_step": ADAM_STEPS,
    "log_softmax": LOGITS,
    "cross_entropy_backward": LOGITS,
    "look_up_levels": LEVELS,
    "crop_images": CROPS,
}
"""op -> its cases."""


def fills_of(op: str) -> tuple[str, ...]:
    """Return the fills that say something about `op`."""
    if op in ("maxpool2d", "conv2d_relu_maxpool2d", "maxpool2d_backward", "relu", "relu_backward"):
        return FILLS
    if op == "conv2d_relu_maxpool2d_backward":
        return ("normal", "integers", "ties")  # whether NaN times the zero gradient of a dead place counts is open
    if op in ("channel_moments", "batchnorm2d", "sgd_step"):
        return ("normal", "special")
    if op in ("batchnorm2d_backward", "adam_step"):
        return ("normal",)
    if op == "log_softmax":
        return ("normal", "negative", "special")
    if op == "cross_entropy_backward":
        return ("normal", "negative")
    if op in ("look_up_levels", "crop_images"):
        return ("normal", "special")
    return ("normal", "integers", "special")


# -- arrays -----------------------------------------------------------------------------------------------------------


def filled(shape: tuple[int, ...], fill: str, dtype: str, rng: np.random.Generator) -> np.ndarray:
    """Return an array of `shape` that holds what `fill` says."""
    if fill == "integers":
        return rng.integers(-3, 4, shape).astype(dtype)
    if fill == "ties":
        return np.maximum(rng.integers(-2, 2, shape), 0).astype(dtype)
    array = rng.standard_normal(shape)
    if fill == "negative":
        array = -1 - np.abs(array)
    elif fill == "special":
        drawn = rng.random(shape)
        for i, value in enumerate((np.nan, np.inf, -np.inf, -0.0, 0.0)):
            array[(drawn >= 0.05 * i) & (drawn < 0.05 * (i + 1))] = value
    return array.astype(dtype)


@functools.cache
def arguments(
    op: str, case: Case, fill: str, dtype: str
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the arrays and the other arguments for `op`, by name; the same ones each time, so do not change them.

    Whole numbers stay small, so that every sum of products is exact in float32 in whatever order it is made; an
    upstream gradient of average pooling is a multiple of everything that it may be divided by.
    """
    rng = np.random.default_rng(zlib.crc32(f"{case.id} {fill}".encode()))
    plain = "normal" if fill in ("special", "negative") else "integers" if fill == "ties" else fill

    def array(shape: tuple[int, ...], fill: str = plain) -> np.ndarray:
        return filled(shape, fill, dtype, rng)

    if isinstance(case, Numbers):
        x = array(case.shape, fill)
        return ({"x": x} if op == "relu" else {"dy": array(case.shape, fill), "y": oracles.relu(x)[0]}), {}
    if isinstance(case, Step):
        return _step_arguments(op, case, fill, array)
    if isinstance(case, Logits):
        z = array(case.shape, fill) * np.dtype(dtype).type(case.scale)
        if op == "log_softmax":
            return {"z": z}, {}
        q = np.abs(array(case.shape))
        return {"log_p": oracles.log_softmax(z)[0], "q": q / q.sum(axis=1, keepdims=True)}, {}
    if isinstance(case, Batch):
        return _batch_arguments(op, case, fill, array, rng), {}
    x = array(case.x, fill)
    if isinstance(case, Norm):
        return _norm_arguments(op, case, x, array)
    if isinstance(case, Pool):
        how = {"kernel_size": case.kernel, **case.windows}
        if op.startswith("avgpool2d"):
            how["count_include_pad"] = case.count_include_pad
        if op in ("maxpool2d", "avgpool2d"):
            return {"x": x}, how
        dy = array((case.x[0], *case.grid, case.x[3]))
        if op == "avgpool2d_backward":
            if plain == "integers":
                size = math.prod(case.kernel)
                dy *= size if case.count_include_pad else math.lcm(*range(1, size + 1))
            return {"dy": dy}, {"input_shape": case.x, **how}
        return {"dy": dy, "argmax": oracles.maxpool2d(x, **how)[1]}, {"input_shape": case.x, **how}
    if op in ("im2col", "col2im"):
        how = {"kernel_size": case.kernel, **case.windows}
        if op == "im2col":
            return {"x": x}, how
        cols = (case.x[0], *case.grid, math.prod(case.kernel) * case.x[3])
        return {"cols": array(cols)}, {"input_shape": case.x, **how}
    how = {**case.windows, "groups": case.groups, **case.pool}
    w, b = array(case.w), array((case.filters,))
    forward = {"x": x, "w": w, "b": b if case.bias else None}
    if not op.endswith("_backward"):
        return forward, how
    if op == "conv2d_backward":
        upstream = {"dy": array((case.x[0], *case.grid, case.filters))}
    else:
        argmax = oracles.conv2d_relu_maxpool2d(**forward, **how)[1]
        upstream = {"dy": array(argmax.shape), "argmax": argmax}
    return {**upstream, "x": x, "w": w}, {**how, "bias": case.bias}


def _norm_arguments(
    op: str, case: Norm, x: np.ndarray, array: Callable[[tuple[int, ...]], np.ndarray]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if op == "channel_moments":
        return {"x": x}, {}
    c = case.x[3:]
    weight, bias, mean, var = array(c), array(c), array(c), np.abs(array(c))
    if op == "batchnorm2d_backward" and case.training:
        mean, var = (moment.astype(x.dtype) for moment in oracles.channel_moments(x))
    arrays = {"x": x, "mean": mean, "var": var, "weight": weight, "bias": bias}
    how = {"eps": case.eps, "relu": case.relu}
    if op == "batchnorm2d":
        return arrays, how
    return {"dy": array(case.x), **arrays}, {**how, "training": case.training}


def _step_arguments(
    op: str, case: Step, fill: str, array: Callable[..., np.ndarray]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    value, grad, first, second = (array((case.size,), fill) for _ in range(4))
    if op == "adam_step":
        return {"value": value, "grad": grad, "m": first, "v": np.abs(second)}, case.how
    return {"value": value, "grad": grad, "velocity": first if "momentum" in case.how else None}, case.how


def _batch_arguments(
    op: str, case: Batch, fill: str, array: Callable[..., np.ndarray], rng: np.random.Generator
) -> Mapping[str, Any]:
    count, height, width, channels = case.shape
    images = array(case.shape, fill)
    if case.levels:
        images = rng.permutation(np.arange(images.size) % 256).reshape(case.shape).astype(np.uint8)
    if op == "look_up_levels":
        return {"images": images, "table": array((256, channels), fill)}
    # Some cuts show all of an image, the first among them, some a part, some nothing; two are as far off as can be.
    tops = rng.integers(-height - 1, height + 2, count)
    lefts = rng.integers(-width - 1, width + 2, count)
    tops[:1] = lefts[:1] = 0
    if count > 2:
        tops[-1], lefts[-2] = np.iinfo(np.intp).max, np.iinfo(np.intp).min
    return {"images": images, "tops": tops, "lefts": lefts, "mirrored": np.arange(count) % 2 == 1}


def call(op: str, arrays: Mapping[str, Any], how: Mapping[str, Any], backend: str | None = None, **outs: Any) -> tuple:
    """Return the outputs of the public op as a tuple."""
    with np.errstate(invalid="ignore"):  # NaN and infinities are meant
        result = getattr(kernels, op)(**arrays, **how, backend=backend, **outs)
    return result if isinstance(result, tuple) else (result,)


@functools.cache
def expected(op: str, case: Case, fill: str, dtype: str) -> tuple:
    """Return what the naive loops make of the same arguments, as a tuple."""
    arrays, how = arguments(op, case, fill, dtype)
    with np.errstate(invalid="ignore"):  # NaN and infinities are meant
        return getattr(oracles, op)(**arrays, **how)
