"""The whitening layer: filters that are computed from the training images, not trained."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import fastscratch_kernels as kernels
from fastscratch_kernels.shapes import IntPair, conv2d_shape

from .checks import check_gradient, check_image_shape, check_images, check_number, check_pair, check_size
from .module import Module
from .parameter import Array, Parameter, Shape

BLOCK = 250
"""Images whose patches are written out at a time."""


class PatchWhitening(Module):
    """Describe each small patch by uncorrelated numbers of one size, and by their negatives.

    Neighboring pixels are nearly equal, so that a first layer which starts from random filters has to learn first that
    what matters are differences. Here they are there from the start.

    Parameters
    ----------
    in_channels : int
        C.
    kernel_size : int or (height, width)
        KH and KW, of a patch.
    eps : float
        Added to the variances, so that directions in which hardly anything changes are not blown up; above 0.
    bias : bool
        Whether a trained number is added to each output. Without it nothing is trained here, and a network that begins
        with this layer saves the gradients of its outputs: of what comes next, those of the input are not needed.

    Attributes
    ----------
    weight : ndarray of shape (KH, KW, C, 2 KH KW C)
        The filters. Until `adapt` has seen images each passes one number of the patch, or its negative.
    is_adapted : ndarray of shape (), bool
        Whether it has.
    bias : Parameter of shape (2 KH KW C,), or None
        Trained, from zero.

    Raises
    ------
    TypeError, ValueError
        If a number is none, or out of range.

    Notes
    -----
    With the eigenvectors ``v_i`` and eigenvalues ``λ_i`` of the patches' covariance the filters are
    ``± v_i / sqrt(λ_i + eps)``, largest ``λ_i`` first: a ReLU behind them loses nothing. There is no padding. Page,
    "How to train your ResNet 8: bag of tricks" (myrtle.ai, 2019); with the negatives, and the filters left as they are,
    Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024).
    """

    buffer_names: ClassVar[tuple[str, ...]] = ("weight", "is_adapted")

    def __init__(self, in_channels: int, kernel_size: IntPair = 2, eps: float = 5e-4, bias: bool = True) -> None:
        super().__init__()
        self.in_channels = check_size("in_channels", in_channels)
        self.kernel_size = check_pair("kernel_size", kernel_size, at_least=1)
        self.eps = check_number("eps", eps, above=0)
        numbers = self.kernel_size[0] * self.kernel_size[1] * in_channels
        self.weight: Array = self._filters(np.eye(numbers))
        self.is_adapted: Array = np.zeros((), dtype=np.bool_)
        self.out_channels = 2 * numbers
        self.bias = Parameter(np.zeros(self.out_channels, dtype=np.float32)) if bias else None

    def _filters(self, columns: Array) -> Array:
        """Return the columns (numbers of a patch, filters) and their negatives as filters."""
        both = np.concatenate([columns, -columns], axis=1).astype(np.float32)
        return both.reshape(*self.kernel_size, self.in_channels, -1)

    def adapt(self, images: Array) -> None:
        """Compute the filters from `images` (N, H, W, C), unless that was done, or they were loaded.

        Raises
        ------
        TypeError
            If `images` is no array of float32 or float64.
        ValueError
            If it has other axes or channels, is smaller than a patch, holds fewer than two patches or a number that
            is not finite.
        """
        if self.is_adapted:
            return
        check_images(self, images, channels=self.in_channels)
        self.output_shape(images.shape[1:])
        values, vectors = np.linalg.eigh(self._covariance(images))
        self.weight[...] = self._filters(vectors[:, ::-1] / np.sqrt(np.maximum(values[::-1], 0) + self.eps))
        self.is_adapted[...] = True

    def _covariance(self, images: Array) -> Array:
        """Return the covariance of the numbers of all patches, in float64, block by block to save memory."""
        numbers = self.weight.shape[3] // 2
        count, total, products = 0, np.zeros(numbers), np.zeros((numbers, numbers))
        for start in range(0, len(images), BLOCK):
            windows = sliding_window_view(images[start : start + BLOCK], self.kernel_size, axis=(1, 2))
            # (N, OH, OW, C, KH, KW) -> rows of (KH, KW, C), as the filters are
            patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, numbers).astype(np.float64)
            count += len(patches)
            total += patches.sum(axis=0)
            products += patches.T @ patches
        if count < 2 or not np.isfinite(products).all():
            raise ValueError(f"{self!r} needs two patches or more, of finite numbers: images are {images.shape}")
        return np.asarray((products - np.outer(total, total) / count) / (count - 1))

    def forward(self, x: Array) -> Array:
        """Return the whitened patches of `x` (N, H, W, C), of shape (N, H - KH + 1, W - KW + 1, 2 KH KW C)."""
        check_images(self, x, self.weight.dtype, self.in_channels)
        self.save_for_backward(x.shape)
        return kernels.conv2d(x, self.weight, self.bias.value if self.bias else None)

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Set the gradient of the bias, if there is one, from `dy`, and return that of the input."""
        (shape,) = self.saved()
        check_gradient(self, dy, (shape[0], *self.output_shape(shape[1:])))
        if self.bias is not None:
            self.bias.set_grad(dy.sum(axis=(0, 1, 2)))
        if not input_grad:
            return None
        # The filters stay as they are, so their gradient, made from an input of zeros, is dropped.
        return kernels.conv2d_backward(dy, np.zeros(shape, dy.dtype), self.weight, bias=False)[0]

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (H - KH + 1, W - KW + 1, 2 KH KW C) for (H, W, C)."""
        shape = check_image_shape(self, input_shape, self.in_channels)
        return conv2d_shape((1, *shape), self.weight.shape, (1, 1), (0, 0), (1, 1), 1)[1:]

    def flops(self, input_shape: Shape) -> int:
        """Return a multiply and an add for each number of each filter, and one addition an output for the bias."""
        added = self.out_channels if self.bias else 0
        return int(np.prod(self.output_shape(input_shape)[:2])) * (2 * self.weight.size + added)

    def __repr__(self) -> str:
        bias = "" if self.bias else ", bias=False"
        return f"PatchWhitening({self.in_channels}, kernel_size={self.kernel_size}, eps={self.eps}{bias})"
