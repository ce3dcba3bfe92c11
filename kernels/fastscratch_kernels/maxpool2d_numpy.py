"""Max-pooling in NumPy, forward and backward: the specification.

Ties go to the first position of the window, row by row, as in PyTorch (after ReLU ties at zero are the rule, not
the exception). The border is -inf: it never wins. NaN wins over everything, the last one of a window.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .im2col_numpy import pad_images
from .shapes import Pair

Array = np.ndarray[Any, np.dtype[Any]]


def _first_inside(out_size: int, stride: int, padding: int) -> Array:
    """Return for each window along an axis its first position that is not in the border."""
    return np.maximum(0, padding - stride * np.arange(out_size))


def maxpool2d(x: Array, out: Array, argmax: Array, kernel: Pair, stride: Pair, padding: Pair) -> None:
    """Fill `out` (N, OH, OW, C) with the largest number of each window of `x` (N, H, W, C), `argmax` with its place.

    A place is ``i * KW + j``, for row i and column j of the window.
    """
    _, oh, ow, _ = out.shape
    (kh, kw), (sh, sw) = kernel, stride
    x = pad_images(x, padding, -np.inf)
    out[...] = -np.inf
    # Where all of a window is -inf, the place is the first one inside the image.
    first = _first_inside(oh, sh, padding[0])[:, None] * kw + _first_inside(ow, sw, padding[1])  # (OH, OW)
    argmax[...] = first[:, :, None]
    for i in range(kh):
        for j in range(kw):
            candidate = x[:, i : i + sh * oh : sh, j : j + sw * ow : sw]  # (N, OH, OW, C)
            wins = (candidate > out) | np.isnan(candidate)
            np.copyto(out, candidate, where=wins)
            np.copyto(argmax, i * kw + j, where=wins, casting="unsafe")


def maxpool2d_backward(
    dy: Array, argmax: Array, dx: Array, kernel: Pair, stride: Pair, padding: Pair
) -> None:
    """Fill `dx` (N, H, W, C): each number of `dy` (N, OH, OW, C) goes to the place that `argmax` names, zero elsewhere.

    A place outside the window (the "dead" one of the fused block) takes its gradient nowhere.
    """
    n, h, w, c = dx.shape
    _, oh, ow, _ = dy.shape
    (kh, kw), (sh, sw), (ph, pw) = kernel, stride, padding
    padded = np.zeros((n, h + 2 * ph, w + 2 * pw, c), dtype=dx.dtype)
    # One place of the window at a time, so that windows which overlap do not meet in one slice.
    for i in range(kh):
        for j in range(kw):
            chosen = np.where(argmax == i * kw + j, dy, dy.dtype.type(0))
            padded[:, i : i + sh * oh : sh, j : j + sw * ow : sw] += chosen
    dx[...] = padded[:, ph : ph + h, pw : pw + w]
