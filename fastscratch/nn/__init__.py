"""Layers: each with its forward and its backward pass written out."""

from .activation import Multiply, ReLU
from .container import Mirrored, Residual, Sequential
from .conv import Conv2d
from .dropout import Dropout
from .linear import Flatten, Linear
from .module import Module, no_grad
from .norm import BatchNorm2d
from .parameter import Parameter
from .pooling import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from .whitening import PatchWhitening

__all__ = [
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "Linear",
    "MaxPool2d",
    "Mirrored",
    "Module",
    "Multiply",
    "Parameter",
    "PatchWhitening",
    "ReLU",
    "Residual",
    "Sequential",
    "no_grad",
]
