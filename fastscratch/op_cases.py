"""Calls of every kernel op, by shape: what ``fastscratch doctor`` verifies and compiles ahead.

The shapes are chosen to go through every path of every backend: the layers of the report's network and of a VGG, steps
and gaps and groups and rectangles, windows that overlap, windows with more places than a byte can name.
"""

from __future__ import annotations

import inspect
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastscratch_kernels as kernels

Array = np.ndarray[Any, np.dtype[Any]]

WINOGRAD, FAST = "winograd", ", fast"
"""An algorithm, and what stands behind its name where precision is "fast"."""


@dataclass(frozen=True)
class Call:
    """A public op of `fastscratch_kernels` and what it is called with.

    Attributes
    ----------
    op : str
        The function's name.
    shape : str
        The shapes in a few words, for a table.
    arrays, how : dict
        Arguments by name; all floating-point arrays are float32.
    terms : dict of str to int
        output -> how many products, or numbers, are summed up for one number of it; in the order of the outputs.
    """

    op: str
    shape: str
    arrays: dict[str, Array]
    how: dict[str, Any]
    terms: dict[str, int]

    def run(self, dtype: Any, backend: str, **variant: str) -> dict[str, Array]:
        """Return the outputs by name, computed with floating-point arrays of `dtype`; `variant` goes to the op."""
        arrays = {
            name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in self.arrays.items()
        }
        outputs = getattr(kernels, self.op)(**arrays, **self.how, **variant, backend=backend)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return dict(zip(self.terms, (array for array in outputs if array is not None), strict=True))

    def run_each_algorithm(self, dtype: Any, backend: str) -> Iterator[tuple[str, dict[str, Array]]]:
        """Yield the name of each algorithm that `backend` has for this, "auto" first, and its outputs."""
        parameters = inspect.signature(getattr(kernels, self.op)).parameters
        variants: dict[str, dict[str, str]] = {"auto": {}}
        if "algorithm" in parameters:
            variants |= {name: {"algorithm": name} for name in kernels.algorithms(backend)}
        if "precision" in parameters and WINOGRAD in variants:
            variants[WINOGRAD + FAST] = {"algorithm": WINOGRAD, "precision": "fast"}
        for name, variant in variants.items():
            try:
                outputs = self.run(dtype, backend, **variant)
            except ValueError:
                if not name.startswith(WINOGRAD):
                    raise
                continue  # that is for some windows only
            yield name, outputs


@dataclass(frozen=True)
class Convolution:
    """The shapes of a convolution, or with `pool` of a fused block; pairs are (height, width)."""

    x: tuple[int, int, int, int]
    kernel: tuple[int, int]
    filters: int
    how: dict[str, Any] = field(default_factory=dict)
    pool: dict[str, Any] | None = None
    patches: bool = False  # whether im2col and col2im are called too

    def calls(self, rng: np.random.Generator) -> Iterator[Call]:
        """Yield forward and backward."""
        groups = self.how.get("groups", 1)
        x = _draw(rng, *self.x)
        w = _draw(rng, *self.kernel, self.x[3] // groups, self.filters)
        inputs = {"x": x, "w": w, "b": _draw(rng, self.filters)}
        op = "conv2d" if self.pool is None else "conv2d_relu_maxpool2d"
        how = {**self.how, **(self.pool or {})}
        forward = Call(op, self._text(), inputs, how, {"y": w[..., 0].size} | ({"argmax": 0} if self.pool else {}))
        yield forward
        # Places that are taken from the reference, so that no backend's near ties count against another.
        y, *argmax = forward.run(np.float64, "numpy").values()
        pixels = y[..., 0].size
        upstream = {"dy": _draw(rng, *y.shape)} | ({"argmax": argmax[0]} if argmax else {})
        terms = {"dx": w[:, :, 0].size // groups, "dw": pixels, "db": pixels}
        yield Call(f"{op}_backward", self._text(), {**upstream, "x": x, "w": w}, how, terms)
        if self.patches:
            windows = {"kernel_size": self.kernel, **{name: how[name] for name in how if name != "groups"}}
            yield Call("im2col", self._text(), {"x": x}, windows, {"cols": 1})
            cols = {"cols": _draw(rng, *y.shape[:3], math.prod(self.kernel) * self.x[3])}
            yield Call("col2im", self._text(), cols, {"input_shape": self.x, **windows}, {"x": math.prod(self.kernel)})

    def _text(self) -> str:
        more = [f"{name} {_pair(value)}" for name, value in {**self.how, **(self.pool or {})}.items()]
        return ", ".join([f"{_pair(self.x)}, {_pair(self.kernel)} to {self.filters}", *more])


@dataclass(frozen=True)
class Pooling:
    """The shapes of a pooling."""

    x: tuple[int, int, int, int]
    how: dict[str, Any]

    def calls(self, rng: np.random.Generator) -> Iterator[Call]:
        """Yield max- and average-pooling, forward and backward."""
        x = _draw(rng, *self.x)
        size = math.prod(self.how["kernel_size"])
        text = f"{_pair(self.x)}, " + ", ".join(f"{name} {_pair(value)}" for name, value in self.how.items())
        y, argmax = kernels.maxpool2d(x, **self.how, backend="numpy")
        dy = _draw(rng, *y.shape)
        back = {"input_shape": self.x, **self.how}
        yield Call("maxpool2d", text, {"x": x}, self.how, {"y": 1, "argmax": 0})
        yield Call("maxpool2d_backward", text, {"dy": dy, "argmax": argmax}, back, {"dx": size})
        for how, border in (({"count_include_pad": True}, ""), ({"count_include_pad": False}, ", border not counted")):
            yield Call("avgpool2d", text + border, {"x": x}, {**self.how, **how}, {"y": size})
            yield Call("avgpool2d_backward", text + border, {"dy": dy}, {**back, **how}, {"dx": size})


@dataclass(frozen=True)
class Dense:
    """The shapes of a dense layer."""

    rows: int
    inputs: int
    outputs: int

    def calls(self, rng: np.random.Generator) -> Iterator[Call]:
        """Yield forward and backward."""
        x, w = _draw(rng, self.rows, self.inputs), _draw(rng, self.inputs, self.outputs)
        text = f"{self.rows}, {self.inputs} to {self.outputs}"
        yield Call("linear", text, {"x": x, "w": w, "b": _draw(rng, self.outputs)}, {}, {"y": self.inputs})
        dy = _draw(rng, self.rows, self.outputs)
        terms = {"dx": self.outputs, "dw": self.rows, "db": self.rows}
        yield Call("linear_backward", text, {"dy": dy, "x": x, "w": w}, {}, terms)


@dataclass(frozen=True)
class Normalization:
    """The shapes of a batch normalization."""

    x: tuple[int, int, int, int]

    def calls(self, rng: np.random.Generator) -> Iterator[Call]:
        """Yield mean and variance, then forward and backward, with ReLU behind it and without."""
        x, dy = 1 + 2 * _draw(rng, *self.x), _draw(rng, *self.x)
        pixels = x[..., 0].size
        moments = Call("channel_moments", _pair(self.x), {"x": x}, {}, {"mean": pixels, "var": pixels})
        yield moments
        channels = {
            **moments.run(np.float32, "numpy"),
            "weight": 1 + _draw(rng, self.x[3]) / 4,
            "bias": _draw(rng, self.x[3]),
        }
        for relu, text in ((False, ""), (True, ", relu")):
            yield Call("batchnorm2d", _pair(self.x) + text, {"x": x, **channels}, {"relu": relu}, {"y": 1})
            terms = {"dx": pixels, "dweight": pixels, "dbias": pixels}
            arrays = {"dy": dy, "x": x, **channels}
            yield Call("batchnorm2d_backward", _pair(self.x) + text, arrays, {"relu": relu}, terms)


@dataclass(frozen=True)
class Rectified:
    """The shape of what a ReLU sees."""

    x: tuple[int, ...]

    def calls(self, rng: np.random.Generator) -> Iterator[Call]:
        """Yield forward and backward."""
        forward = Call("relu", _pair(self.x), {"x": _draw(rng, *self.x)}, {}, {"y": 1})
        yield forward
        arrays = {"dy": _draw(rng, *self.x), **forward.run(np.float32, "numpy")}
        yield Call("relu_backward", _pair(self.x), arrays, {}, {"dx": 1})


@dataclass(frozen=True)
class Update:
    """The number of parameters that an optimizer's step changes."""

    size: int

    def calls(self, rng: np.random.Generator) -> Iterator[Call]:
        """Yield the steps of SGD, without momentum, with it, with Nesterov's, and of Adam."""
        value, grad, mean = (_draw(rng, self.size) for _ in range(3))
        arrays = {"value": value, "grad": grad}
        yield Call("sgd_step", f"{self.size}", arrays, {"lr": 0.1}, {"value": 1})
        for text, nesterov in (("momentum", False), ("Nesterov", True)):
            how = {"lr": 0.1, "momentum": 0.9, "decay": 0.01, "nesterov": nesterov}
            terms = {"value": 1, "velocity": 1}
            yield Call("sgd_step", f"{self.size}, {text}", {**arrays, "velocity": mean}, how, terms)
        moments = {"m": mean, "v": np.square(_draw(rng, self.size))}
        how = {"lr": 0.01, "decay": 0.01, "shrink": 0.99}
        yield Call("adam_step", f"{self.size}", {**arrays, **moments}, how, {"value": 1, "m": 1, "v": 1})


@dataclass(frozen=True)
class Softmax:
    """The rows and classes of a softmax."""

    rows: int
    classes: int

    def calls(self, rng: np.random.Generator) -> Iterator[Call]:
        """Yield the logarithm of softmax, and the gradient of the cross entropy behind it."""
        text = f"{self.rows} x {self.classes}"
        forward = Call("log_softmax", text, {"z": _draw(rng, self.rows, self.classes)}, {}, {"log_p": self.classes})
        yield forward
        q = np.abs(_draw(rng, self.rows, self.classes))
        arrays = {**forward.run(np.float32, "numpy"), "q": q / q.sum(axis=1, keepdims=True)}
        yield Call("cross_entropy_backward", text, arrays, {}, {"dz": self.classes})


@dataclass(frozen=True)
class Batch:
    """The shape of a batch of images on its way to a network."""

    images: tuple[int, int, int, int]

    def calls(self, rng: np.random.Generator) -> Iterator[Call]:
        """Yield the numbers that levels stand for, and shifted and mirrored images of levels and of numbers."""
        text = _pair(self.images)
        levels, numbers = rng.integers(0, 256, self.images, np.uint8), _draw(rng, *self.images)
        table = _draw(rng, 256, self.images[3])
        yield Call("look_up_levels", text, {"images": levels, "table": table}, {}, {"out": 1})
        places = {name: rng.integers(-4, 5, self.images[0]) for name in ("tops", "lefts")}
        places["mirrored"] = np.arange(self.images[0]) % 2 == 1
        for images in (levels, numbers):
            yield Call("crop_images", f"{text}, {images.dtype}", {"images": images, **places}, {}, {"out": 1})


PAIRS = {"pool_kernel_size": (2, 2)}
RECTANGLE = {"stride": (2, 1), "padding": (1, 3), "dilation": (1, 2)}
OVERLAPPING = {"pool_kernel_size": (3, 3), "pool_stride": (2, 2), "pool_padding": (1, 1)}

CASES: tuple[Batch | Convolution | Pooling | Dense | Normalization | Rectified | Softmax | Update, ...] = (
    # The report's network
    Convolution((8, 32, 32, 3), (3, 3), 32),
    Convolution((8, 32, 32, 3), (3, 3), 32, pool=PAIRS),
    Convolution((8, 15, 15, 32), (5, 5), 64),
    Convolution((8, 15, 15, 32), (5, 5), 64, pool=PAIRS),
    Convolution((8, 5, 5, 64), (3, 3), 64),
    Dense(32, 576, 64),
    Rectified((32, 64)),
    Dense(32, 64, 10),
    Softmax(32, 10),
    Update(4099),
    # A VGG
    Rectified((4, 32, 32, 64)),
    Convolution((4, 16, 16, 64), (3, 3), 64, {"padding": (1, 1)}, patches=True),
    Convolution((4, 16, 16, 64), (3, 3), 64, {"padding": (1, 1)}, pool=PAIRS),
    Normalization((4, 16, 16, 64)),
    Normalization((3, 9, 11, 20)),
    # What is not square, not dense, not one group
    Convolution((4, 17, 14, 12), (3, 5), 20, RECTANGLE, patches=True),
    Convolution((4, 17, 14, 12), (3, 5), 18, {**RECTANGLE, "groups": 3}),
    Convolution((4, 12, 12, 24), (3, 3), 24, {"padding": (1, 1), "groups": 24}),
    Convolution((4, 14, 13, 6), (3, 2), 12, {"groups": 2}, pool=PAIRS),
    Convolution((4, 14, 13, 5), (2, 3), 12, pool=OVERLAPPING),
    Pooling((4, 16, 16, 32), {"kernel_size": (2, 2)}),
    Pooling((4, 15, 17, 20), {"kernel_size": (3, 4), "stride": (2, 3), "padding": (1, 2)}),
    Pooling((2, 18, 20, 3), {"kernel_size": (16, 17), "stride": (1, 1)}),  # places that need more than a byte
    # The way of a batch to the network
    Batch((8, 32, 32, 3)),
    Batch((3, 9, 7, 5)),
)


def every_call(seed: int = 0) -> Iterator[Call]:
    """Yield the calls of all cases, drawn anew from `seed`."""
    for case in CASES:
        # A case draws the same numbers whatever other cases there are.
        yield from case.calls(np.random.default_rng([seed, zlib.crc32(repr(case).encode())]))


def _draw(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape, dtype=np.float32)


def _pair(value: Any) -> str:
    """Write sizes as 3 x 5, what is no tuple as it is."""
    return " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)
