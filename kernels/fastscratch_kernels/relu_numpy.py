"""Rectified linear unit in NumPy, forward and backward: the specification.

    forward     y = max(x, 0)
    backward    dx = dy where y > 0, else 0

NaN passes both ways. `out` may be `x`, and `dx` may be `dy`.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def relu(x: Array, out: Array) -> None:
    """Fill `out` (size,) with ``max(x, 0)``."""
    np.maximum(x, 0, out=out)


def relu_backward(dy: Array, y: Array, dx: Array) -> None:
    """Fill `dx` (size,) with `dy` where the output `y` was positive, and with zeros elsewhere."""
    dx[...] = np.where(y <= 0, dx.dtype.type(0), dy)
