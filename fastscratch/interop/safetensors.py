"""Weights as a safetensors file in PyTorch's keys and layout, so that users of either side read the other's files."""

from __future__ import annotations

import os
from pathlib import Path

from fastscratch import nn
from fastscratch.training.atomic import write_atomically

from .layouts import from_torch_layout, to_torch_layout


def save_weights(path: str | os.PathLike[str], model: nn.Module, channels: int | None = None) -> None:
    """Write the parameters and buffers of `model` to a file that PyTorch's users can load.

    Parameters
    ----------
    path : path-like
        The file; an old one is replaced.
    model : Module
        Whose weights are written; no architecture, no optimizer (a training checkpoint has those).
    channels : int, optional
        C of the images, for a model that flattens them before its first layer that has channels.

    Raises
    ------
    TypeError, ValueError
        As in `to_torch_layout`.
    OSError
        If the file cannot be written.
    """
    from safetensors.numpy import save

    write_atomically(path, save(to_torch_layout(model.state_dict(), model, channels)))


def load_weights(path: str | os.PathLike[str], model: nn.Module, channels: int | None = None) -> None:
    """Read parameters and buffers that `save_weights` or PyTorch's users wrote into `model`.

    Parameters
    ----------
    path : path-like
        A safetensors file with PyTorch's keys and layout.
    model : Module
        Takes the weights, converted to its dtype.
    channels : int, optional
        As in `save_weights`.

    Raises
    ------
    ValueError
        If it is no safetensors file, holds a type that NumPy does not have, such as bfloat16, or does not fit the
        model; nothing is changed then.
    OSError
        If the file cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        state = load(Path(path).read_bytes())
    except SafetensorError as error:
        raise ValueError(f"{os.fspath(path)} is no safetensors file: {error}") from error
    except KeyError as error:  # safetensors' own table of NumPy's types does not have it
        kinds = "F64, F32, F16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL"
        raise ValueError(
            f"{os.fspath(path)} holds an array of a type that NumPy does not have, {error}; allowed are {kinds}"
        ) from error
    model.load_state_dict(from_torch_layout(state, model, channels))
