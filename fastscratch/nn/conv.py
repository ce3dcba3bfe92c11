"""The convolution layer."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from fastscratch_kernels import checked
from fastscratch_kernels.shapes import IntPair, Windows, conv2d_shape

from .checks import check_image_shape, check_images, check_pair, check_size
from .init import check_initializer, fans, initialize
from .module import Module
from .parameter import Array, Parameter, Shape


class GradientsOut(TypedDict):
    """Which gradients of parameters are wanted, and the arrays that take them, where there are any."""

    bias: bool
    dw: Array | None
    db: Array | None


class Conv2d(Module):
    """2-D convolution: every output position is a weighted sum of a window of the input.

    Parameters
    ----------
    in_channels, out_channels : int
        C and F.
    kernel_size : int or (height, width)
        KH and KW.
    stride, padding, dilation : int or (height, width)
        Steps between windows; zeros around the images; steps between the pixels of one window.
    groups : int
        Divides both channel counts; filters of one group see only the channels of that group.
    bias : bool
        Whether a number is added to each output channel.
    init : str
        A name of `fastscratch.nn.init.INITIALIZERS`.

    Attributes
    ----------
    weight : Parameter of shape (KH, KW, C // groups, F)
    bias : Parameter of shape (F,), or None

    Raises
    ------
    TypeError
        If a size is no int, or no pair of them.
    ValueError
        If one is out of range, `groups` does not divide the channels, or the initializer is unknown.

    Notes
    -----
    ``y[n, oh, ow, f] = b[f] + sum over i, j, c of x[n, oh sh + i dh - ph, ow sw + j dw - pw, c] w[i, j, c, f]``.
    As in every framework this is a cross-correlation: the filters are not flipped. With a patch a row of a matrix
    `cols` it is ``cols @ w``, and backwards ``dw = cols.T @ dy``, ``dx = col2im(dy @ w.T)``, ``db = sum of dy``.
    LeCun et al., "Backpropagation applied to handwritten zip code recognition", 1989.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        stride: IntPair = 1,
        padding: IntPair = 0,
        dilation: IntPair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        init: str = "torch",
    ) -> None:
        super().__init__()
        self.in_channels = check_size("in_channels", in_channels)
        self.out_channels = check_size("out_channels", out_channels)
        self.kernel_size = check_pair("kernel_size", kernel_size, at_least=1)
        groups = check_size("groups", groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups must divide the channels, got {groups}: in_channels {in_channels}, out_channels {out_channels}"
            )
        init = check_initializer(init)
        self.stride = check_pair("stride", stride, at_least=1)
        self.padding = check_pair("padding", padding, at_least=0)
        self.dilation, self.groups = check_pair("dilation", dilation, at_least=1), groups
        self.windows: Windows = (self.stride, self.padding, self.dilation, groups)
        shape = (*self.kernel_size, in_channels // groups, out_channels)
        fan_in, fan_out = fans(shape)
        self.weight = Parameter(
            shape=shape,
            draw=lambda rng: initialize(init, rng, shape, fan_in=fan_in, fan_out=fan_out, groups=groups),
        )
        self.bias = (
            Parameter(
                shape=(out_channels,),
                draw=lambda rng: initialize(
                    init, rng, (out_channels,), fan_in=fan_in, fan_out=fan_out, role="bias"
                ),
                after=self.weight,
            )
            if bias
            else None
        )

    def check_input(self, x: Array) -> Array:
        """Return `x` C-contiguous; raise unless it is (N, H, W, in_channels) and of the parameters' dtype."""
        check_images(self, x, self.weight.value.dtype, self.in_channels)
        return x if x.flags.c_contiguous else np.ascontiguousarray(x)

    def forward(self, x: Array) -> Array:
        """Return the convolution of `x` (N, H, W, C), of shape (N, OH, OW, F)."""
        x = self.check_input(x)
        self.save_for_backward(x)
        return checked.conv2d(x, self.weight.value, self.bias.value if self.bias else None, self.windows)

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Set the gradients of weight and bias from `dy` (N, OH, OW, F), and return that of the input."""
        (x,) = self.saved()
        dx, dw, db = checked.conv2d_backward(
            dy, x, self.weight.value, self.windows, input_grad, **self.gradients_out()
        )
        self.set_gradients(dw, db)
        return dx

    def gradients_out(self) -> GradientsOut:
        """Return which gradients of parameters a kernel is to make, and where."""
        bias = self.bias
        return {"bias": bias is not None, "dw": self.weight.grad_out, "db": bias.grad_out if bias else None}

    def set_gradients(self, dw: Array, db: Array | None) -> None:
        """Set the gradients of weight and bias."""
        self.weight.set_grad(dw)
        if self.bias is not None and db is not None:
            self.bias.set_grad(db)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (OH, OW, F) for (H, W, C)."""
        shape = check_image_shape(self, input_shape, self.in_channels)
        return conv2d_shape((1, *shape), self.weight.shape, *self.windows)[1:]

    def flops(self, input_shape: Shape) -> int:
        """Return 2 OH OW F KH KW C / groups, and one addition an output for the bias."""
        positions = int(np.prod(self.output_shape(input_shape)[:2]))
        return positions * (2 * self.weight.size + (self.out_channels if self.bias else 0))

    def __repr__(self) -> str:
        parts = [str(self.in_channels), str(self.out_channels), f"kernel_size={self.kernel_size}"]
        defaults = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
        parts += [f"{name}={getattr(self, name)}" for name in defaults if getattr(self, name) != defaults[name]]
        return f"Conv2d({', '.join(parts)}{'' if self.bias else ', bias=False'})"
