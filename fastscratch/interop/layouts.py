"""Weights in PyTorch's layout and back.

The keys are the same, the axes are not:

    filters    (KH, KW, C // groups, F)    PyTorch's (F, C // groups, KH, KW)
    dense      (in, out)                   (out, in)

and where a dense layer follows Flatten, its inputs run over H, W, C here and over C, H, W there. What follows what is
read off the model, so every function takes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fastscratch import nn
from fastscratch.nn.module import check_state
from fastscratch.nn.parameter import Array, Shape


def to_torch_layout(state: Mapping[str, Array], model: nn.Module, channels: int | None = None) -> dict[str, Array]:
    """Return the state of `model` in PyTorch's layout.

    Parameters
    ----------
    state : mapping of str to ndarray
        As `model.state_dict()` returns it.
    model : Module
        The model that it belongs to; it is not changed.
    channels : int, optional
        C of the images, for a model that flattens them before its first layer that has channels.

    Returns
    -------
    dict of str to ndarray
        C-contiguous copies under the same keys: what PyTorch's ``state_dict()`` of the same layers holds.

    Raises
    ------
    TypeError
        If the model holds a layer that PyTorch has no counterpart of, such as one of your own.
    ValueError
        If keys are missing or unknown, or shapes differ; all of them are named. If a layer's channels are not known.
    """
    layouts = _layouts(model, channels)
    shapes = _shapes(model)
    check_state(state, shapes, "the model's")
    return {name: layouts[name].to_torch(state[name]) if name in layouts else state[name].copy() for name in shapes}


def from_torch_layout(state: Mapping[str, Array], model: nn.Module, channels: int | None = None) -> dict[str, Array]:
    """Return a state in PyTorch's layout as `model.load_state_dict` takes it.

    Parameters
    ----------
    state : mapping of str to ndarray
        In PyTorch's layout.
    model, channels
        As in `to_torch_layout`.

    Returns
    -------
    dict of str to ndarray
        C-contiguous copies under the same keys.

    Raises
    ------
    TypeError, ValueError
        As in `to_torch_layout`.
    """
    layouts = _layouts(model, channels)
    shapes = {
        name: layouts[name].torch_shape(shape) if name in layouts else shape for name, shape in _shapes(model).items()
    }
    check_state(state, shapes, "in PyTorch's layout the model's")
    return {
        name: layouts[name].from_torch(state[name]) if name in layouts else np.array(state[name]) for name in shapes
    }


# -- the two kinds of arrays whose axes differ -----------------------------------------------------------------------


class _Filters:
    def torch_shape(self, shape: Shape) -> Shape:
        kh, kw, c, f = shape
        return (f, c, kh, kw)

    def to_torch(self, w: Array) -> Array:
        return np.array(w.transpose(3, 2, 0, 1), order="C")  # (KH, KW, C, F) -> (F, C, KH, KW)

    def from_torch(self, w: Array) -> Array:
        return np.array(w.transpose(2, 3, 1, 0), order="C")  # (F, C, KH, KW) -> (KH, KW, C, F)


@dataclass(frozen=True)
class _Dense:
    channels: int
    """C of the images that were flattened into the inputs; 1 where the inputs are no images."""

    def torch_shape(self, shape: Shape) -> Shape:
        return shape[::-1]

    def to_torch(self, w: Array) -> Array:
        pixels = w.reshape(-1, self.channels, w.shape[1])  # (H W C, out) -> (H W, C, out)
        return np.array(pixels.transpose(2, 1, 0), order="C").reshape(w.shape[::-1])  # -> (out, C H W)

    def from_torch(self, w: Array) -> Array:
        pixels = w.reshape(w.shape[0], self.channels, -1)  # (out, C H W) -> (out, C, H W)
        return np.array(pixels.transpose(2, 1, 0), order="C").reshape(w.shape[::-1])  # -> (H W C, out)


# -- a walk through the model ----------------------------------------------------------------------------------------

_UNCHANGED = (nn.ReLU, nn.Multiply, nn.Dropout, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class _Activations:
    """What is known of the activations between two layers."""

    channels: int | None
    kind: str
    """ "images", "flattened" (images whose numbers run in the other order in PyTorch) or "vectors"."""


def _layouts(model: nn.Module, channels: int | None) -> dict[str, _Filters | _Dense]:
    """Return how each array whose axes differ is converted, by dotted name."""
    layouts: dict[str, _Filters | _Dense] = {}

    def walk(layer: nn.Module, name: str, x: _Activations) -> _Activations:
        weight = f"{name}.weight" if name else "weight"
        if type(layer) is nn.Conv2d:
            layouts[weight] = _Filters()
            return _Activations(layer.out_channels, "images")
        if type(layer) is nn.PatchWhitening:
            layouts[weight] = _Filters()
            return _Activations(layer.out_channels, "images")
        if type(layer) is nn.Linear:
            layouts[weight] = _Dense(_flattened_channels(layer, name, x) if x.kind == "flattened" else 1)
            return _Activations(None, "vectors")
        if type(layer) is nn.BatchNorm2d:
            return _Activations(layer.num_features, "images")
        if type(layer) is nn.GlobalAvgPool2d:
            return _Activations(None, "vectors")
        if type(layer) is nn.Flatten:
            return replace(x, kind="flattened") if x.kind == "images" else x
        if type(layer) in (nn.Sequential, nn.Mirrored):
            for child, inner in layer.children():
                x = walk(inner, f"{name}.{child}" if name else child, x)
            return x
        if type(layer) is nn.Residual:
            ways = [walk(inner, f"{name}.{child}" if name else child, x) for child, inner in layer.children()]
            ways += [x] if layer.shortcut is None else []
            if (ways[0].kind == "flattened") != (ways[1].kind == "flattened"):
                raise ValueError(
                    f"layer {name!r} adds flattened images to numbers of another order, which PyTorch's order "
                    f"(C, H, W) makes another sum: {layer!r}"
                )
            return ways[0]
        if type(layer) in _UNCHANGED:
            return x
        raise TypeError(f"layer {name!r} has no counterpart in PyTorch that is known here: {layer!r}")

    walk(model, "", _Activations(channels, "images"))
    return layouts


def _flattened_channels(layer: nn.Linear, name: str, x: _Activations) -> int:
    if x.channels is None:
        raise ValueError(
            f"layer {name!r} follows Flatten, and no layer before says how many channels the images have: "
            f"pass channels, got None"
        )
    if layer.in_features % x.channels:
        raise ValueError(
            f"layer {name!r} takes {layer.in_features} numbers, which are no whole pixels of {x.channels} channels"
        )
    return x.channels


def _shapes(model: nn.Module) -> dict[str, Shape]:
    parameters = {name: parameter.shape for name, parameter in model.named_parameters()}
    return parameters | {name: buffer.shape for name, buffer in model.buffers().items()}
