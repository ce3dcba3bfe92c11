"""Steps of the optimizers in Numba, over flat arrays of all parameters: one pass, a few chunks a thread.

Outputs may be the inputs of the same meaning.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import compiled, frozen
from ._parallel import run_chunks

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK = 16_384


def _settings(value: Array, *settings: float) -> Array:
    """Return settings in the precision of the parameters: a float64 among float32 numbers would make all float64."""
    return frozen(np.array(settings, dtype=value.dtype))


@compiled
def _sgd(
    value: Array, grad: Array, velocity: Array, out: Array, out_velocity: Array, settings: Array, nesterov: bool,
    start: int, stop: int,
) -> None:  # fmt: skip
    lr, momentum, decay = settings
    for i in range(start, stop):
        g = grad[i] + decay * value[i] if decay else grad[i]
        if len(velocity):
            u = momentum * velocity[i] + g
            out_velocity[i] = u
            g = g + momentum * u if nesterov else u
        out[i] = value[i] - lr * g


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
    settings, none = _settings(value, lr, momentum, decay), np.empty(0, dtype=value.dtype)
    old, new = (none, none) if velocity is None or out_velocity is None else (velocity, out_velocity)
    run_chunks(
        _sgd, value.size, CHUNK, frozen(value), frozen(grad), frozen(old), out, new, settings, nesterov
    )


@compiled
def _adam(
    value: Array, grad: Array, m: Array, v: Array, out: Array, out_m: Array, out_v: Array, settings: Array,
    start: int, stop: int,
) -> None:  # fmt: skip
    lr, take1, beta2, take2, eps, decay, shrink = settings
    for i in range(start, stop):
        g = grad[i] + decay * value[i] if decay else grad[i]
        mean = m[i] + take1 * (g - m[i])
        square = beta2 * v[i] + take2 * (g * g)
        out_m[i], out_v[i] = mean, square
        out[i] = shrink * value[i] - lr * (mean / (np.sqrt(square) + eps))


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
    settings = _settings(value, lr, 1.0 - beta1, beta2, 1.0 - beta2, eps, decay, shrink)
    inputs = (frozen(value), frozen(grad), frozen(m), frozen(v))
    run_chunks(_adam, value.size, CHUNK, *inputs, out, out_m, out_v, settings)
