"""Networks by name, fitted to a data set's images and classes: the report's two, and one for speed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from . import nn
from .nn.checks import check_shape

if TYPE_CHECKING:
    from .config import TrainConfig

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


IDEAS = {
    "resolution": "the first convolution goes over every pixel; without it, over every second one",
    "depth": "two convolutions a stage; without it, one",
    "late-pooling": "a pooling every two convolutions; without it, after each of the first three",
    "filter-sizes": "small filters first, 5 x 5 at last; without it, the other way round",
    "width": "64 to 192 filters; without it, half of them",
    "padding": "convolutions keep the size; without it, those of the first two stages do not",
    "dropout": "some features of the image are dropped before the classes are read off",
    "batch-norm": "batch norm after each convolution; without it, a bias",
    "global-pooling": "1 x 1 filters and the mean over the image; without it, two dense layers",
}
"""The report's ideas for a better network that are part of its architecture, each with what it is, by name."""


def improved(
    input_shape: ImageShape = (32, 32, 3),
    num_classes: int = 10,
    seed: Seed = 0,
    init: str = "dirac",
    fuse: bool = True,
    without: Collection[str] = (),
) -> nn.Sequential:
    """Return a network made of the report's ideas for a better one.

    Parameters
    ----------
    input_shape : (H, W, C)
        Of one image, at least 9 x 9.
    num_classes : int
        Channels of the last convolution.
    seed : int or numpy.random.Generator
        Draws the weights, and seeds dropout.
    init : str
        A name of `fastscratch.nn.init.INITIALIZERS`.
    fuse : bool
        As in `nn.Sequential`.
    without : collection of str
        Names of `IDEAS` that are left out, to see what they are worth.

    Returns
    -------
    nn.Sequential
        About 1.3 million parameters for 32 x 32 x 3 images and ten classes.

    Raises
    ------
    ValueError
        If the images are too small, an idea is unknown, or a parameter makes no sense.

    Notes
    -----
    Three stages of convolution, pooling and convolution; `IDEAS` says what of them the report asked for. Its other two
    ideas, larger batches and more epochs, are settings of the training run. The shape is that of VGG, with the 1 x 1
    filters of "Network in network": Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
    recognition" (ICLR 2015); Lin, Chen and Yan (2014). What makes it learn in few epochs is taken from `speedrun`: the
    whitening layer, filters that begin by passing their input, and batch norm whose shift learns fast. In evaluation
    mode each image is seen six times: as it is, moved by one pixel both ways, and each of these mirrored. Train it as
    `speedrun`.
    """
    if unknown := [idea for idea in without if idea not in IDEAS]:
        raise ValueError(f"unknown ideas in without: {', '.join(unknown)}; known: {', '.join(IDEAS)}")
    has = {idea: idea not in without for idea in IDEAS}
    share = 1 if has["width"] else 2
    small, large = (3, 5) if has["filter-sizes"] else (5, 3)
    stages = [[(64, small), (64, 3)], [(192, 3), (192, 3)], [(192, 3), (96, large)]]
    pooled = {0, 2, 4} if has["late-pooling"] or not has["depth"] else {0, 1, 2}
    dropout: list[nn.Module] = [nn.Dropout(0.1)] if has["dropout"] else []

    def block(
        inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, pool: bool = False
    ) -> list[nn.Module]:
        # Batch norm shifts by itself: a bias before it would be subtracted again.
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=not has["batch-norm"], init=init)
        norm = [_fast_norm(outputs)] if has["batch-norm"] else []
        return [conv, *_activated(norm, pool)]

    def layers(h: int, w: int) -> list[nn.Module]:
        # Page's eps: in images that were stored as JPEG some directions hold nothing but rounding.
        whitening = nn.PatchWhitening(input_shape[2], 2, eps=1e-2, bias=False)
        made: list[nn.Module] = [whitening, nn.ReLU()]
        channels = whitening.out_channels
        for number, stage in enumerate(stages):
            for place, (outputs, kernel) in enumerate(stage if has["depth"] else stage[-1:]):
                stride = 1 if number + place or has["resolution"] else 2
                # At the end hardly any pixels are left that could be gone without.
                padding = kernel // 2 if has["padding"] or number == len(stages) - 1 else 0
                made += block(channels, outputs // share, kernel, stride, padding, pool=2 * number + place in pooled)
                channels = outputs // share
        if not has["global-pooling"]:
            (features,) = nn.Sequential(*made, nn.Flatten()).output_shape((h, w, input_shape[2]))
            dense = [nn.Linear(features, 64, init=init), nn.ReLU()]
            scores = nn.Linear(64, num_classes, init=init)
            return [*made, nn.Flatten(), *dense, *dropout, scores, nn.Multiply(0.3)]
        made += block(channels, 256 // share, 1)
        # Scores that pass channels would favor the classes that come first.
        classes = nn.Conv2d(256 // share, num_classes, 1, bias=False, init="torch" if init == "dirac" else init)
        return [*made, *dropout, classes, nn.GlobalAvgPool2d(), nn.Multiply(0.3)]

    return nn.Mirrored(*_fitted("improved", layers, input_shape, num_classes), shift=1, seed=seed, fuse=fuse)


def speedrun(
    input_shape: ImageShape = (32, 32, 3),
    num_classes: int = 10,
    seed: Seed = 0,
    init: str = "dirac",
    fuse: bool = True,
) -> nn.Sequential:
    """Return a network that needs few epochs: for the highest accuracy in a given time.

    Parameters
    ----------
    input_shape : (H, W, C)
        Of one image, at least 9 x 9.
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
        About 2 million parameters for 32 x 32 x 3 images and ten classes. Train it by SGD with Nesterov momentum: the
        scales of the learning rates in it are meant for that.

    Raises
    ------
    ValueError
        If the images are too small, or a parameter makes no sense.

    Notes
    -----
    A whitening layer, three stages of convolution, max-pooling and convolution, with batch norm whose scale is fixed
    and whose shift learns 64 times as fast, the maximum over what is left of the image, and scores divided by 9. In
    evaluation mode mirror images are looked at, too. After Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU"
    (2024), with ReLU in place of GELU, no bias in the whitening layer and no averaging of weights; the pieces go back
    to Page, "How to train your ResNet" (myrtle.ai, 2018 and 2019).
    """

    def block(inputs: int, outputs: int, pool: bool) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False, init=init)
        return [conv, *_activated([_fast_norm(outputs)], pool)]

    def layers(h: int, w: int) -> list[nn.Module]:
        whitening = nn.PatchWhitening(input_shape[2], 2, bias=False)
        made: list[nn.Module] = [whitening, nn.ReLU()]
        channels = whitening.out_channels
        for outputs in (64, 256, 256):
            made += [*block(channels, outputs, pool=True), *block(outputs, outputs, pool=False)]
            channels = outputs
        rest_h, rest_w, _ = nn.Sequential(*made).output_shape((h, w, input_shape[2]))
        scores = nn.Linear(channels, num_classes, bias=False, init=init)
        return [*made, nn.MaxPool2d((rest_h, rest_w)), nn.Flatten(), scores, nn.Multiply(1 / 9)]

    return nn.Mirrored(*_fitted("speedrun", layers, input_shape, num_classes), seed=seed, fuse=fuse)


MODELS: dict[str, Callable[..., nn.Sequential]] = {"baseline": baseline, "improved": improved, "speedrun": speedrun}
"""The networks by the names that the command line takes."""


def build(
    name: str,
    input_shape: ImageShape,
    num_classes: int,
    seed: Seed = 0,
    init: str | None = None,
    fuse: bool = True,
    without: Collection[str] = (),
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
    without : collection of str
        Of the improved network, names of `IDEAS` that are left out.

    Raises
    ------
    ValueError
        If there is no such network, it does not fit the images, or it has not the ideas that are to be left out.
    """
    if name not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, got {name!r}")
    if without and name != "improved":
        raise ValueError(f"without belongs to the improved network, got {name} without {', '.join(without)}")
    how: dict[str, Any] = {} if init is None else {"init": init}
    how |= {"without": without} if without else {}
    return MODELS[name](input_shape=input_shape, num_classes=num_classes, seed=seed, fuse=fuse, **how)


def of_config(config: TrainConfig, input_shape: ImageShape, num_classes: int) -> nn.Sequential:
    """Return the network that a training run's config describes; raises as `build` does."""
    return build(config.model, input_shape, num_classes, config.seed, config.init, without=config.without)


def _fast_norm(channels: int) -> nn.BatchNorm2d:
    """Return batch norm for few epochs of SGD: its scale is fixed, its shift and its statistics move fast."""
    return nn.BatchNorm2d(channels, momentum=0.4, weight_lr_scale=0, bias_lr_scale=64)


def _activated(norm: list[nn.BatchNorm2d], pool: bool) -> list[nn.Module]:
    """Return what follows a convolution: the pooling first, so that there is less to normalize."""
    return [*([nn.MaxPool2d(2)] if pool else []), *norm, nn.ReLU()]


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
    shape = check_shape(input_shape)
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"input_shape must be (H, W, C), each at least 1, got {shape}")
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    return input_shape
