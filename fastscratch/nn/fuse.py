"""Runs of layers that one kernel computes faster than one layer after the other.

Layers keep their identity: a fused step reads the parameters of the layers it stands for and sets their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastscratch_kernels import checked
from fastscratch_kernels.shapes import lie_side_by_side

from .activation import ReLU
from .checks import check_gradient
from .conv import Conv2d
from .linear import Linear
from .module import Module
from .norm import BatchNorm2d
from .parameter import Array
from .pooling import MaxPool2d


class Fused(Module):
    """One step that stands for a run of layers, which are drawn as those of their container."""

    def __init__(self) -> None:
        super().__init__()
        self._initialized = True

    @classmethod
    def fits(cls, *layers: Any) -> bool:
        """Return whether the step is faster than these layers one after the other."""
        return True


class ConvReLUMaxPool(Fused):
    """Conv2d -> ReLU -> MaxPool2d as one kernel, where the windows of the pooling lie side by side.

    Nothing of the size of the convolution's output is kept: the place of each pooled number is enough to go back.
    """

    @classmethod
    def fits(cls, *layers: Any) -> bool:
        """Return False where a kernel has to compose the plain ones, which alone are each at their fastest."""
        conv, _, pool = layers
        is_depthwise = 1 < conv.groups == conv.in_channels == conv.out_channels
        return not is_depthwise and lie_side_by_side(pool.kernel_size, pool.stride, pool.padding)

    def __init__(self, conv: Conv2d, relu: ReLU, pool: MaxPool2d) -> None:
        super().__init__()
        self.conv, self.relu, self.pool = conv, relu, pool
        self._pool = (pool.kernel_size, pool.stride, pool.padding)

    def forward(self, x: Array) -> Array:
        """Return ``pool(relu(conv(x)))``."""
        conv = self.conv
        x = conv.check_input(x)
        bias = conv.bias.value if conv.bias else None
        y, argmax = checked.conv2d_relu_maxpool2d(x, conv.weight.value, bias, conv.windows, self._pool)
        self.save_for_backward(x, argmax)
        return y

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Set the gradients of the convolution's parameters, and return that of the input."""
        x, argmax = self.saved()
        conv = self.conv
        dx, dw, db = checked.conv2d_relu_maxpool2d_backward(
            dy, argmax, x, conv.weight.value, conv.windows, self._pool, input_grad, **conv.gradients_out()
        )
        conv.set_gradients(dw, db)
        return dx


class ThenReLU(Fused):
    """Conv2d or Linear -> ReLU: the output is rectified where it lies, and kept once instead of twice."""

    def __init__(self, layer: Conv2d | Linear, relu: ReLU) -> None:
        super().__init__()
        self.layer, self.relu = layer, relu

    def forward(self, x: Array) -> Array:
        """Return ``relu(layer(x))``."""
        y = self.layer.forward(x)
        checked.relu(y, y)
        self.save_for_backward(y)
        return y

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Set the gradients of the layer's parameters, and return that of the input."""
        (y,) = self.saved()
        check_gradient(self.layer, dy, y.shape)
        return self.layer.backward(checked.relu_backward(dy, y), input_grad=input_grad)


class BatchNormReLU(Fused):
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


RUNS: dict[tuple[type[Module], ...], type[Fused]] = {
    (Conv2d, ReLU, MaxPool2d): ConvReLUMaxPool,
    (Conv2d, ReLU): ThenReLU,
    (Linear, ReLU): ThenReLU,
    (BatchNorm2d, ReLU): BatchNormReLU,
}
"""Types of layers in a row -> the step that takes their place; of two that begin alike the longer one stands first."""


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
            if tuple(type(layer) for layer in run) == types and fused.fits(*run):
                steps.append(fused(*run))
                i += len(types)
                break
        else:
            steps.append(layers[i])
            i += 1
    return steps
