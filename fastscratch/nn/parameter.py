"""What training changes: an array, its gradient, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .checks import check_number

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]


class Parameter:
    """An array that training changes, and its gradient.

    Parameters
    ----------
    value : ndarray, optional
        The array itself. It is used, not copied.
    shape : tuple of int, optional
        Without `value`: the shape of what `draw` will return.
    draw : callable, optional
        Without `value`: ``draw(generator)`` returns the first value. It is called when a model is seeded
        (`Module.initialize`), or with a Generator of seed 0 when the value is first read.
    after : Parameter, optional
        Of the same layer, and drawn before this one: then both do not begin with the same random numbers, whichever is
        read first.

    Attributes
    ----------
    name : str
        "weight"; inside a container the dotted path, "0.weight".
    lr_scale : float
        How many times as fast as others an optimizer moves it, at least 0 and at first 1. Weight decay does not count
        so; with 0 the parameter stays as it is. It is set before the optimizer is made, which reads it then.
    value : ndarray
    grad : ndarray or None
        Of the same shape; set by `Module.backward`.

    Raises
    ------
    TypeError
        If the value is no array.
    ValueError
        If there is neither a value nor both a shape and a `draw`, or more than that.
    """

    def __init__(
        self,
        value: Array | None = None,
        *,
        shape: Shape | None = None,
        draw: Callable[[np.random.Generator], Array] | None = None,
        after: Parameter | None = None,
    ) -> None:
        if (value is None) == (shape is None or draw is None):
            raise ValueError("a Parameter takes either a value, or a shape and a function that draws it")
        if value is not None:
            _check_array(value)
        self.name = ""
        self._lr_scale = 1.0
        self.grad: Array | None = None
        self.shape: Shape = value.shape if value is not None else tuple(shape or ())
        self._value = value
        self._draw = draw
        self._after = after

    @property
    def value(self) -> Array:
        """The array; drawn from seed 0 where nobody has drawn it before."""
        if self._value is None:
            generator = np.random.default_rng(0)
            if self._after is not None and self._after._draw is not None:
                self._after._draw(generator)  # only to go past its numbers
            self.draw(generator)
        return self._value  # type: ignore[return-value]  # draw has just set it

    @value.setter
    def value(self, value: Array) -> None:
        _check_array(value)
        if value.shape != self.shape:
            raise ValueError(f"parameter {self.name!r} has shape {self.shape}, got {value.shape}")
        self._value = value

    @property
    def lr_scale(self) -> float:
        """How many times as fast as others an optimizer moves it."""
        return self._lr_scale

    @lr_scale.setter
    def lr_scale(self, lr_scale: float) -> None:
        self._lr_scale = check_number("lr_scale", lr_scale, at_least=0)

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return int(np.prod(self.shape))

    def draw(self, generator: np.random.Generator) -> None:
        """Draw the value from `generator`, unless there is one."""
        if self._value is None and self._draw is not None:
            self.value = self._draw(generator)

    def set_grad(self, grad: Array) -> None:
        """Set the gradient: into the array that is there, since an optimizer may hold a view of it.

        Raises
        ------
        ValueError
            If it has not the shape of the parameter; nothing is broadcast.
        """
        # The second look is for what is no array; the first costs every step of a training.
        if getattr(grad, "shape", None) != self.shape and np.shape(grad) != self.shape:
            raise ValueError(f"the gradient of parameter {self.name!r} has shape {self.shape}, got {np.shape(grad)}")
        if self.grad is None:
            self.grad = np.array(grad, dtype=self.value.dtype)
        elif grad is not self.grad:
            self.grad[...] = grad

    @property
    def grad_out(self) -> Array | None:
        """The gradient's array where a kernel can fill it, else None: then `set_grad` copies what the kernel made."""
        grad = self.grad
        return grad if grad is not None and grad.flags.c_contiguous and grad.dtype == self.value.dtype else None

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.shape})"


def _check_array(value: Any) -> None:
    """Raise TypeError unless a parameter's value is an array."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a Parameter's value must be an ndarray, got {type(value).__name__}: {value!r}")
