"""The door to PyTorch: a model's twin, its weights and images in PyTorch's layout and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastscratch import nn
from fastscratch.nn.parameter import Array

from .layouts import from_torch_layout, to_torch_layout

try:
    import torch
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "fastscratch.interop.torch needs PyTorch: pip install 'fastscratch[torch]'", name=error.name
    ) from error

__all__ = ["images_from_torch", "images_to_torch", "state_dict_from_torch", "state_dict_to_torch", "to_torch"]


def images_to_torch(images: Array) -> torch.Tensor:
    """Return images or filters' outputs (N, H, W, C) as a contiguous tensor (N, C, H, W); others as they are.

    Parameters
    ----------
    images : ndarray
        Four axes are turned; arrays with another number of axes, such as logits (N, K), keep theirs.

    Returns
    -------
    torch.Tensor
        A copy.
    """
    return torch.from_numpy(np.array(images.transpose(0, 3, 1, 2) if images.ndim == 4 else images, order="C"))


def images_from_torch(tensor: torch.Tensor) -> Array:
    """Return a tensor (N, C, H, W) as a C-contiguous array (N, H, W, C); others as they are.

    Parameters
    ----------
    tensor : torch.Tensor
        On any device, with or without a gradient.

    Returns
    -------
    ndarray
        A copy.
    """
    array = tensor.detach().cpu().numpy()
    return np.array(array.transpose(0, 2, 3, 1) if array.ndim == 4 else array, order="C")


def state_dict_to_torch(
    state: Mapping[str, Array], model: nn.Module, channels: int | None = None
) -> dict[str, torch.Tensor]:
    """Return the state of `model` as PyTorch's ``load_state_dict`` takes it.

    Parameters
    ----------
    state : mapping of str to ndarray
        As `model.state_dict()` returns it.
    model : Module
        The model that it belongs to; it says which dense weights follow a Flatten.
    channels : int, optional
        C of the images, for a model that flattens them before its first layer that has channels.

    Returns
    -------
    dict of str to torch.Tensor
        Copies, under the same keys.

    Raises
    ------
    TypeError
        If the model holds a layer without a counterpart, such as one of your own.
    ValueError
        If keys are missing or unknown, or shapes differ; all of them are named. If a layer's channels are not known.
    """
    return {name: torch.from_numpy(array) for name, array in to_torch_layout(state, model, channels).items()}


def state_dict_from_torch(
    state: Mapping[str, torch.Tensor], model: nn.Module, channels: int | None = None
) -> dict[str, Array]:
    """Return PyTorch's state of the same layers as `model.load_state_dict` takes it.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        As PyTorch's ``state_dict()`` returns it.
    model, channels
        As in `state_dict_to_torch`.

    Returns
    -------
    dict of str to ndarray
        Copies, under the same keys.

    Raises
    ------
    TypeError, ValueError
        As in `state_dict_to_torch`.
    """
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}
    return from_torch_layout(arrays, model, channels)


class Residual(torch.nn.Module):
    """The twin of `fastscratch.nn.Residual`: ``body(x) + shortcut(x)``."""

    def __init__(self, body: torch.nn.Module, shortcut: torch.nn.Module | None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of both ways."""
        y: torch.Tensor = self.body(x) + (x if self.shortcut is None else self.shortcut(x))
        return y


class Mirrored(torch.nn.Sequential):
    """The twin of `fastscratch.nn.Mirrored`: in evaluation mode the mean over its views of each image."""

    def __init__(self, *layers: torch.nn.Module, shift: int) -> None:
        super().__init__(*layers)
        self.shift = shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output of the last layer, or the mean over the views."""
        if self.training:
            return self._plain(x)
        views = [x]
        if self.shift:
            h, w = x.shape[2:]
            padded = torch.nn.functional.pad(x, [self.shift] * 4, mode="reflect")
            views += [padded[:, :, :h, :w], padded[:, :, -h:, -w:]]  # down and right, up and left
        views += [view.flip(3) for view in views]
        return torch.stack([self._plain(view) for view in views]).mean(dim=0)

    def _plain(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self:
            x = layer(x)
        return x


class PatchWhitening(torch.nn.Module):
    """The twin of `fastscratch.nn.PatchWhitening`, with the filters that it has computed."""

    weight: torch.Tensor

    def __init__(self, weight: torch.Tensor, bias: bool) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("is_adapted", torch.tensor(False))
        self.bias = torch.nn.Parameter(torch.zeros(len(weight))) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the whitened patches."""
        return torch.nn.functional.conv2d(x, self.weight, self.bias)


class Multiply(torch.nn.Module):
    """The twin of `fastscratch.nn.Multiply`: ``factor * x``."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the product."""
        return self.factor * x


def to_torch(model: nn.Module, channels: int | None = None) -> torch.nn.Module:
    """Return a PyTorch model of the same architecture with the same weights, in the same mode.

    Parameters
    ----------
    model : Module
        A model or a layer; it is not changed.
    channels : int, optional
        C of the images, for a model that flattens them before its first layer that has channels.

    Returns
    -------
    torch.nn.Module
        On the CPU, of the model's dtype, every layer in the mode that it has here. It takes images as (N, C, H, W) and
        has the same keys in its ``state_dict()``. A parameter whose `lr_scale` is 0 wants no gradient; other scales are
        for an optimizer's groups. Activations between Flatten and the dense layer after it run over C, H, W.

    Raises
    ------
    TypeError
        If the model holds a layer without a counterpart, such as one of your own.
    ValueError
        If a layer's channels are not known.

    Notes
    -----
    Dropout draws from PyTorch's global generator, so its masks are others.

    Examples
    --------
    >>> from fastscratch import models
    >>> model = models.baseline()
    >>> twin = to_torch(model)
    >>> x = np.zeros((2, 32, 32, 3), dtype=np.float32)
    >>> bool(np.abs(model(x) - images_from_torch(twin(images_to_torch(x)))).max() < 1e-5)
    True
    """
    state = state_dict_to_torch(model.state_dict(), model, channels)
    twin = _build(model)
    dtype = next((tensor.dtype for tensor in state.values() if tensor.is_floating_point()), torch.float32)
    twin.to(dtype).load_state_dict(state)
    for parameter in model.parameters():
        if parameter.lr_scale == 0:
            twin.get_parameter(parameter.name).requires_grad_(False)
    return twin


def _conv(layer: nn.Conv2d) -> torch.nn.Module:
    return torch.nn.Conv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size, *layer.windows, bias=layer.bias is not None
    )


def _avg_pool(layer: nn.AvgPool2d) -> torch.nn.Module:
    return torch.nn.AvgPool2d(
        layer.kernel_size, layer.stride, layer.padding, count_include_pad=layer.count_include_pad
    )


def _residual(layer: nn.Residual) -> torch.nn.Module:
    return Residual(_build(layer.body), None if layer.shortcut is None else _build(layer.shortcut))


def _whitening(layer: nn.PatchWhitening) -> torch.nn.Module:
    filters = images_to_torch(layer.weight.transpose(3, 0, 1, 2))  # (KH, KW, C, F) -> (F, KH, KW, C) -> (F, C, KH, KW)
    return PatchWhitening(filters, layer.bias is not None)


_TWINS: dict[type[nn.Module], Callable[[Any], torch.nn.Module]] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda layer: torch.nn.Linear(layer.in_features, layer.out_features, layer.bias is not None),
    nn.BatchNorm2d: lambda layer: torch.nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum),
    nn.MaxPool2d: lambda layer: torch.nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding),
    nn.AvgPool2d: _avg_pool,
    nn.GlobalAvgPool2d: lambda layer: torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
    nn.PatchWhitening: _whitening,
    nn.ReLU: lambda layer: torch.nn.ReLU(),
    nn.Multiply: lambda layer: Multiply(layer.factor),
    nn.Dropout: lambda layer: torch.nn.Dropout(layer.p),
    nn.Flatten: lambda layer: torch.nn.Flatten(),
    nn.Sequential: lambda layer: torch.nn.Sequential(*map(_build, layer.layers)),
    nn.Mirrored: lambda layer: Mirrored(*map(_build, layer.layers), shift=layer.shift),
    nn.Residual: _residual,
}


def _build(layer: nn.Module) -> torch.nn.Module:
    """Return the layer's twin, in the same mode, with weights that PyTorch drew."""
    twin = _TWINS[type(layer)](layer)
    twin.training = layer.training
    return twin
