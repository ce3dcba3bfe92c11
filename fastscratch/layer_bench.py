"""What the checks of a layer work with: copies of it, inputs and gradients, and the form of a check."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .differences import Array
from .nn import Module

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
MODES = ("training", "evaluation")
_JITTER = 0.1


@dataclass(frozen=True)
class Bench:
    """A layer, and what is needed to try it out.

    Attributes
    ----------
    original : Module
        Never run itself; the checks take copies.
    make : callable or None
        Makes one more layer, where a class or a function was given.
    input_shape : tuple of int
        Of one image, without N.
    batch : int
        N.
    seed : int
        What all numbers are drawn from.
    max_entries : int
        Entries of each array that are compared with differences one by one.
    """

    original: Module
    make: Callable[[], Module] | None
    input_shape: tuple[int, ...]
    batch: int
    seed: int
    max_entries: int

    def layer(self, dtype: Any = np.float64, mode: str = "training") -> Module:
        """Return a copy in one of `MODES`, its parameters moved off special values such as 0 and 1."""
        rng = np.random.default_rng([self.seed, 0])
        layer = copy.deepcopy(self.original).astype(dtype)
        for parameter in layer.parameters():
            parameter.value[...] += _JITTER * rng.normal(size=parameter.shape)
        (layer.train if mode == "training" else layer.eval)()
        return layer

    def trained(self) -> Module:
        """Return a float64 copy in evaluation mode whose running statistics and parameters a step has moved."""
        layer = self.layer()
        layer.backward(self.dy(layer.forward(self.x())))
        for parameter in layer.parameters():
            if parameter.grad is not None:
                parameter.value[...] -= _JITTER * parameter.grad
        layer.eval()
        return layer

    def x(self, dtype: Any = np.float64) -> Array:
        """Return an input (N, ...), normal, the same each time."""
        rng = np.random.default_rng([self.seed, 1])
        return rng.standard_normal((self.batch, *self.input_shape)).astype(dtype)

    def dy(self, y: Array) -> Array:
        """Return a gradient for the output `y`, normal, the same each time."""
        rng = np.random.default_rng([self.seed, 2])
        return np.asarray(rng.standard_normal(y.shape), dtype=y.dtype)

    def generator(self) -> np.random.Generator:
        """Return a Generator for what else is drawn."""
        return np.random.default_rng([self.seed, 3])


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    name : str
    right : str
        What holds where it passes.
    run : callable
        Returns None, or the sentence that says what is wrong.
    needs : tuple of str
        Checks without which this one would only repeat their failure.
    needs_make : bool
        Whether it makes new layers, and so needs a class or a function.
    """

    name: str
    right: str
    run: Callable[[Bench], str | None]
    needs: tuple[str, ...] = ()
    needs_make: bool = False


def same(a: Any, b: Any) -> bool:
    """Return whether two float64 arrays are equal up to the order of sums."""
    if np.shape(a) != np.shape(b):
        return False
    return bool(np.allclose(a, b, rtol=1e-9, atol=1e-9 * float(np.abs(b).max(initial=0))))
