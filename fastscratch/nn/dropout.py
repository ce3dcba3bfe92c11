"""Dropout."""

from __future__ import annotations

import numpy as np

from .checks import check_float, check_gradient, check_number, check_shape
from .module import Module
from .parameter import Array, Shape


class Dropout(Module):
    """Set each number to zero with probability p in training mode; pass everything in evaluation mode.

    Parameters
    ----------
    p : float
        Between 0 and 1, 1 excluded.
    seed : int or numpy.random.Generator, optional
        What it draws from. None takes a Generator of its own from the seed of the container around it.

    Attributes
    ----------
    generator : numpy.random.Generator
        A checkpoint holds its state.

    Raises
    ------
    TypeError, ValueError
        If `p` is no number, or out of range.

    Notes
    -----
    What stays is divided by 1 - p, so that the expected output is the input and evaluation needs no scaling
    ("inverted" dropout). Every number is drawn for itself; whole channels are not dropped. Srivastava et al.,
    "Dropout: a simple way to prevent neural networks from overfitting", 2014.
    """

    def __init__(self, p: float = 0.5, seed: int | np.random.Generator | None = None) -> None:
        super().__init__()
        self.p = check_number("p", p, at_least=0, below=1)
        self.generator = np.random.default_rng(0 if seed is None else seed)
        self._seeded = seed is not None

    def seed(self, generator: np.random.Generator) -> None:
        """Take a Generator of its own from `generator`, unless it has been given one."""
        if not self._seeded:
            (self.generator,) = generator.spawn(1)
            self._seeded = True

    def forward(self, x: Array) -> Array:
        """Return `x`, of any shape, with some numbers at zero and the others scaled up."""
        check_float(self, x)
        if not self.training or self.p == 0:
            self.save_for_backward(None, x.shape)
            return x
        keep = self.generator.random(x.shape, dtype=np.float32) >= self.p
        mask: Array = keep * x.dtype.type(1 / (1 - self.p))
        self.save_for_backward(mask, x.shape)
        return x * mask

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Return `dy` times the mask of the forward pass."""
        mask, shape = self.saved()
        check_gradient(self, dy, shape)
        if not input_grad:
            return None
        return dy if mask is None else dy * mask

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return `input_shape`."""
        return check_shape(input_shape)

    def __repr__(self) -> str:
        return f"Dropout(p={self.p})"
