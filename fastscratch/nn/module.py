"""What every layer is: parameters, a forward pass, a backward pass, and a state that can be saved.

There is no autograd. A layer keeps in `forward` what its own `backward` needs; a container calls its layers'
backward passes in reverse. That is all that backpropagation is.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Self

import numpy as np

from .checks import check_float_dtype, check_shape
from .parameter import Array, Parameter, Shape

_keep_for_backward: ContextVar[bool] = ContextVar("keep_for_backward", default=True)


def model_dtype(model: Module) -> np.dtype[Any]:
    """Return the dtype of a model's parameters, which its inputs must have; float32 if it has none."""
    return next((parameter.value.dtype for parameter in model.parameters()), np.dtype(np.float32))


def check_state(state: Mapping[str, Array], shapes: Mapping[str, Shape], whose: str) -> None:
    """Raise ValueError, with every fault, unless `state` has the keys and shapes of `shapes`, which are `whose`."""
    faults = [f"missing {name}" for name in shapes if name not in state]
    faults += [f"unknown {name}" for name in state if name not in shapes]
    faults += [
        f"{name} has shape {np.shape(state[name])}, {whose} has {shape}"
        for name, shape in shapes.items()
        if name in state and np.shape(state[name]) != shape
    ]
    if faults:
        raise ValueError(f"the state does not fit the model: {'; '.join(faults)}")


def _converted(name: str, array: Any, dtype: np.dtype[Any]) -> Array:
    """Return a state's array in a dtype of the same kind: numbers, but no complex ones."""
    array = np.asarray(array)
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise TypeError(f"the state's {name} must hold numbers that become {dtype}, got {array.dtype}")
    converted: Array = array.astype(dtype)
    return converted


@contextmanager
def mode(model: Module, training: bool) -> Iterator[None]:
    """Put a model into train or eval mode inside a ``with`` block.

    At its end, however it comes, every module inside has its own mode of before.
    """
    before = [(module, module.training) for _, module in model.modules()]
    try:
        model.train(training)
        yield
    finally:
        for module, was_training in before:
            module.training = was_training


@contextmanager
def no_grad() -> Iterator[None]:
    """Let forward passes inside keep nothing for a backward pass; use it to evaluate a model."""
    token = _keep_for_backward.set(False)
    try:
        yield
    finally:
        _keep_for_backward.reset(token)


def _after_drawing(forward: Callable[..., Array]) -> Callable[..., Array]:
    """Return a module's `forward` which first draws what nobody has drawn yet, from seed 0."""

    @functools.wraps(forward)
    def drawn_forward(self: Module, *inputs: Any, **options: Any) -> Array:
        if not getattr(self, "_initialized", True):  # True for a class of one's own that leaves out super().__init__
            self.initialize(0)
        return forward(self, *inputs, **options)

    return drawn_forward


class Module(ABC):
    """Base of all layers and containers.

    A layer of your own subclasses it, makes `Parameter`s as attributes in `__init__` (weight before bias), and writes
    `forward` and `backward`:

    >>> class Scale(Module):
    ...     def __init__(self, channels):
    ...         super().__init__()
    ...         self.weight = Parameter(np.ones(channels, dtype=np.float32))
    ...     def forward(self, x):
    ...         self.save_for_backward(x)
    ...         return x * self.weight.value
    ...     def backward(self, dy, input_grad=True):
    ...         (x,) = self.saved()
    ...         self.weight.set_grad((dy * x).sum(axis=tuple(range(dy.ndim - 1))))
    ...         return dy * self.weight.value if input_grad else None

    `fastscratch.check_layer` then tests it.

    Attributes
    ----------
    training : bool
        True in training mode: batch norm uses the batch's statistics, dropout drops.
    """

    buffer_names: ClassVar[tuple[str, ...]] = ()
    """Attributes that hold arrays which are state but not trained, such as running means."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "forward" in vars(cls):  # the outermost one is called first: it draws for all inside, from one Generator
            cls.forward = _after_drawing(vars(cls)["forward"])  # type: ignore[method-assign]

    def __init__(self) -> None:
        self.training = True
        self._initialized = False
        self._saved: tuple[Any, ...] | None = None

    # -- the two passes ------------------------------------------------------------------------------------------

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """Return the output for the input `x`; the first axis is N, the images of a batch.

        What nobody has drawn yet is drawn before, from seed 0, here and in all modules inside.
        """

    @abstractmethod
    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Set the gradient of every parameter, and return that of the input.

        Parameters
        ----------
        dy : ndarray
            Gradient of the loss with respect to the output of the last `forward`.
        input_grad : bool
            Whether the input's gradient is wanted; a first layer's is not.

        Returns
        -------
        ndarray of the input's shape, or None where it is not wanted

        Raises
        ------
        RuntimeError
            If there was no forward pass, or if it ran in `no_grad`.
        """

    def __call__(self, x: Array) -> Array:
        """Return ``forward(x)``."""
        return self.forward(x)

    def save_for_backward(self, *values: Any) -> None:
        """Keep `values` for `backward`; inside `no_grad`, drop what was kept."""
        self._saved = values if _keep_for_backward.get() else None

    def saved(self) -> tuple[Any, ...]:
        """Return what `forward` kept.

        Raises
        ------
        RuntimeError
            If there was no forward pass, or if it ran in `no_grad`.
        """
        if self._saved is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs a forward pass before it, outside no_grad")
        return self._saved

    # -- what is inside ------------------------------------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        """Return by name what a container was made with beside its modules, where that is not as usual.

        A run is not resumed with other options. Those of a layer stand in its repr.
        """
        return {}

    def children(self) -> list[tuple[str, Module]]:
        """Return the modules directly inside, with their names, in the order of their making."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield (dotted name, module) for this module, named "", and for all inside it."""
        yield prefix, self
        for name, child in self.children():
            yield from child.modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (dotted name, parameter) in layer order, weight before bias."""
        for prefix, module in self.modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter):
                    yield f"{prefix}.{name}" if prefix else name, value

    def parameters(self) -> list[Parameter]:
        """Return all parameters in layer order, weight before bias, with a value and their dotted names.

        What nobody has drawn yet is drawn here, from seed 0.
        """
        self.initialize(0)
        result = []
        for name, parameter in self.named_parameters():
            parameter.name = name
            result.append(parameter)
        return result

    def named_buffers(self) -> Iterator[tuple[str, Module, str]]:
        """Yield (dotted name, module, attribute) of every array that is state but not trained."""
        for prefix, module in self.modules():
            for name in module.buffer_names:
                yield f"{prefix}.{name}" if prefix else name, module, name

    def buffers(self) -> dict[str, Array]:
        """Return the arrays that are state but not trained, such as running means, by dotted name."""
        return {name: getattr(module, attribute) for name, module, attribute in self.named_buffers()}

    def generators(self) -> dict[str, np.random.Generator]:
        """Return the Generators that forward passes draw from (dropout's), by dotted name of their module."""
        return {
            name: generator
            for name, module in self.modules()
            if isinstance(generator := vars(module).get("generator"), np.random.Generator)
        }

    # -- modes and state -----------------------------------------------------------------------------------------

    def initialize(self, seed: int | np.random.Generator) -> Self:
        """Draw every parameter that has no value yet, in layer order, from one Generator.

        Parameters
        ----------
        seed : int or numpy.random.Generator
            Where the numbers come from.
        """
        generator = np.random.default_rng(seed)
        for _, module in self.modules():
            for value in vars(module).values():
                if isinstance(value, Parameter):
                    value.draw(generator)
            module.seed(generator)
            module._initialized = True
        return self

    def seed(self, generator: np.random.Generator) -> None:  # noqa: B027 - a layer need not have one
        """Take from `generator` what a forward pass will draw from; most layers draw nothing."""

    def adapt(self, images: Array) -> None:  # noqa: B027 - most layers need nothing of the kind
        """Take from training images what must be known before the first step, as `PatchWhitening` does.

        Parameters
        ----------
        images : ndarray of shape (N, H, W, C)
            As this module will see them. Every `Trainer.fit` hands over normalized ones; what is known already stays.
        """

    def train(self, mode: bool = True) -> Self:
        """Set training mode, here and in all modules inside; ``mode=False`` is `eval`."""
        for _, module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set evaluation mode: batch norm uses its running statistics, dropout passes everything."""
        return self.train(False)

    def astype(self, dtype: Any) -> Self:
        """Convert parameters and floating-point buffers; inputs must have the same dtype from then on.

        Make the optimizer afterwards: it holds views of the parameters.

        Parameters
        ----------
        dtype : float32 or float64

        Raises
        ------
        TypeError
            For another dtype.
        """
        dtype = check_float_dtype(dtype)
        for parameter in self.parameters():
            parameter.value = parameter.value.astype(dtype)
            parameter.grad = None
        for _, module, attribute in self.named_buffers():
            buffer = getattr(module, attribute)
            if np.issubdtype(buffer.dtype, np.floating):
                setattr(module, attribute, buffer.astype(dtype))
        return self

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and buffers under PyTorch's keys, in this project's layout."""
        state = {parameter.name: parameter.value.copy() for parameter in self.parameters()}
        return state | {name: buffer.copy() for name, buffer in self.buffers().items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy `state` into parameters and buffers, converted to their dtypes.

        Parameters
        ----------
        state : mapping of str to ndarray
            As `state_dict` returns it: every key, and no other.

        Raises
        ------
        ValueError
            If keys are missing or unknown, or shapes differ; all of them are named, and nothing is changed.
        TypeError
            If an array does not hold numbers of that kind; nothing is changed either.
        """
        targets = {parameter.name: parameter.value for parameter in self.parameters()} | self.buffers()
        check_state(state, {name: target.shape for name, target in targets.items()}, "the model's")
        arrays = {name: _converted(name, state[name], target.dtype) for name, target in targets.items()}
        for name, target in targets.items():
            target[...] = arrays[name]

    # -- what it will do -----------------------------------------------------------------------------------------

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one image's output, without N, for an input of `input_shape`, without N.

        A layer that does not say so itself is tried out on zeros.
        """
        zeros = np.zeros((1, *check_shape(input_shape)), model_dtype(self))
        with mode(self, training=False), no_grad():
            shape: Shape = self.forward(zeros).shape
            return shape[1:]

    def flops(self, input_shape: Shape) -> int:
        """Return the floating point operations of one image's forward pass; a multiply and an add are two."""
        return 0

    def summary(self, input_shape: Shape) -> str:
        """Return a table of all layers with output shapes, parameters and FLOPs.

        Parameters
        ----------
        input_shape : tuple of int
            Of one image, without N: (32, 32, 3).

        Returns
        -------
        str
            One line a layer, and the totals.
        """
        from .summary import summary  # the table knows the containers, which know this class

        return summary(self, input_shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
