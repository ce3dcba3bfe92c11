"""The shapes that are measured: every layer of two networks, and ten classic convolutions.

The ten are there so that no kernel is made for the two networks alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscratch_kernels.shapes import conv2d_shape, pool2d_shape

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Conv:
    """A convolution with bias; `pool` names a block: followed by ReLU and a max-pooling of `pool` x `pool`.

    Attributes
    ----------
    name : str
        Network and layer.
    size : int
        H and W of the input.
    channels, filters : int
        C and F.
    kernel, stride, padding, groups : int
        Square.
    first : bool
        Whether images come in, whose gradient nobody asks for.
    pool : int
        0 where only the convolution counts.
    batch : int
        Images in a benchmark of this shape alone.
    """

    name: str
    size: int
    channels: int
    filters: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    first: bool = False
    pool: int = 0
    batch: int = 32

    @property
    def op(self) -> str:
        """Name of the op in `fastscratch_kernels`."""
        return "conv2d_relu_maxpool2d" if self.pool else "conv2d"

    @property
    def windows(self) -> dict[str, Any]:
        """Keyword arguments of the op."""
        how = {"stride": self.stride, "padding": self.padding, "groups": self.groups}
        return how | ({"pool_kernel_size": self.pool} if self.pool else {})

    def input_shape(self, batch: int) -> Shape:
        """Return (N, H, W, C)."""
        return (batch, self.size, self.size, self.channels)

    @property
    def weight_shape(self) -> Shape:
        """(KH, KW, C // groups, F)."""
        return (self.kernel, self.kernel, self.channels // self.groups, self.filters)

    def conv_shape(self, batch: int) -> tuple[int, int, int, int]:
        """Return (N, OH, OW, F), before any pooling."""
        how = (self.stride,) * 2, (self.padding,) * 2, (1, 1), self.groups
        return conv2d_shape(self.input_shape(batch), self.weight_shape, *how)

    def output_shape(self, batch: int) -> Shape:
        """Return the shape of the output, after the pooling if there is one."""
        shape = self.conv_shape(batch)
        return pool2d_shape(shape, (self.pool,) * 2, (self.pool,) * 2, (0, 0)) if self.pool else shape

    def flops(self, batch: int, backward: bool = False) -> int:
        """Return the operations of the dense algorithm; a multiply and an add are two."""
        forward = 2 * int(np.prod(self.conv_shape(batch))) * int(np.prod(self.weight_shape[:3]))
        return forward * (1 if not backward or self.first else 2)

    def bytes(self, batch: int, backward: bool = False, itemsize: int = 4) -> int:
        """Return the bytes that have to move: each input read once, each output written once, a block's places too."""
        sizes = (self.input_shape(batch), self.weight_shape, self.output_shape(batch))
        x, w, y = (int(np.prod(shape)) for shape in sizes)
        for_input = x + w if backward and not self.first else 0
        return itemsize * (x + w + y + for_input) + (y if self.pool else 0)


@dataclass(frozen=True)
class Pool:
    """A pooling of `kernel` x `kernel` windows that do not overlap; `op` is maxpool2d or avgpool2d."""

    name: str
    op: str
    size: int
    channels: int
    kernel: int
    batch: int = 32

    def input_shape(self, batch: int) -> Shape:
        """Return (N, H, W, C)."""
        return (batch, self.size, self.size, self.channels)

    def output_shape(self, batch: int) -> Shape:
        """Return (N, OH, OW, C)."""
        return pool2d_shape(self.input_shape(batch), (self.kernel,) * 2, (self.kernel,) * 2, (0, 0))

    def flops(self, batch: int, backward: bool = False) -> int:
        """Return one operation a number of the input."""
        return int(np.prod(self.input_shape(batch)))

    def bytes(self, batch: int, backward: bool = False, itemsize: int = 4) -> int:
        """Return the bytes of input and output, and of max-pooling's one-byte places."""
        outputs = int(np.prod(self.output_shape(batch)))
        places = outputs if self.op == "maxpool2d" else 0
        return itemsize * (int(np.prod(self.input_shape(batch))) + outputs) + places


@dataclass(frozen=True)
class Dense:
    """A dense layer with bias."""

    name: str
    inputs: int
    outputs: int
    batch: int = 32
    op: str = "linear"

    def input_shape(self, batch: int) -> Shape:
        """Return (N, in)."""
        return (batch, self.inputs)

    def output_shape(self, batch: int) -> Shape:
        """Return (N, out)."""
        return (batch, self.outputs)

    @property
    def weight_shape(self) -> Shape:
        """(in, out)."""
        return (self.inputs, self.outputs)

    def flops(self, batch: int, backward: bool = False) -> int:
        """Return the operations; a multiply and an add are two."""
        return 2 * batch * self.inputs * self.outputs * (2 if backward else 1)

    def bytes(self, batch: int, backward: bool = False, itemsize: int = 4) -> int:
        """Return the bytes that have to move."""
        x, w, y = batch * self.inputs, self.inputs * self.outputs, batch * self.outputs
        return itemsize * (2 * x + 2 * w + y if backward else x + w + y)


@dataclass(frozen=True)
class Patches:
    """The patch matrix of a convolution: im2col forward, col2im backward."""

    conv: Conv
    op: str = "im2col"

    @property
    def name(self) -> str:
        """Name of the convolution."""
        return self.conv.name

    @property
    def batch(self) -> int:
        """Images in a benchmark of this shape alone."""
        return self.conv.batch

    def input_shape(self, batch: int) -> Shape:
        """Return (N, H, W, C)."""
        return self.conv.input_shape(batch)

    def output_shape(self, batch: int) -> Shape:
        """Return (N, OH, OW, KH * KW * C)."""
        return (*self.conv.conv_shape(batch)[:3], self.conv.kernel**2 * self.conv.channels)

    def flops(self, batch: int, backward: bool = False) -> int:
        """Return one addition a number of the patch matrix on the way back, none on the way there."""
        return int(np.prod(self.output_shape(batch))) if backward else 0

    def bytes(self, batch: int, backward: bool = False, itemsize: int = 4) -> int:
        """Return the bytes of images and patch matrix."""
        return itemsize * int(np.prod(self.input_shape(batch)) + np.prod(self.output_shape(batch)))


@dataclass(frozen=True)
class Norm:
    """Batch normalization in training, the batch's moments included, and ReLU behind it."""

    name: str
    size: int
    channels: int
    batch: int = 32
    op: str = "batchnorm2d"

    def input_shape(self, batch: int) -> Shape:
        """Return (N, H, W, C)."""
        return (batch, self.size, self.size, self.channels)

    def output_shape(self, batch: int) -> Shape:
        """Return (N, H, W, C)."""
        return self.input_shape(batch)

    @property
    def weight_shape(self) -> Shape:
        """(C,)."""
        return (self.channels,)

    def flops(self, batch: int, backward: bool = False) -> int:
        """Return eight operations a number: three for the moments, four to normalize, one for ReLU; as many back."""
        return 8 * int(np.prod(self.input_shape(batch)))

    def bytes(self, batch: int, backward: bool = False, itemsize: int = 4) -> int:
        """Return the bytes that have to move: each array is read twice, for the sums and with them."""
        return itemsize * (5 if backward else 3) * int(np.prod(self.input_shape(batch)))


@dataclass(frozen=True)
class Flat:
    """An op that treats numbers one by one, or row by row: ReLU, softmax, an optimizer's step, the making of a batch.

    Attributes
    ----------
    name, op : str
        As of the others.
    sizes : tuple of int
        Of one image's numbers, or of all the parameters that a step changes.
    flops_each, bytes_each : (int, int)
        Operations and bytes a number, forward and backward; 0 backward where there is no way back.
    """

    name: str
    op: str
    sizes: Shape
    flops_each: tuple[int, int]
    bytes_each: tuple[int, int]
    batch: int = 32

    @property
    def both_ways(self) -> bool:
        """Whether it has a backward pass."""
        return self.bytes_each[1] > 0

    def input_shape(self, batch: int) -> Shape:
        """Return (N, ...), or the number of parameters."""
        return self.sizes if self.op.endswith("_step") else (batch, *self.sizes)

    def output_shape(self, batch: int) -> Shape:
        """Return the shape of the input."""
        return self.input_shape(batch)

    def flops(self, batch: int, backward: bool = False) -> int:
        """Return the operations; a function such as exp is one."""
        return self.flops_each[backward] * int(np.prod(self.input_shape(batch)))

    def bytes(self, batch: int, backward: bool = False, itemsize: int = 4) -> int:
        """Return the bytes that have to move."""
        return self.bytes_each[backward] * itemsize // 4 * int(np.prod(self.input_shape(batch)))

    def inputs(self, batch: int, dtype: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return ``x``, and by the names of the op's parameters what else it takes."""
        shape = self.input_shape(batch)
        if self.op in ("look_up_levels", "crop_images"):
            arrays = {"x": rng.integers(0, 256, shape, np.uint8)}
            if self.op == "look_up_levels":
                levels = (np.arange(256) / 255 - LEVEL_MEAN) / LEVEL_STD
                return arrays | {"table": np.repeat(levels[:, None], shape[3], axis=1).astype(dtype)}
            tops, lefts = rng.integers(-4, 5, (2, batch))
            return arrays | {"tops": tops, "lefts": lefts, "mirrored": rng.random(batch) < 0.5}
        arrays = {"x": rng.standard_normal(shape).astype(dtype)}
        if self.op == "log_softmax":
            weights = rng.random(shape)
            return arrays | {"q": (weights / weights.sum(axis=1, keepdims=True)).astype(dtype)}
        names = {"relu": ("dy",), "sgd_step": ("grad", "velocity"), "adam_step": ("grad", "m", "v")}[self.op]
        return arrays | {name: np.abs(rng.standard_normal(shape)).astype(dtype) for name in names}


LEVEL_MEAN, LEVEL_STD = 0.47, 0.25
"""Of the levels of images, of which 255 is 1."""

AnyShape = Conv | Pool | Dense | Patches | Norm | Flat

CONVOLUTIONS = (
    Conv("baseline.conv1", 32, 3, 32, 3, first=True),
    Conv("baseline.conv2", 15, 32, 64, 5),
    Conv("baseline.conv3", 5, 64, 64, 3),
    Conv("vgg.conv1", 32, 3, 64, 3, padding=1, first=True),
    Conv("vgg.conv2", 32, 64, 64, 3, padding=1),
    Conv("vgg.conv3", 16, 64, 128, 3, padding=1),
    Conv("vgg.conv4", 16, 128, 128, 3, padding=1),
    Conv("vgg.conv5", 8, 128, 256, 3, padding=1),
    Conv("vgg.conv6", 8, 256, 256, 3, padding=1),
    Conv("vgg.classes", 4, 256, 10, 1),
)
"""Every convolution of both networks."""

BLOCKS = (Conv("baseline.block1", 32, 3, 32, 3, first=True, pool=2), Conv("baseline.block2", 15, 32, 64, 5, pool=2))
"""Convolution, ReLU and pooling as the report's CNN has them."""

POOLINGS = (
    Pool("baseline.pool1", "maxpool2d", 30, 32, 2),
    Pool("baseline.pool2", "maxpool2d", 11, 64, 2),
    Pool("vgg.pool1", "maxpool2d", 32, 64, 2),
    Pool("vgg.pool2", "maxpool2d", 16, 128, 2),
    Pool("vgg.pool3", "maxpool2d", 8, 256, 2),
    Pool("vgg.mean", "avgpool2d", 4, 10, 4),
)
"""Every pooling of both networks."""

DENSE = (Dense("baseline.dense1", 576, 64), Dense("baseline.dense2", 64, 10))
"""The dense layers of the report's CNN; the other network has none."""

PATCHES = tuple(Patches(conv) for conv in CONVOLUTIONS[:3])
"""The patch matrices that im2col would make of the report's CNN."""

NORMS = (Norm("vgg.norm1", 32, 64), Norm("vgg.norm3", 16, 128), Norm("vgg.norm5", 8, 256))
"""Batch normalization with ReLU as VGG has it, each size once."""

CLASSIC = (
    Conv("alexnet.conv1", 224, 3, 64, 11, stride=4, padding=2, first=True, batch=4),
    Conv("alexnet.conv2", 27, 64, 192, 5, padding=2, batch=4),
    Conv("vgg16.conv2", 224, 64, 64, 3, padding=1, batch=1),
    Conv("resnet18.stem", 224, 3, 64, 7, stride=2, padding=3, first=True, batch=4),
    Conv("resnet18.block1", 56, 64, 64, 3, padding=1, batch=4),
    Conv("resnet18.down", 56, 64, 128, 3, stride=2, padding=1, batch=4),
    Conv("resnet50.reduce", 56, 256, 64, 1, batch=4),
    Conv("resnet50.expand", 56, 64, 256, 1, batch=4),
    Conv("mobilenet.depthwise", 56, 128, 128, 3, padding=1, groups=128, batch=4),
    Conv("large.9x9", 28, 32, 64, 9, padding=4, batch=4),
)
"""First blocks of well-known networks, 1 x 1, depthwise, strided, and a large kernel."""

FLAT = (
    Flat("baseline.relu3", "relu", (3, 3, 64), (1, 1), (8, 12)),
    Flat("scores", "log_softmax", (10,), (5, 4), (8, 12)),
    Flat("imagenet_scores", "log_softmax", (1000,), (5, 4), (8, 12)),
    Flat("baseline.step", "sgd_step", (126_666,), (8, 0), (20, 0)),
    Flat("baseline.step", "adam_step", (126_666,), (12, 0), (28, 0)),
    Flat("vgg.step", "adam_step", (1_148_874,), (12, 0), (28, 0)),
    Flat("cifar", "look_up_levels", (32, 32, 3), (0, 0), (5, 0)),
    Flat("cifar", "crop_images", (32, 32, 3), (0, 0), (2, 0)),
)
"""ReLU, softmax and their gradients, optimizers' steps over all parameters of both networks, loading images."""


def key(shape: AnyShape) -> str:
    """Return op and name of a shape, ``"conv2d:vgg.conv2"``."""
    return f"{shape.op}:{shape.name}"


_ALL: tuple[AnyShape, ...] = (*CONVOLUTIONS, *BLOCKS, *POOLINGS, *DENSE, *PATCHES, *NORMS, *CLASSIC, *FLAT)
ALL = {key(shape): shape for shape in _ALL}
"""Every shape by its key."""


def found(shape: str | dict[str, Any]) -> AnyShape:
    """Return the shape with this key, or the convolution with these fields."""
    return ALL[shape] if isinstance(shape, str) else Conv(**shape)


def inputs(shape: AnyShape, batch: int, dtype: Any = np.float32, seed: int = 0) -> dict[str, np.ndarray]:
    """Return what an op of this shape takes, normal numbers that are the same each time.

    Parameters
    ----------
    shape : Conv, Pool, Dense, Patches, Norm or Flat
    batch, seed : int
        N, and which numbers are drawn.
    dtype : float32 or float64

    Returns
    -------
    dict
        ``x``, ``dy`` (the gradient of the output), and where the op has them ``w`` and ``b``; in this project's layout.
        Of a Flat, what `Flat.inputs` says.
    """
    rng = np.random.default_rng(seed)
    if isinstance(shape, Flat):
        return shape.inputs(batch, dtype, rng)

    def normal(*size: int) -> np.ndarray:
        return rng.standard_normal(size).astype(dtype)

    arrays = {"x": normal(*shape.input_shape(batch)), "dy": normal(*shape.output_shape(batch))}
    if isinstance(shape, Norm):  # of millions of different numbers some would be ReLU's zero but for rounding
        arrays["x"] = np.round(8 * arrays["x"]) / 8
    if isinstance(shape, Conv | Dense | Norm):
        fan_in = int(np.prod(shape.weight_shape[:-1]))  # 1 for a scale
        arrays["w"] = normal(*shape.weight_shape) / np.sqrt(np.asarray(fan_in, dtype))
        arrays["b"] = normal(shape.weight_shape[-1])
    return arrays
