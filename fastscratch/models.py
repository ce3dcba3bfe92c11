"""The two networks of the report, by name, fitted to a data set's images and classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import nn

ImageShape = tuple[int, int, int]
Seed = int | np.random.Generator

_LARGEST_TRIED = 512


def baseline(
    input_shape: ImageShape = (32, 32, 3),
    num_classes: int = 10,
    seed: Seed = 0,
    init: str = "torch",
    fuse: bool = True,
) -> nn.Sequential:
    """Return the report's CNN: three convolutions, two poolings, two dense layers.

    Parameters
    ----------
    input_shape : (H, W, C)
        Of one image, at least 22 x 22.
    num_classes : int
        Width of the last layer.
    seed : int or numpy.random.Generator
        Draws the weights.
    init : str
        A name of `fastscratch.nn.init.INITIALIZERS`.
    fuse : bool
        As in `nn.Sequential`.

    Returns
    -------
    nn.Sequential
        126,666 parameters for 32 x 32 x 3 images and ten classes.

    Raises
    ------
    ValueError
        If the images are too small, or a parameter makes no sense.
    """

    def layers(h: int, w: int) -> list[nn.Module]:
        convolutions: list[nn.Module] = [
            nn.Conv2d(input_shape[2], 32, 3, init=init), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 5, init=init), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 3, init=init), nn.ReLU(), nn.Flatten(),
        ]  # fmt: skip
        (features,) = nn.Sequential(*convolutions).output_shape((h, w, input_shape[2]))
        dense = [nn.Linear(features, 64, init=init), nn.ReLU(), nn.Linear(64, num_classes, init=init)]
        return [*convolutions, *dense]

    return nn.Sequential(*_fitted("baseline", layers, input_shape, num_classes), seed=seed, fuse=fuse)


def improved(
    input_shape: ImageShape = (32, 32, 3),
    num_classes: int = 10,
    seed: Seed = 0,
    init: str = "kaiming_normal",
    fuse: bool = True,
) -> nn.Sequential:
    """Return a network made of the report's ideas for a better one.

    Parameters
    ----------
    input_shape : (H, W, C)
        Of one image, at least 4 x 4.
    num_classes : int
        Channels of the last convolution.
    seed : int or numpy.random.Generator
        Draws the weights, and seeds dropout.
    init : str
        A name of `fastscratch.nn.init.INITIALIZERS`.
    fuse : bool
        As in `nn.Sequential`.

    Returns
    -------
    nn.Sequential
        About 0.5 million parameters for 32 x 32 x 3 images and ten classes.

    Raises
    ------
    ValueError
        If the images are too small, or a parameter makes no sense.

    Notes
    -----
    The report's ideas, and where they are: keep the resolution (1) by padding (6) and by pooling only after every
    second convolution (3); more convolutions (2) with more filters (5); small filters first, a larger one later (4);
    dropout (7) and batch norm (8); classes read off by 1 x 1 filters and a global mean in place of dense layers (11).
    Larger batches (9) and more epochs (10) are settings of the training run.
    """

    def block(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
        # Batch norm shifts by itself: a bias before it would be subtracted again.
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, init=init)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]

    def layers(h: int, w: int) -> list[nn.Module]:
        return [
            *block(input_shape[2], 32, 3), *block(32, 32, 3), nn.MaxPool2d(2), nn.Dropout(0.1),
            *block(32, 64, 3), *block(64, 64, 3), nn.MaxPool2d(2), nn.Dropout(0.1),
            *block(64, 128, 5), *block(128, 128, 3), nn.Dropout(0.2),
            *block(128, 128, 1), nn.Conv2d(128, num_classes, 1, init=init), nn.GlobalAvgPool2d(),
        ]  # fmt: skip

    return nn.Sequential(*_fitted("improved", layers, input_shape, num_classes), seed=seed, fuse=fuse)


MODELS: dict[str, Callable[..., nn.Sequential]] = {"baseline": baseline, "improved": improved}
"""The networks by the names that the command line takes."""


def build(
    name: str,
    input_shape: ImageShape,
    num_classes: int,
    seed: Seed = 0,
    init: str | None = None,
    fuse: bool = True,
) -> nn.Sequential:
    """Return the network called `name`.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    input_shape : (H, W, C)
        Of one image.
    num_classes : int
        How many classes it tells apart.
    seed : int or numpy.random.Generator
        Draws the weights.
    init : str, optional
        A name of `fastscratch.nn.init.INITIALIZERS`; None takes the network's own.
    fuse : bool
        As in `nn.Sequential`.

    Raises
    ------
    ValueError
        If there is no such network, or it does not fit the images.
    """
    if name not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, got {name!r}")
    how = {} if init is None else {"init": init}
    return MODELS[name](input_shape=input_shape, num_classes=num_classes, seed=seed, fuse=fuse, **how)


def _fitted(
    name: str, layers: Callable[[int, int], list[nn.Module]], input_shape: ImageShape, num_classes: int
) -> list[nn.Module]:
    """Return ``layers(h, w)`` for the images of `input_shape`, or refuse with the smallest that fit."""
    h, w, _ = _checked(input_shape, num_classes)
    try:
        result = layers(h, w)
        nn.Sequential(*result).output_shape(input_shape)
        return result
    except ValueError as error:
        smallest = _smallest(layers, input_shape[2])
        if smallest is None or min(h, w) >= smallest:
            raise
        raise ValueError(
            f"images of {h} x {w} are too small for the {name} network; the smallest that fits is "
            f"{smallest} x {smallest}"
        ) from error


def _smallest(layers: Callable[[int, int], list[nn.Module]], channels: int) -> int | None:
    for size in range(1, _LARGEST_TRIED):
        try:
            nn.Sequential(*layers(size, size)).output_shape((size, size, channels))
        except ValueError:
            continue
        return size
    return None


def _checked(input_shape: ImageShape, num_classes: int) -> ImageShape:
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ValueError(f"input_shape must be (H, W, C), each at least 1, got {tuple(input_shape)}")
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    return input_shape
