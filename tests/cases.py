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
from case_kinds import Batch, Case, Logits, Norm, Numbers, Pool, Step
from case_kinds import Windows as Windows  # for tests that make cases of their own
from geometries import (
    ADAM_STEPS,
    CONVOLUTIONS,
    CROPS,
    FUSED,
    LEVELS,
    LOGITS,
    NORMS,
    NUMBERS,
    POOLINGS,
    SGD_STEPS,
)

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
"""normal; whole numbers from -3 to 3; 0 and 1, mostly 0, as after ReLU; all negative; NaN, infinities, -0.0 in x.

The fused block's gradient has "upstream" beside them: NaN and infinities in dy.
"""

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
        # Not "special": whether NaN in x times the zero gradient of a pixel that did not win counts is open.
        return ("normal", "integers", "ties", "upstream")
    if op in ("channel_moments", "batchnorm2d", "batchnorm2d_backward", "sgd_step"):
        return ("normal", "special")
    if op == "adam_step":
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
    plain = "normal" if fill in ("special", "negative", "upstream") else "integers" if fill == "ties" else fill

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
        dy = array(argmax.shape)
        if fill == "upstream":
            _spoil(dy, argmax, case)
        upstream = {"dy": dy, "argmax": argmax}
    return {**upstream, "x": x, "w": w}, {**how, "bias": case.bias}


def _spoil(dy: np.ndarray, argmax: np.ndarray, case: Windows) -> None:
    """Write NaN and infinities to the dead places of `dy`, and to the live ones of its first filter.

    Those not where the images have a border: its zeros times an infinity are NaN, which the loops leave out.
    """
    dead = argmax == np.iinfo(argmax.dtype).max
    if case.padding == (0, 0):
        dead[..., 0] = True
    dy[dead] = np.resize([np.inf, np.nan, -np.inf], np.count_nonzero(dead))


def _norm_arguments(
    op: str, case: Norm, x: np.ndarray, array: Callable[[tuple[int, ...]], np.ndarray]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if op == "channel_moments":
        return {"x": x}, {}
    c = case.x[3:]
    weight, bias, mean, var = array(c), array(c), array(c), np.abs(array(c))
    if op == "batchnorm2d_backward" and case.training:
        with np.errstate(invalid="ignore"):  # NaN and infinities are meant
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
