"""Layers that change each number by itself."""

from __future__ import annotations

import numpy as np

import fastscratch_kernels as kernels

from .checks import check_float, check_gradient, check_number, check_shape
from .module import Module
from .parameter import Array, Shape


class ReLU(Module):
    """Rectified linear unit: ``y = max(x, 0)``.

    Notes
    -----
    Backwards the gradient passes where the output is positive, and is zero elsewhere, at zero too. NaN passes both
    ways, as in PyTorch. Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.
    """

    def forward(self, x: Array) -> Array:
        """Return ``max(x, 0)`` for `x` of any shape."""
        check_float(self, x)
        y = kernels.relu(x)
        self.save_for_backward(y)
        return y

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Return `dy` where the output was positive, else zero."""
        (y,) = self.saved()
        check_gradient(self, dy, y.shape)
        return kernels.relu_backward(dy, y) if input_grad else None

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return `input_shape`."""
        return check_shape(input_shape)

    def flops(self, input_shape: Shape) -> int:
        """Return one comparison a number."""
        return int(np.prod(input_shape))


class Multiply(Module):
    """Multiply every number by a constant.

    Parameters
    ----------
    factor : float
        Finite and not 0.

    Raises
    ------
    TypeError, ValueError
        If `factor` is no number, or not such a one.

    Notes
    -----
    Before a softmax it is a temperature, ``1 / factor``: with a factor below 1 the layers before it may make large
    scores without the probabilities being sure of themselves, and their gradients are that much smaller.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = check_number("factor", factor)
        if not self.factor:
            raise ValueError(f"factor must not be 0, got {factor}")

    def forward(self, x: Array) -> Array:
        """Return ``factor * x`` for `x` of any shape."""
        check_float(self, x)
        self.save_for_backward(x.shape)
        y: Array = x * x.dtype.type(self.factor)
        return y

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Return ``factor * dy``."""
        (shape,) = self.saved()
        check_gradient(self, dy, shape)
        return dy * dy.dtype.type(self.factor) if input_grad else None

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return `input_shape`."""
        return check_shape(input_shape)

    def flops(self, input_shape: Shape) -> int:
        """Return one multiplication a number."""
        return int(np.prod(input_shape))

    def __repr__(self) -> str:
        return f"Multiply({self.factor})"
