"""Flatten and the dense layer."""

from __future__ import annotations

import math

import numpy as np

from fastscratch_kernels import checked

from .checks import check_float, check_gradient, check_shape, check_size
from .init import check_initializer, fans, initialize
from .module import Module
from .parameter import Array, Parameter, Shape


class Flatten(Module):
    """All axes but the first into one: (N, H, W, C) -> (N, H * W * C).

    The order is this project's, channels last; `fastscratch.interop.torch` converts dense weights that follow it.
    """

    def forward(self, x: Array) -> Array:
        """Return `x` as (N, features)."""
        check_float(self, x)
        self.save_for_backward(x.shape)
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Return `dy` in the shape of the input."""
        (shape,) = self.saved()
        check_gradient(self, dy, (shape[0], math.prod(shape[1:])))
        return dy.reshape(shape) if input_grad else None

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (features,)."""
        return (math.prod(check_shape(input_shape)),)


class Linear(Module):
    """Dense layer: ``y = x @ w + b``.

    Parameters
    ----------
    in_features, out_features : int
        Numbers in and out.
    bias : bool
        Whether `b` is added.
    init : str
        A name of `fastscratch.nn.init.INITIALIZERS`.

    Attributes
    ----------
    weight : Parameter of shape (in_features, out_features)
        PyTorch keeps the transpose.
    bias : Parameter of shape (out_features,), or None

    Raises
    ------
    TypeError
        If a size is no int.
    ValueError
        If one is out of range, or the initializer is unknown.

    Notes
    -----
    Backwards ``dw = x.T @ dy``, ``db = sum of dy over N``, ``dx = dy @ w.T``.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, init: str = "torch") -> None:
        super().__init__()
        self.in_features = check_size("in_features", in_features)
        self.out_features = check_size("out_features", out_features)
        init = check_initializer(init)
        shape = (in_features, out_features)
        fan_in, fan_out = fans(shape)
        self.weight = Parameter(
            shape=shape, draw=lambda rng: initialize(init, rng, shape, fan_in=fan_in, fan_out=fan_out, role="weight")
        )
        self.bias = (
            Parameter(
                shape=(out_features,),
                draw=lambda rng: initialize(
                    init, rng, (out_features,), fan_in=fan_in, fan_out=fan_out, role="bias"
                ),
                after=self.weight,
            )
            if bias
            else None
        )

    def forward(self, x: Array) -> Array:
        """Return ``x @ w + b`` for `x` (N, in_features), of shape (N, out_features)."""
        w = self.weight.value
        check_float(self, x, w.dtype)
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ValueError(f"{self!r} takes (N, {self.in_features}), got shape {x.shape}")
        x = x if x.flags.c_contiguous else np.ascontiguousarray(x)
        self.save_for_backward(x)
        return checked.linear(x, w, self.bias.value if self.bias else None)

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Set the gradients of weight and bias from `dy` (N, out_features), and return that of the input."""
        (x,) = self.saved()
        check_gradient(self, dy, (x.shape[0], self.out_features))
        bias = self.bias
        dx, dw, db = checked.linear_backward(
            dy,
            x,
            self.weight.value,
            input_grad,
            bias is not None,
            self.weight.grad_out,
            bias.grad_out if bias else None,
        )
        self.weight.set_grad(dw)
        if bias is not None and db is not None:
            bias.set_grad(db)
        return dx

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (out_features,)."""
        if (shape := check_shape(input_shape)) != (self.in_features,):
            raise ValueError(f"{self!r} takes ({self.in_features},) an image, got {shape}")
        return (self.out_features,)

    def flops(self, input_shape: Shape) -> int:
        """Return two operations a weight, and one a bias."""
        return 2 * self.weight.size + (self.out_features if self.bias else 0)

    def __repr__(self) -> str:
        return f"Linear({self.in_features}, {self.out_features}{'' if self.bias else ', bias=False'})"
