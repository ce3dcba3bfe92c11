"""Parameters, gradients and every option of the optimizers, for their tests."""

from __future__ import annotations

import numpy as np

from fastscratch.nn.parameter import Parameter
from fastscratch.optim import SGD, Adam, AdamW

SHAPES = [(3, 5, 2, 4), (4,), (7, 3), (3,)]

# Every option alone and together; the defaults are in it, too.
RULES = {
    "sgd": (SGD, {"lr": 0.1}),
    "sgd decay": (SGD, {"lr": 0.1, "weight_decay": 0.05}),
    "sgd momentum": (SGD, {"lr": 0.1, "momentum": 0.8}),
    "sgd momentum decay": (SGD, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.05}),
    "sgd nesterov": (SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
    "sgd nesterov decay": (SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.05}),
    "adam": (Adam, {}),
    "adam options": (Adam, {"lr": 0.02, "betas": (0.7, 0.95), "eps": 1e-3}),
    "adam beta 0": (Adam, {"lr": 0.02, "betas": (0.0, 0.0), "eps": 0.1}),
    "adam decay": (Adam, {"lr": 0.02, "weight_decay": 0.3}),
    "adamw": (AdamW, {}),
    "adamw options": (AdamW, {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-2, "weight_decay": 0.3}),
    "adamw no decay": (AdamW, {"lr": 0.02, "weight_decay": 0.0}),
}


def make_parameters(rng, dtype=np.float32, shapes=SHAPES):
    parameters = [Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]
    for index, parameter in enumerate(parameters):
        parameter.name = f"{index}.weight"
    return parameters


def set_gradients(parameters, rng):
    """Set random gradients of sizes between 1e-4 and 1; of one number never any."""
    for parameter in parameters:
        grad = rng.standard_normal(parameter.shape) * 10.0 ** rng.uniform(-4, 0, parameter.shape)
        grad.flat[0] = 0.0
        parameter.set_grad(grad.astype(parameter.value.dtype))


def values_of(parameters):
    return [parameter.value.copy() for parameter in parameters]


def assert_same(first, second):
    for left, right in zip(first, second, strict=True):
        np.testing.assert_array_equal(left, right)
