"""Steps of the optimizers in Numba, over flat arrays of all parameters: one pass, a few chunks a thread.

Outputs may be the inputs of the same meaning.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import compiled, copy, frozen
from ._parallel import run_chunks

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK = 32_768

BLOCK = 1024
"""Results that are made beside the arrays and then copied: where an output is an input, no vectors could be made of a
loop that writes into it."""


def _settings(value: Array, *settings: float) -> Array:
    """Return settings in the precision of the parameters: a float64 among float32 numbers would make all float64."""
    return frozen(np.array(settings, dtype=value.dtype))


@compiled
def _sgd(
    value: Array, grad: Array, velocity: Array, out: Array, out_velocity: Array, settings: Array, nesterov: bool,
    start: int, stop: int,
) -> None:  # fmt: skip
    lr, momentum, decay = settings
    ahead = momentum if nesterov else settings.dtype.type(0)
    new = np.empty((2, BLOCK), dtype=value.dtype)
    for first in range(start, stop, BLOCK):
        count = min(BLOCK, stop - first)
        v, g = value[first : first + count], grad[first : first + count]
        if len(velocity):
            u = velocity[first : first + count]
            for i in range(count):
                step = g[i] + decay * v[i] if decay != 0 else g[i]  # an infinite value would make NaN of no decay
                speed = momentum * u[i] + step
                new[1, i] = speed
                new[0, i] = v[i] - lr * (step + ahead * speed if nesterov else speed)
            copy(new[1], out_velocity[first : first + count])
        else:
            for i in range(count):
                new[0, i] = v[i] - lr * (g[i] + decay * v[i] if decay != 0 else g[i])
        copy(new[0], out[first : first + count])


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
    new = np.empty((3, BLOCK), dtype=value.dtype)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        old, g, old_m, old_v = value[first:last], grad[first:last], m[first:last], v[first:last]
        for i in range(last - first):
            step = g[i] + decay * old[i] if decay != 0 else g[i]
            mean = old_m[i] + take1 * (step - old_m[i])
            square = beta2 * old_v[i] + take2 * (step * step)
            new[0, i] = shrink * old[i] - lr * (mean / (np.sqrt(square) + eps))
            new[1, i], new[2, i] = mean, square
        copy(new[0], out[first:last])
        copy(new[1], out_m[first:last])
        copy(new[2], out_v[first:last])


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
