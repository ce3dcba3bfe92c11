"""Runs of layers that one kernel computes faster than one layer after the other.

Layers keep their identity: a fused step reads the parameters of the layers it stands for and sets their gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict

import fastscratch_kernels as kernels
from fastscratch_kernels.shapes import Pair

from .activation import ReLU
from .conv import Conv2d
from .module import Array, Module
from .norm import BatchNorm2d
from .pooling import MaxPool2d


class PoolWindows(TypedDict):
    """How the windows of the pooling lie, as the fused kernel takes it."""

    pool_kernel_size: Pair
    pool_stride: Pair
    pool_padding: Pair


class ConvReLUMaxPool(Module):
    """Conv2d -> ReLU -> MaxPool2d as one kernel.

    Nothing of the size of the convolution's output is kept: the place of each pooled number is enough to go back.
    """

    def __init__(self, conv: Conv2d, relu: ReLU, pool: MaxPool2d) -> None:
        super().__init__()
        self.conv, self.relu, self.pool = conv, relu, pool
        self._pool: PoolWindows = {
            "pool_kernel_size": pool.kernel_size,
            "pool_stride": pool.stride,
            "pool_padding": pool.padding,
        }

    def forward(self, x: Array) -> Array:
        """Return ``pool(relu(conv(x)))``."""
        conv = self.conv
        conv.check_input(x)
        y, argmax = kernels.conv2d_relu_maxpool2d(
            x, conv.weight.value, conv.bias.value if conv.bias else None, **conv.windows, **self._pool
        )
        self.save_for_backward(x, argmax)
        return y

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Set the gradients of the convolution's parameters, and return that of the input."""
        x, argmax = self.saved()
        conv = self.conv
        dx, dw, db = kernels.conv2d_relu_maxpool2d_backward(
            dy,
            argmax,
            x,
            conv.weight.value,
            input_grad=input_grad,
            **conv.gradients_out(),
            **conv.windows,
            **self._pool,
        )
        conv.set_gradients(dw, db)
        return dx


class BatchNormReLU(Module):
    """BatchNorm2d -> ReLU as one kernel: the normalized numbers are read and written once."""

    def __init__(self, norm: BatchNorm2d, relu: ReLU) -> None:
        super().__init__()
        self.norm, self.relu = norm, relu

    def forward(self, x: Array) -> Array:
        """Return ``relu(norm(x))``."""
        return self.norm.normalize(x, relu=True)

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Set the gradients of the normalization's parameters, and return that of the input."""
        return self.norm.backward(dy, input_grad=input_grad)


RUNS: dict[tuple[type[Module], ...], Callable[..., Module]] = {
    (Conv2d, ReLU, MaxPool2d): ConvReLUMaxPool,
    (BatchNorm2d, ReLU): BatchNormReLU,
}
"""Types of layers in a row -> the step that takes their place."""


def plan(layers: Sequence[Module]) -> list[Module]:
    """Return the steps of a forward pass through `layers`: layers, and fused runs in place of theirs.

    Parameters
    ----------
    layers : sequence of Module
        Only layers of exactly the types that a run is made of are fused; a subclass may do something else.
    """
    steps: list[Module] = []
    i = 0
    while i < len(layers):
        for types, fused in RUNS.items():
            run = layers[i : i + len(types)]
            if tuple(type(layer) for layer in run) == types:
                steps.append(fused(*run))
                i += len(types)
                break
        else:
            steps.append(layers[i])
            i += 1
    return steps
