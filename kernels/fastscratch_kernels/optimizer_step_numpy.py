"""Steps of the optimizers in NumPy, over flat arrays of all parameters: the specification.

    SGD     u = μ u + g,   θ = θ - α u, or θ - α (g + μ u) (Nesterov)
    Adam    m = β₁ m + (1 - β₁) g,   v = β₂ v + (1 - β₂) g²,   θ = θ - α m / (√v + ε)

with g + λ θ for g where weights decay by λ. The learning rate α and ε come with whatever makes up for the zeros that m
and v began with. A step goes through the numbers a few thousand at a time, so that they stay in a core's cache from one
operation to the next. Outputs may be the inputs of the same meaning.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK = 16_384


def _chunks(size: int) -> Iterator[slice]:
    for start in range(0, size, CHUNK):
        yield slice(start, min(start + CHUNK, size))


@np.errstate(all="ignore")  # gradients that overflow show in the next loss
def sgd_step(
    value: Array,
    grad: Array,
    velocity: Array | None,
    out: Array,
    out_velocity: Array | None,
    lr: float,
    momentum: float,
    nesterov: bool,
    decay: float,
) -> None:
    """Fill `out` and `out_velocity` with the next values and velocities; without momentum both velocities are None."""
    work = np.empty((2, min(CHUNK, value.size)), value.dtype)
    for part in _chunks(value.size):
        g = grad[part]
        first, second = work[:, : g.size]
        if decay:
            np.multiply(value[part], decay, out=second)
            second += g
            g = second
        direction = g
        if velocity is not None and out_velocity is not None:
            u = np.multiply(velocity[part], momentum, out=out_velocity[part])
            u += g
            direction = u
            if nesterov:
                np.multiply(u, momentum, out=first)
                first += g
                direction = first
        np.multiply(direction, lr, out=first)
        np.subtract(value[part], first, out=out[part])


@np.errstate(all="ignore")
def adam_step(
    value: Array,
    grad: Array,
    m: Array,
    v: Array,
    out: Array,
    out_m: Array,
    out_v: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,
    shrink: float,
) -> None:
    """Fill `out`, `out_m` and `out_v` with the next values and moments; values are multiplied by `shrink` before."""
    work = np.empty((2, min(CHUNK, value.size)), value.dtype)
    for part in _chunks(value.size):
        g = grad[part]
        first, second = work[:, : g.size]
        if decay:
            np.multiply(value[part], decay, out=second)
            second += g
            g = second
        np.subtract(g, m[part], out=first)  # m + (1 - β₁) (g - m) is the same mean
        first *= 1.0 - beta1
        mean = np.add(m[part], first, out=out_m[part])
        np.multiply(g, g, out=first)
        first *= 1.0 - beta2
        square = np.multiply(v[part], beta2, out=out_v[part])
        square += first
        np.sqrt(square, out=first)
        first += eps
        np.divide(mean, first, out=first)
        first *= lr
        np.multiply(value[part], shrink, out=out[part])
        out[part] -= first
