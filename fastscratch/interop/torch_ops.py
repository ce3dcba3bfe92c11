"""The kernel ops as PyTorch computes them: the same names, parameters and layout, arrays in and arrays out.

To compare with; nothing trains through this door. Places of maxima (`argmax`) are taken, but not returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastscratch.nn.parameter import Array

from .torch import images_from_torch, images_to_torch  # first: it says what to install where PyTorch is missing

# isort: split
import torch

Pair = tuple[int, int]
Shape = tuple[int, int, int, int]

functional = torch.nn.functional


def conv2d(x: Array, w: Array, b: Array, **how: Any) -> tuple[Array, ...]:
    """Return y."""
    return (images_from_torch(_conv2d(images_to_torch(x), _filters(w), torch.from_numpy(b), **how)),)


def conv2d_backward(dy: Array, x: Array, w: Array, **how: Any) -> tuple[Array, ...]:
    """Return dx, dw and db."""
    inputs = images_to_torch(x), _filters(w), torch.zeros(w.shape[3], dtype=_type(w))
    dx, dw, db = _gradients(lambda *arrays: _conv2d(*arrays, **how), inputs, images_to_torch(dy))
    return images_from_torch(dx), np.ascontiguousarray(dw.numpy().transpose(2, 3, 1, 0)), db.numpy()


def conv2d_relu_maxpool2d(
    x: Array,
    w: Array,
    b: Array,
    *,
    pool_kernel_size: Pair,
    pool_stride: Pair | None = None,
    pool_padding: Pair = (0, 0),
    **how: Any,
) -> tuple[Array, ...]:
    """Return y."""
    y = torch.relu(_conv2d(images_to_torch(x), _filters(w), torch.from_numpy(b), **how))
    return (images_from_torch(functional.max_pool2d(y, pool_kernel_size, pool_stride, pool_padding)),)


def conv2d_relu_maxpool2d_backward(
    dy: Array,
    argmax: Array,
    x: Array,
    w: Array,
    *,
    pool_kernel_size: Pair,
    pool_stride: Pair | None = None,
    pool_padding: Pair = (0, 0),
    **how: Any,
) -> tuple[Array, ...]:
    """Return dx, dw and db."""
    y = _conv2d(images_to_torch(x), _filters(w), None, **how)
    n, f, oh, ow = y.shape
    alive = argmax < math.prod(pool_kernel_size)
    (dconv,) = maxpool2d_backward(
        np.where(alive, dy, 0).astype(dy.dtype),
        np.where(alive, argmax, 0),
        (n, oh, ow, f),
        pool_kernel_size,
        stride=pool_stride,
        padding=pool_padding,
    )
    return conv2d_backward(dconv, x, w, **how)


def linear(x: Array, w: Array, b: Array) -> tuple[Array, ...]:
    """Return y."""
    return (functional.linear(torch.from_numpy(x), torch.from_numpy(w).T, torch.from_numpy(b)).numpy(),)


def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, ...]:
    """Return dx, dw and db."""
    inputs = torch.from_numpy(x), torch.from_numpy(np.ascontiguousarray(w.T)), torch.zeros(w.shape[1], dtype=_type(w))
    dx, dw, db = _gradients(functional.linear, inputs, torch.from_numpy(dy))
    return dx.numpy(), dw.numpy().T, db.numpy()


def im2col(x: Array, kernel_size: Pair, **how: Any) -> tuple[Array, ...]:
    """Return the patches."""
    n, c = x.shape[0], x.shape[3]
    cols = functional.unfold(images_to_torch(x), kernel_size, **how).numpy()
    oh, ow = _grid(x.shape[1:3], kernel_size, **how)
    return (cols.reshape(n, c, -1, oh, ow).transpose(0, 3, 4, 2, 1).reshape(n, oh, ow, -1),)


def col2im(cols: Array, input_shape: Shape, kernel_size: Pair, **how: Any) -> tuple[Array, ...]:
    """Return the images."""
    n, h, w, c = input_shape
    pixels = cols.shape[1] * cols.shape[2]
    rows = cols.reshape(n, pixels, -1, c).transpose(0, 3, 2, 1).reshape(n, -1, pixels)
    return (images_from_torch(functional.fold(torch.from_numpy(rows), (h, w), kernel_size, **how)),)


def maxpool2d(x: Array, kernel_size: Pair, **how: Any) -> tuple[Array, ...]:
    """Return y."""
    return (images_from_torch(functional.max_pool2d(images_to_torch(x), kernel_size, **how)),)


def maxpool2d_backward(
    dy: Array,
    argmax: Array,
    input_shape: Shape,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Pair = (0, 0),
) -> tuple[Array, ...]:
    """Return dx."""
    n, h, w, c = input_shape
    stride = kernel_size if stride is None else stride
    row = np.arange(dy.shape[1])[:, None, None] * stride[0] - padding[0] + argmax // kernel_size[1]
    column = np.arange(dy.shape[2])[:, None] * stride[1] - padding[1] + argmax % kernel_size[1]
    places = images_to_torch(row * w + column)  # in the image, which is how PyTorch counts
    x = torch.empty((n, c, h, w), dtype=_type(dy))
    backward = torch.ops.aten.max_pool2d_with_indices_backward
    return (images_from_torch(backward(images_to_torch(dy), x, kernel_size, stride, padding, (1, 1), False, places)),)


def avgpool2d(x: Array, kernel_size: Pair, **how: Any) -> tuple[Array, ...]:
    """Return y."""
    return (images_from_torch(functional.avg_pool2d(images_to_torch(x), kernel_size, **how)),)


def avgpool2d_backward(dy: Array, input_shape: Shape, kernel_size: Pair, **how: Any) -> tuple[Array, ...]:
    """Return dx."""
    n, h, w, c = input_shape
    inputs = (torch.zeros((n, c, h, w), dtype=_type(dy)),)
    (dx,) = _gradients(lambda x: functional.avg_pool2d(x, kernel_size, **how), inputs, images_to_torch(dy))
    return (images_from_torch(dx),)


def channel_moments(x: Array) -> tuple[Array, ...]:
    """Return mean and var."""
    var, mean = torch.var_mean(images_to_torch(x), dim=(0, 2, 3), correction=0)
    return mean.numpy(), var.numpy()


def batchnorm2d(
    x: Array, mean: Array, var: Array, weight: Array, bias: Array, *, relu: bool = False, eps: float = 1e-5
) -> tuple[Array, ...]:
    """Return y."""
    mean_, var_, weight_, bias_ = (torch.from_numpy(vector) for vector in (mean, var, weight, bias))
    y = functional.batch_norm(images_to_torch(x), mean_, var_, weight_, bias_, training=False, eps=eps)
    return (images_from_torch(torch.relu(y) if relu else y),)


def batchnorm2d_backward(
    dy: Array,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array,
    bias: Array,
    *,
    relu: bool = False,
    eps: float = 1e-5,
) -> tuple[Array, ...]:
    """Return dx, dweight and dbias, where mean and var are those of x."""
    (y,) = batchnorm2d(x, mean, var, weight, bias, eps=eps)
    gradient = images_to_torch(np.where(y > 0, dy, 0).astype(dy.dtype) if relu else dy)
    mean_, var_, weight_ = (torch.from_numpy(vector) for vector in (mean, var, weight))
    inv_std = 1 / torch.sqrt(var_ + eps)
    dx, dweight, dbias = torch.ops.aten.native_batch_norm_backward(
        gradient, images_to_torch(x), weight_, None, None, mean_, inv_std, True, eps, (True, True, True)
    )
    return images_from_torch(dx), dweight.numpy(), dbias.numpy()


def relu(x: Array) -> tuple[Array, ...]:
    """Return y."""
    return (torch.relu(torch.from_numpy(x)).numpy(),)


def relu_backward(dy: Array, y: Array) -> tuple[Array, ...]:
    """Return dx."""
    return (torch.ops.aten.threshold_backward(torch.from_numpy(dy), torch.from_numpy(y), 0).numpy(),)


def log_softmax(z: Array) -> tuple[Array, ...]:
    """Return log p."""
    return (functional.log_softmax(torch.from_numpy(z), dim=1).numpy(),)


def cross_entropy_backward(log_p: Array, q: Array) -> tuple[Array, ...]:
    """Return dz."""
    gradient = torch.from_numpy(q) / -len(q)
    backward = torch.ops.aten._log_softmax_backward_data
    return (backward(gradient, torch.from_numpy(log_p), 1, gradient.dtype).numpy(),)


def look_up_levels(images: Array, table: Array) -> tuple[Array, ...]:
    """Return the numbers that the levels stand for."""
    levels = torch.from_numpy(images).long()
    return (torch.from_numpy(table)[levels, torch.arange(table.shape[1])].numpy(),)


def crop_images(images: Array, tops: Array, lefts: Array, mirrored: Array) -> tuple[Array, ...]:
    """Return the shifted and mirrored images: a border is added on one side and, being negative, cut on the other."""
    cuts = []
    places = zip(torch.from_numpy(images), tops.tolist(), lefts.tolist(), mirrored.tolist(), strict=True)
    for image, top, left, mirror in places:  # (H, W, C); borders are given from the last axis to the first
        cut = functional.pad(image, (0, 0, -left, left, -top, top))
        cuts.append(cut.flip(1) if mirror else cut)
    return (torch.stack(cuts).numpy(),)


OPS: dict[str, Callable[..., tuple[Array, ...]]] = {
    function.__name__: function
    for function in (
        *(conv2d, conv2d_backward, conv2d_relu_maxpool2d, conv2d_relu_maxpool2d_backward),
        *(linear, linear_backward, im2col, col2im),
        *(maxpool2d, maxpool2d_backward, avgpool2d, avgpool2d_backward),
        *(channel_moments, batchnorm2d, batchnorm2d_backward, relu, relu_backward),
        *(log_softmax, cross_entropy_backward, look_up_levels, crop_images),
    )
}
"""op -> what computes it here; an op of the kernels that PyTorch has no function for is not in it."""


def _conv2d(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None, **how: Any) -> torch.Tensor:
    return functional.conv2d(x, w, b, **how)


def _filters(w: Array) -> torch.Tensor:
    """Return filters (KH, KW, C, F) in PyTorch's layout (F, C, KH, KW)."""
    return torch.from_numpy(np.ascontiguousarray(w.transpose(3, 2, 0, 1)))


def _type(array: Array) -> torch.dtype:
    return torch.float64 if array.dtype == np.float64 else torch.float32


def _gradients(
    function: Callable[..., torch.Tensor], inputs: tuple[torch.Tensor, ...], dy: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    for tensor in inputs:
        tensor.requires_grad_()
    return torch.autograd.grad(function(*inputs), inputs, dy)


def _grid(
    size: tuple[int, ...], kernel: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1)
) -> Pair:
    oh, ow = (
        (size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(2)
    )
    return oh, ow
