"""First values of weights and biases, by name.

Training cannot start from zeros: all units of a layer would compute, and be corrected, alike. It cannot start from
just any random numbers either: if every layer multiplies the spread of its inputs by 1.5, ten layers multiply it by
58. Each scheme here picks the spread of the weights from the fans of the layer, so that signals keep their size:

- ``fan_in``: the inputs that one output sums up, which decides how activations grow on the way forward;
- ``fan_out``: the outputs that one input goes into, which decides how gradients grow on the way back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Role = Literal["weight", "bias"]


def uniform(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray[Any, Any]:
    """Draw from U(-bound, bound) of standard deviation `std`: the bound is ``sqrt(3) * std``."""
    bound = math.sqrt(3.0) * std
    return rng.uniform(-bound, bound, shape)


def normal(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray[Any, Any]:
    """Draw from the normal distribution of mean 0 and standard deviation `std`."""
    return rng.normal(0.0, std, shape)


def constant_zero(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray[Any, Any]:
    """Return zeros; nothing is drawn."""
    return np.zeros(shape)


def partial_identity(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray[Any, Any]:
    """Return filters (KH, KW, C, F) of which the first C pass one channel each as it is; the rest is `uniform`.

    So a deep network begins as a shallow one; with groups, each of them passes channels of its own. A dense layer's
    weight and biases are `uniform` throughout. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024), after
    Zagoruyko and Komodakis, "DiracNets" (2017).
    """
    values = uniform(rng, shape, std)
    if len(shape) == 4:
        kh, kw, channels, filters = shape
        passed = min(channels, filters)
        values[..., :passed] = 0
        values[kh // 2, kw // 2, range(passed), range(passed)] = 1
    return values


@dataclass(frozen=True)
class Initializer:
    """A scheme: what is drawn, and how widely it is spread.

    Attributes
    ----------
    draw : callable
        ``draw(rng, shape, std)`` returns the values.
    weight_std : callable
        Standard deviation of a weight from ``(fan_in, fan_out)``.
    bias_std : callable, optional
        The same for a bias; None sets biases to zero.
    """

    draw: Callable[[np.random.Generator, tuple[int, ...], float], np.ndarray[Any, Any]]
    weight_std: Callable[[int, int], float]
    bias_std: Callable[[int, int], float] | None = None


def torch_std(fan_in: int, fan_out: int) -> float:
    """Return the spread of PyTorch's layers: U(-1/sqrt(fan_in), 1/sqrt(fan_in)).

    LeCun et al., "Efficient BackProp" (1998), ask for 1/sqrt(fan_in) as the standard deviation; PyTorch takes it as
    the bound, for weights and biases alike, and calls it ``kaiming_uniform(a=sqrt(5))``.
    """
    return 1.0 / math.sqrt(3.0 * fan_in)


def kaiming_std(fan_in: int, fan_out: int) -> float:
    """Return sqrt(2 / fan_in).

    ReLU halves the mean square of its input, and the 2 makes up for it. He et al., "Delving deep into rectifiers"
    (ICCV 2015).
    """
    return math.sqrt(2.0 / fan_in)


def xavier_std(fan_in: int, fan_out: int) -> float:
    """Return sqrt(2 / (fan_in + fan_out)).

    A compromise between keeping activations (1/fan_in) and keeping gradients (1/fan_out), for linear and tanh
    layers. Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks"
    (AISTATS 2010).
    """
    return math.sqrt(2.0 / (fan_in + fan_out))


INITIALIZERS: dict[str, Initializer] = {
    "torch": Initializer(uniform, torch_std, torch_std),
    "kaiming_uniform": Initializer(uniform, kaiming_std),
    "kaiming_normal": Initializer(normal, kaiming_std),
    "xavier_uniform": Initializer(uniform, xavier_std),
    "xavier_normal": Initializer(normal, xavier_std),
    "dirac": Initializer(partial_identity, torch_std, torch_std),
    "zeros": Initializer(constant_zero, lambda fan_in, fan_out: 0.0),
}
"""The schemes by the names that layers and the command line take."""


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a weight.

    Parameters
    ----------
    shape : tuple of int
        (KH, KW, C // groups, F) of filters, or (in, out) of a dense layer.

    Returns
    -------
    fan_in, fan_out : int
        ``KH * KW * C // groups`` and ``KH * KW * F``, or ``in`` and ``out``. Stride and groups do not enter
        `fan_out`, as in PyTorch.

    Raises
    ------
    ValueError
        If `shape` has neither 2 nor 4 axes, or an axis of length below 1.
    """
    if len(shape) not in (2, 4) or min(shape) < 1:
        raise ValueError(f"fans are of (KH, KW, C, F) or (in, out), all at least 1, got {shape}")
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def check_initializer(name: str) -> str:
    """Return `name`; raise ValueError if no initializer is called so."""
    if name not in INITIALIZERS:
        raise ValueError(f"unknown initializer {name!r}; known: {', '.join(INITIALIZERS)}")
    return name


def initialize(
    name: str,
    rng: np.random.Generator,
    shape: tuple[int, ...],
    *,
    fan_in: int,
    fan_out: int,
    role: Role = "weight",
    groups: int = 1,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the first value of a parameter.

    Parameters
    ----------
    name : str
        A key of `INITIALIZERS`.
    rng : numpy.random.Generator
        Where the numbers come from; schemes that set biases to zero draw nothing for them.
    shape : tuple of int
        Of the result.
    fan_in, fan_out : int
        Of the layer, from `fans` of its weight.
    role : {"weight", "bias"}
        What the parameter is.
    groups : int
        Parts that the filters, the last axis, come in; each is drawn as a convolution of its own.

    Returns
    -------
    ndarray of `shape`, float32
        Drawn in float64 and rounded.

    Raises
    ------
    ValueError
        If `name` or `role` is unknown, or a fan is below 1.
    """
    check_initializer(name)
    if role not in ("weight", "bias"):
        raise ValueError(f"role is 'weight' or 'bias', got {role!r}")
    if fan_in < 1 or fan_out < 1:
        raise ValueError(f"fans are at least 1, got fan_in {fan_in}, fan_out {fan_out}")
    initializer = INITIALIZERS[name]
    std = initializer.weight_std if role == "weight" else initializer.bias_std
    if std is None:
        return np.zeros(shape, dtype=np.float32)
    part = (*shape[:-1], shape[-1] // groups)
    values = [initializer.draw(rng, part, std(fan_in, fan_out)) for _ in range(groups)]
    return np.concatenate(values, axis=-1).astype(np.float32)
