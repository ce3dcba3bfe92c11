"""The pooling layers."""

from __future__ import annotations

import numpy as np

import fastscratch_kernels as kernels
from fastscratch_kernels.shapes import IntPair, pool2d_shape

from .checks import check_gradient, check_image_shape, check_images, check_pair
from .module import Module
from .parameter import Array, Shape


class _Pool2d(Module):
    """What the two windowed poolings share: their windows."""

    def __init__(self, kernel_size: IntPair, stride: IntPair | None = None, padding: IntPair = 0) -> None:
        super().__init__()
        self.kernel_size = check_pair("kernel_size", kernel_size, at_least=1)
        self.stride = self.kernel_size if stride is None else check_pair("stride", stride, at_least=1)
        self.padding = check_pair("padding", padding, at_least=0)
        if 2 * self.padding[0] > self.kernel_size[0] or 2 * self.padding[1] > self.kernel_size[1]:
            raise ValueError(
                f"padding must be at most half the kernel, got padding {self.padding}, kernel {self.kernel_size}"
            )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (OH, OW, C) for (H, W, C)."""
        shape = check_image_shape(self, input_shape)
        return pool2d_shape((1, *shape), self.kernel_size, self.stride, self.padding)[1:]

    def flops(self, input_shape: Shape) -> int:
        """Return one operation for each number in each window."""
        return int(np.prod(self.output_shape(input_shape))) * self.kernel_size[0] * self.kernel_size[1]

    def __repr__(self) -> str:
        parts = [str(self.kernel_size)]
        parts += [f"stride={self.stride}"] if self.stride != self.kernel_size else []
        parts += [f"padding={self.padding}"] if self.padding != (0, 0) else []
        return f"{type(self).__name__}({', '.join(parts)})"


class MaxPool2d(_Pool2d):
    """The largest number of each window.

    Parameters
    ----------
    kernel_size : int or (height, width)
        The window.
    stride : int or (height, width), optional
        Steps between windows; None takes the kernel size.
    padding : int or (height, width)
        A border of -inf, at most half the kernel wide.

    Raises
    ------
    TypeError
        If a size is no int, or no pair of them.
    ValueError
        If one is out of range.

    Notes
    -----
    Backwards each gradient goes to the one pixel that was the largest, of equal ones the first, as in PyTorch.
    Left-over rows and columns are ignored (PyTorch's ``ceil_mode=False``); there is no dilation.
    """

    def forward(self, x: Array) -> Array:
        """Return the maxima of `x` (N, H, W, C), of shape (N, OH, OW, C)."""
        check_images(self, x)
        y, argmax = kernels.maxpool2d(x, self.kernel_size, stride=self.stride, padding=self.padding)
        self.save_for_backward(argmax, x.shape)
        return y

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Return the gradient of the input: each number of `dy` at its window's maximum."""
        argmax, shape = self.saved()
        if not input_grad:
            return None
        return kernels.maxpool2d_backward(
            dy, argmax, shape, self.kernel_size, stride=self.stride, padding=self.padding
        )


class AvgPool2d(_Pool2d):
    """The mean of each window.

    Parameters
    ----------
    kernel_size, stride, padding
        As for `MaxPool2d`, with a border of zeros.
    count_include_pad : bool
        Whether a window at the border is divided by its whole size, or by its part inside the image.

    Raises
    ------
    TypeError, ValueError
        As for `MaxPool2d`.
    """

    def __init__(
        self,
        kernel_size: IntPair,
        stride: IntPair | None = None,
        padding: IntPair = 0,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.count_include_pad = bool(count_include_pad)

    def forward(self, x: Array) -> Array:
        """Return the means of `x` (N, H, W, C), of shape (N, OH, OW, C)."""
        check_images(self, x)
        self.save_for_backward(x.shape)
        return kernels.avgpool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            count_include_pad=self.count_include_pad,
        )

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Return the gradient of the input: each number of `dy` shared out over its window."""
        (shape,) = self.saved()
        if not input_grad:
            return None
        return kernels.avgpool2d_backward(
            dy,
            shape,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            count_include_pad=self.count_include_pad,
        )

    def __repr__(self) -> str:
        return super().__repr__() if self.count_include_pad else f"{super().__repr__()[:-1]}, count_include_pad=False)"


class GlobalAvgPool2d(Module):
    """The mean of each channel over all of the image: (N, H, W, C) -> (N, C).

    Notes
    -----
    In place of dense layers at the end of a network it has no parameters that could overfit. Lin, Chen and Yan,
    "Network in network", 2014.
    """

    def forward(self, x: Array) -> Array:
        """Return the means of `x` (N, H, W, C), of shape (N, C)."""
        check_images(self, x)
        if 0 in x.shape[1:3]:
            raise ValueError(f"{self!r} needs at least one pixel, got shape {x.shape}")
        self.save_for_backward(x.shape)
        y: Array = x.mean(axis=(1, 2), dtype=x.dtype)  # (N, H, W, C) -> (N, C)
        return y

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Return the gradient of the input: `dy` (N, C) shared out over all pixels."""
        (shape,) = self.saved()
        n, h, w, c = shape
        check_gradient(self, dy, (n, c))
        if not input_grad:
            return None
        # (N, C) -> (N, 1, 1, C) -> (N, H, W, C)
        return np.ascontiguousarray(np.broadcast_to((dy / dy.dtype.type(h * w))[:, None, None, :], shape))

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (C,) for (H, W, C)."""
        return check_image_shape(self, input_shape)[2:]

    def flops(self, input_shape: Shape) -> int:
        """Return one addition a number."""
        return int(np.prod(input_shape))
