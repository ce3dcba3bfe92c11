"""Batch normalization."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

import fastscratch_kernels as kernels

from .checks import check_gradient, check_image_shape, check_images, check_number, check_size
from .module import Module
from .parameter import Array, Parameter, Shape


class BatchNorm2d(Module):
    """Normalize each channel over the batch, then scale and shift it.

    Parameters
    ----------
    num_features : int
        C, the channels.
    eps : float
        Added to the variance, so that a constant channel divides by something; above 0.
    momentum : float
        Share of the new batch in the running statistics, between 0 and 1.
    weight_lr_scale, bias_lr_scale : float
        How many times as fast as other parameters weight and bias learn, at least 0; see `Parameter`.

    Raises
    ------
    TypeError, ValueError
        If a number is none, or out of range.

    Attributes
    ----------
    weight, bias : Parameter of shape (C,)
        Scale and shift, at first 1 and 0.
    running_mean, running_var : ndarray of shape (C,)
        What evaluation mode uses, at first 0 and 1.
    num_batches_tracked : ndarray of shape (), int64
        How many batches went into them.

    Notes
    -----
    ``xhat = (x - mean) / sqrt(var + eps)``, ``y = weight xhat + bias``, with the mean and the biased variance over N,
    H and W. As in PyTorch the running variance is updated with the *unbiased* one (divided by M - 1, M = N H W).
    Backwards, in training mode, mean and variance depend on x too:

        dx = weight / sqrt(var + eps) * (dy - mean(dy) - xhat mean(dy xhat))

    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift", 2015.
    """

    buffer_names: ClassVar[tuple[str, ...]] = ("running_mean", "running_var", "num_batches_tracked")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        *,
        weight_lr_scale: float = 1.0,
        bias_lr_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.num_features = check_size("num_features", num_features)
        self.eps = check_number("eps", eps, above=0)
        self.momentum = check_number("momentum", momentum, at_least=0, at_most=1)
        self.weight = Parameter(np.ones(num_features, dtype=np.float32))
        self.bias = Parameter(np.zeros(num_features, dtype=np.float32))
        self.weight.lr_scale = check_number("weight_lr_scale", weight_lr_scale, at_least=0)
        self.bias.lr_scale = check_number("bias_lr_scale", bias_lr_scale, at_least=0)
        self.running_mean: Array = np.zeros(num_features, dtype=np.float32)
        self.running_var: Array = np.ones(num_features, dtype=np.float32)
        self.num_batches_tracked: Array = np.zeros((), dtype=np.int64)

    def forward(self, x: Array) -> Array:
        """Return the normalized `x` (N, H, W, C); in training mode the running statistics move too."""
        return self.normalize(x, relu=False)

    def normalize(self, x: Array, relu: bool) -> Array:
        """Return the normalized `x`, with ReLU behind it where that is asked for."""
        weight, bias = self.weight.value, self.bias.value
        check_images(self, x, weight.dtype, self.num_features)
        mean, var = self._batch_moments(x) if self.training else (self.running_mean, self.running_var)
        y = kernels.batchnorm2d(x, mean, var, weight, bias, eps=self.eps, relu=relu)
        if self.training:
            self.save_for_backward(x, mean, var, relu, True)
        else:  # a copy: the running statistics may move before the backward pass
            self.save_for_backward(x, mean.copy(), var.copy(), relu, False)
        return y

    def _batch_moments(self, x: Array) -> tuple[Array, Array]:
        """Return the batch's mean and variance, after moving the running ones."""
        m = x.size // self.num_features
        if m < 2:
            raise ValueError(f"{self!r} needs more than one value a channel in training mode, got shape {x.shape}")
        mean, var = kernels.channel_moments(x)
        keep = self.running_mean.dtype.type(1 - self.momentum)
        take = self.running_mean.dtype.type(self.momentum)
        self.running_mean[...] = keep * self.running_mean + take * mean
        self.running_var[...] = keep * self.running_var + take * (var * (m / (m - 1)))
        self.num_batches_tracked += 1
        return mean, var

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Set the gradients of weight and bias from `dy` (N, H, W, C), and return that of the input."""
        x, mean, var, relu, training = self.saved()
        check_gradient(self, dy, x.shape)
        dx, dweight, dbias = kernels.batchnorm2d_backward(
            dy,
            x,
            mean,
            var,
            self.weight.value,
            self.bias.value,
            eps=self.eps,
            relu=relu,
            training=training,
            input_grad=input_grad,
            dweight=self.weight.grad_out,
            dbias=self.bias.grad_out,
        )
        self.weight.set_grad(dweight)
        self.bias.set_grad(dbias)
        return dx

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return `input_shape`."""
        return check_image_shape(self, input_shape, self.num_features)

    def flops(self, input_shape: Shape) -> int:
        """Return four operations a number: subtract, divide, scale, shift."""
        return 4 * int(np.prod(input_shape))

    def __repr__(self) -> str:
        options = (
            ("eps", self.eps, 1e-5),
            ("momentum", self.momentum, 0.1),
            ("weight_lr_scale", self.weight.lr_scale, 1.0),
            ("bias_lr_scale", self.bias.lr_scale, 1.0),
        )
        other = "".join(f", {name}={value}" for name, value, usual in options if value != usual)
        return f"BatchNorm2d({self.num_features}{other})"
