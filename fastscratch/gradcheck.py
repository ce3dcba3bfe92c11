"""Gradients against central differences, and the checks of a layer."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .nn import Module


def gradcheck(target: Module, x: Any, *, eps: float = 1e-6, rtol: float = 1e-6, seed: int = 0) -> bool:
    """Return whether backward passes of `target` agree with central differences at `x`."""
    rng = np.random.default_rng(seed)
    model = copy.deepcopy(target).astype(np.float64)
    x = np.array(x, dtype=np.float64)
    dy = rng.normal(size=model.forward(x).shape)
    dx = model.backward(dy)
    pairs = [(x, dx)] + [(parameter.value, parameter.grad) for parameter in model.parameters()]
    for array, gradient in pairs:
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + eps
            up = model.forward(x.copy()).copy()
            array[index] = kept - eps
            down = model.forward(x.copy())
            array[index] = kept
            numeric = float((dy * (up - down)).sum() / (2 * eps))
            if gradient is None or abs(gradient[index] - numeric) > rtol * max(1.0, abs(numeric)):
                return False
    return True


def check_layer(layer: Module, input_shape: tuple[int, ...], *, seed: int = 0) -> bool:
    """Return whether the gradients of `layer` are right for two images of `input_shape`."""
    return gradcheck(layer, np.random.default_rng(seed).normal(size=(2, *input_shape)), seed=seed)
