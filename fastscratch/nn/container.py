"""Modules that hold modules: Sequential and Mirrored, one after the other, and Residual, beside a shortcut."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import fuse as fusion
from .checks import check_image_shape, check_images, check_shape, check_size
from .module import Module
from .parameter import Array, Shape


class Sequential(Module):
    """Layers one after the other.

    Parameters
    ----------
    *layers : Module
        In the order of the forward pass.
    seed : int or numpy.random.Generator, optional
        Draws all parameters at once, in layer order, from one Generator; those that have a value already keep it.
        None leaves them to the container around this one; the outermost one draws from seed 0.
    fuse : bool
        Whether runs such as Conv2d -> ReLU -> MaxPool2d are handed to one kernel. The results are the same, but for
        rounding.

    Attributes
    ----------
    layers : tuple of Module
    fuse : bool

    Raises
    ------
    TypeError
        If a layer is no module.
    ValueError
        If a module stands in two places, here or further inside.
    """

    def __init__(self, *layers: Module, seed: int | np.random.Generator | None = None, fuse: bool = True) -> None:
        super().__init__()
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise TypeError(f"a Sequential takes modules, got {type(layer).__name__} at place {i}: {layer!r}")
        self.layers, self.fuse = layers, fuse
        _check_used_once(self)
        self._steps = fusion.plan(layers) if fuse else list(layers)
        self._first_trained = next(
            (i for i, step in enumerate(self._steps) if any(step.named_parameters())), len(self._steps)
        )
        if seed is not None:
            self.initialize(seed)

    def children(self) -> list[tuple[str, Module]]:
        """Return the layers, named "0", "1", ..."""
        return [(str(i), layer) for i, layer in enumerate(self.layers)]

    def adapt(self, images: Array) -> None:
        """Show training images to the first layer, the only one that sees images."""
        if self.layers:
            self.layers[0].adapt(images)

    def forward(self, x: Array) -> Array:
        """Return the output of the last layer."""
        for step in self._steps:
            x = step.forward(x)
        return x

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Set the gradient of every parameter, from the last layer to the first.

        Layers before the first one with parameters are not gone through, unless `input_grad` asks for it.
        """
        last = 0 if input_grad else self._first_trained
        for i in range(len(self._steps) - 1, last - 1, -1):
            wanted = input_grad or i > last
            dx = self._steps[i].backward(dy, input_grad=wanted)
            if not wanted:
                return None
            if dx is None:
                raise RuntimeError(f"{self._steps[i]!r} returned no gradient of its input, though it was asked to")
            dy = dx
        return dy if input_grad else None

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one image's output, without N."""
        input_shape = check_shape(input_shape)
        for layer in self.layers:
            input_shape = layer.output_shape(input_shape)
        return input_shape

    def flops(self, input_shape: Shape) -> int:
        """Return the floating point operations of one image's forward pass."""
        total = 0
        for layer in self.layers:
            total += layer.flops(input_shape)
            input_shape = layer.output_shape(input_shape)
        return total

    @property
    def is_fused(self) -> bool:
        """Whether one kernel stands for several of the layers."""
        return len(self._steps) < len(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Module:
        return self.layers[index]

    def options(self) -> dict[str, Any]:
        """Return ``fuse`` where it is off."""
        return {} if self.fuse else {"fuse": False}

    def __repr__(self) -> str:
        options = (f"{name}={value}" for name, value in self.options().items())
        return f"{type(self).__name__}({', '.join([*map(repr, self.layers), *options])})"


def _check_used_once(container: Module) -> None:
    """Raise ValueError where a module stands in two places: it keeps one forward pass, the last, to go back by."""
    places: dict[int, str] = {}
    for name, module in container.modules():
        first = places.setdefault(id(module), name)
        if first != name:
            raise ValueError(f"each place takes a module of its own, got one at {first!r} and {name!r}: {module!r}")


class Mirrored(Sequential):
    """Layers one after the other, which in evaluation mode see each image several times: mirrored, and moved, too.

    Parameters
    ----------
    *layers, seed, fuse
        As in `Sequential`.
    shift : int
        Pixels that the images are moved by in evaluation mode, down and right in one more view, up and left in
        another. 0 leaves both out.

    Raises
    ------
    TypeError, ValueError
        As `Sequential`; or if `shift` is not a whole number, or negative.

    Notes
    -----
    In evaluation mode ``y`` is the mean of ``f`` over the views of ``x``: the image as it is and, with a `shift`, moved
    both ways, and the mirror image (left to right) of each of these; in training mode ``y = f(x)``. What a moved image
    leaves open is filled by reflection, as ``numpy.pad`` does in its mode "reflect". What a network holds an image for
    should not hang on the side that a thing looks to, nor on a pixel, and the mean of several answers is wrong less
    often than one; it takes as many times the time. Krizhevsky, Sutskever and Hinton, "ImageNet classification with
    deep convolutional neural networks" (2012), average over mirror images and crops; Jordan, "94% on CIFAR-10 in 3.29
    seconds on a single GPU" (2024), over these six views, but with more weight on the two that are not moved.
    """

    def __init__(
        self, *layers: Module, shift: int = 0, seed: int | np.random.Generator | None = None, fuse: bool = True
    ) -> None:
        super().__init__(*layers, seed=seed, fuse=fuse)
        self.shift = check_size("shift", shift, at_least=0)

    def forward(self, x: Array) -> Array:
        """Return the output of the last layer for `x` (N, H, W, C), or in evaluation mode the mean over the views."""
        check_images(self, x)
        if self.training:
            self.save_for_backward(None)
            return super().forward(x)
        n, h, w, _ = x.shape
        self._check_shift((h, w), x.shape)
        views = _views(h, w, self.shift)
        self.save_for_backward((x.shape, views))
        y = super().forward(np.concatenate([x[:, rows[:, None], columns] for rows, columns in views]))  # (V N, ...)
        mean: Array = y.reshape(len(views), n, *y.shape[1:]).mean(axis=0)
        return mean

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Set the gradient of every parameter, and return that of the input."""
        (seen,) = self.saved()
        if seen is None:
            return super().backward(dy, input_grad)
        shape, views = seen
        dviews = super().backward(np.concatenate([dy / len(views)] * len(views)), input_grad)
        if dviews is None:
            return None
        dx = np.zeros(shape, dviews.dtype)
        for dview, (rows, columns) in zip(np.split(dviews, len(views)), views, strict=True):
            # Reflected pixels are looked at more than once: their gradients add up.
            np.add.at(dx, (slice(None), rows[:, None], columns), dview)  # type: ignore[arg-type]  # NumPy's stubs know no tuples
        return dx

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one image's output, without N; the image must be one that evaluation mode takes."""
        shape = check_image_shape(self, input_shape)
        self._check_shift(shape[:2], shape)
        return super().output_shape(shape)

    def _check_shift(self, size: Shape, shape: Shape) -> None:
        if self.shift >= min(size):
            raise ValueError(f"{self!r} moves images of more than {self.shift} rows and columns, got shape {shape}")

    def options(self) -> dict[str, Any]:
        """Return ``fuse`` where it is off, and ``shift`` where there is one."""
        return super().options() | ({"shift": self.shift} if self.shift else {})


def _views(h: int, w: int, shift: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the rows (H,) and the columns (W,) of an image that the pixels of each view are taken from."""
    moved = [(_moved(h, by), _moved(w, by)) for by in ((0, shift, -shift) if shift else (0,))]
    return moved + [(rows, columns[::-1]) for rows, columns in moved]


def _moved(size: int, by: int) -> NDArray[np.intp]:
    """Return the place that each of `size` pixels is taken from when they are moved `by`, with reflected edges."""
    places = np.abs(np.arange(size) - by)
    reflected: NDArray[np.intp] = np.minimum(places, 2 * (size - 1) - places)
    return reflected


class Residual(Module):
    """A body and a way around it: ``y = body(x) + shortcut(x)``.

    Parameters
    ----------
    body : Module
        What is learnt.
    shortcut : Module, optional
        A projection where the body changes the shape (a 1 x 1 convolution); None passes `x` as it is.

    Raises
    ------
    TypeError
        If one is no module.
    ValueError
        If a module stands in two places, here or further inside.

    Notes
    -----
    The gradient reaches `x` by both ways and is added up: the shortcut carries it past the body unchanged, which is
    why deep stacks of these blocks train. He, Zhang, Ren and Sun, "Deep residual learning for image recognition",
    2016.
    """

    def __init__(self, body: Module, shortcut: Module | None = None) -> None:
        super().__init__()
        for name, part in (("body", body), *([("shortcut", shortcut)] if shortcut is not None else [])):
            if not isinstance(part, Module):
                raise TypeError(f"a Residual takes a module as {name}, got {type(part).__name__}: {part!r}")
        self.body = body
        self.shortcut = shortcut
        _check_used_once(self)

    def forward(self, x: Array) -> Array:
        """Return ``body(x) + shortcut(x)``."""
        y = self.body.forward(x)
        around = x if self.shortcut is None else self.shortcut.forward(x)
        if y.shape != around.shape:
            raise ValueError(
                f"a Residual adds arrays of one shape, got {y.shape} from the body and {around.shape} around it: "
                f"input {x.shape}"
            )
        return y + around

    def backward(self, dy: Array, input_grad: bool = True) -> Array | None:
        """Send `dy` down both ways, and add up what comes out."""
        dx = self.body.backward(dy, input_grad=input_grad)
        around = dy if self.shortcut is None else self.shortcut.backward(dy, input_grad=input_grad)
        if dx is None or around is None:
            return None
        return dx + around

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one image's output, without N."""
        shape = tuple(self.body.output_shape(input_shape))
        around = check_shape(input_shape) if self.shortcut is None else tuple(self.shortcut.output_shape(input_shape))
        if shape != around:
            raise ValueError(
                f"a Residual adds arrays of one shape, got {shape} from the body and {around} around it an image: "
                f"input {input_shape}"
            )
        return shape

    def flops(self, input_shape: Shape) -> int:
        """Return the floating point operations of one image's forward pass; the sum of both ways included."""
        around = 0 if self.shortcut is None else self.shortcut.flops(input_shape)
        return self.body.flops(input_shape) + around + int(np.prod(self.output_shape(input_shape)))

    def __repr__(self) -> str:
        return f"Residual({self.body!r}, shortcut={self.shortcut!r})"
