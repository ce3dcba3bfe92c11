"""Shapes of the ops: the arithmetic of windows, and the checks that it needs.

Legend, used everywhere: N images, H W C height, width and channels of the input, F filters (output channels),
KH KW kernel, OH OW output. Activations are (N, H, W, C), filters (KH, KW, C // groups, F).
"""

from __future__ import annotations

import functools
import operator
import sys
from typing import Any

import numpy as np

Pair = tuple[int, int]
"""A (height, width) pair."""

Windows = tuple[Pair, Pair, Pair, int]
"""Stride, padding, dilation and groups of a convolution."""

Pool = tuple[Pair, Pair, Pair]
"""Kernel, stride and padding of a pooling."""

MOST_NUMBERS = sys.maxsize // 16
"""Of an array: twice as many bytes in float64 can still be addressed."""

MOST_PLACES = 2**31 - 1
"""Of a pooling window: an argmax has 32 bits at most, and names one place more, the "dead"."""

IntPair = int | tuple[int, int]
"""What a caller may pass for a pair: one int for both axes, or (height, width)."""


def pair(name: str, value: Any, minimum: int) -> Pair:
    """Return `value` as a (height, width) pair of ints.

    Parameters
    ----------
    name : str
        The parameter's name, for the error.
    value : int or (int, int)
        One number for both axes, or one for each.
    minimum : int
        The smallest number allowed.

    Raises
    ------
    TypeError
        If `value` is neither an int nor a pair of ints.
    ValueError
        If a number is below `minimum`.
    """
    if type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int and min(value) >= minimum:
        return value  # what a layer hands down, step after step
    try:
        if isinstance(value, tuple | list) and len(value) == 2:
            result = (operator.index(value[0]), operator.index(value[1]))
        else:
            result = (operator.index(value),) * 2
    except TypeError:
        raise TypeError(f"{name} must be an int or a pair (height, width) of ints, got {value!r}") from None
    if min(result) < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value!r}")
    return result


def pooling(
    kernel_size: IntPair, stride: IntPair | None, padding: IntPair, prefix: str = ""
) -> Pool:
    """Return a pooling's kernel, stride and padding as pairs; in errors their names begin with `prefix`."""
    k = pair(f"{prefix}kernel_size", kernel_size, 1)
    s = k if stride is None else pair(f"{prefix}stride", stride, 1)
    return k, s, pair(f"{prefix}padding", padding, 0)


def lie_side_by_side(kernel: Pair, stride: Pair, padding: Pair) -> bool:
    """Return whether a pooling's windows lie side by side: no two share a number, none is left out, none is border."""
    return kernel == stride and padding == (0, 0)


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Return how many windows fit along one axis (rounded down, as in PyTorch).

    ``(size + 2 padding - dilation (kernel - 1) - 1) // stride + 1``; zero or less where none fits.
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def window_shape(
    x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)
) -> Pair:
    """Return (OH, OW), the number of windows along each axis of `x_shape` (N, H, W, C).

    Raises
    ------
    ValueError
        If not a single window fits, if the images hold no numbers (a window could lie in the border whole), or if no
        memory could hold them with their border.
    """
    if min(x_shape[1:]) < 1:
        raise ValueError(f"H, W and C must be at least 1, N alone may be 0: x {x_shape}")
    h, w = x_shape[1:3]
    numbers = x_shape[0] * (h + 2 * padding[0]) * (w + 2 * padding[1]) * x_shape[3]
    if numbers > MOST_NUMBERS:
        raise ValueError(f"images of {numbers} numbers with their border are too large: x {x_shape}, padding {padding}")
    oh = output_size(h, kernel[0], stride[0], padding[0], dilation[0])
    ow = output_size(w, kernel[1], stride[1], padding[1], dilation[1])
    if oh < 1 or ow < 1:
        dilated = f" with dilation {dilation}" if dilation != (1, 1) else ""
        raise ValueError(
            f"kernel {kernel}{dilated} does not fit padded input {(h + 2 * padding[0], w + 2 * padding[1])}: "
            f"x {x_shape}, padding {padding}"
        )
    return oh, ow


def conv2d_shape(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[int, int, int, int]:
    """Return the shape (N, OH, OW, F) of a convolution of `x_shape` (N, H, W, C) with `w_shape`.

    Raises
    ------
    ValueError
        If the channels, groups or sizes do not go together.
    """
    c = x_shape[3]
    kh, kw, cg, f = w_shape
    if groups < 1 or c % groups or f % groups:
        raise ValueError(
            f"groups must divide the channels of input and output, got {groups}: channels {c}, filters {f}"
        )
    if cg * groups != c:
        raise ValueError(
            f"w {w_shape} takes {cg * groups} input channels ({cg} in each of {groups} groups), "
            f"but x {x_shape} has {c}"
        )
    return (x_shape[0], *window_shape(x_shape, (kh, kw), stride, padding, dilation), f)


@functools.lru_cache(maxsize=1024)
def pool2d_shape(
    x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair
) -> tuple[int, int, int, int]:
    """Return the shape (N, OH, OW, C) of a pooling of `x_shape` (N, H, W, C).

    Raises
    ------
    ValueError
        If no window fits, if the padding is more than half the kernel (a window could lie in it whole), or if a window
        has more places than an argmax can name.
    """
    if kernel[0] * kernel[1] > MOST_PLACES:
        raise ValueError(f"a pooling window has {MOST_PLACES} places at most, got kernel {kernel}")
    if 2 * padding[0] > kernel[0] or 2 * padding[1] > kernel[1]:
        raise ValueError(f"padding must be at most half the kernel, got padding {padding}, kernel {kernel}")
    return (x_shape[0], *window_shape(x_shape, kernel, stride, padding), x_shape[3])


@functools.cache
def argmax_dtype(kernel: Pair) -> np.dtype[Any]:
    """Return the integer type that holds a position in a pooling window, and one value more for "dead".

    One byte where it suffices: the argmax is read again in the backward pass, four times less memory counts.
    """
    return np.dtype(np.uint8 if kernel[0] * kernel[1] < 255 else np.int32)


def dead_position(dtype: np.dtype[Any]) -> int:
    """Return the argmax of a pooled output that ReLU switched off, so that no gradient flows through it."""
    return int(np.iinfo(dtype).max)


def largest_image(x_shape: tuple[int, ...], padding: Pair, dy_shape: tuple[int, ...]) -> int:
    """Return how many numbers an image has: one of `x_shape` with its border, or one of `dy_shape` if that has more."""
    _, h, w, c = x_shape
    return max((h + 2 * padding[0]) * (w + 2 * padding[1]) * c, dy_shape[1] * dy_shape[2] * dy_shape[3])
