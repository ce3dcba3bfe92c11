"""The one table of layers x geometries. The tests of gradients, of `check_layer` and against PyTorch loop over it.

`make` builds a layer with parameters drawn from a fixed seed, a new one each time; `input_shape` is with N. A new
layer is tested by standing in `LAYERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastscratch import nn


def normal(*shape: int, dtype: str = "float32") -> np.ndarray:
    """Return normal numbers, the same each time."""
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


@dataclass(frozen=True)
class LayerCase:
    """A layer and the shape of its input, N included."""

    id: str
    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]

    def __str__(self) -> str:
        return self.id

    def make(self) -> nn.Module:
        """Return a new layer: its values drawn, then moved off 0 and 1, where a missing factor would not show."""
        layer = self.build().initialize(0)
        rng = np.random.default_rng(1)
        for parameter in layer.parameters():
            parameter.value[...] += 0.1 * rng.normal(size=parameter.shape)
        for buffer in layer.buffers().values():
            if np.issubdtype(buffer.dtype, np.floating):
                buffer[...] += rng.uniform(0.1, 0.5, size=buffer.shape)  # variances stay positive
        return layer

    def x(self, dtype: str = "float64") -> np.ndarray:
        """Return an input, normal, the same each time."""
        return np.random.default_rng(2).normal(size=self.input_shape).astype(dtype)


def _block(channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())


LAYERS = [
    LayerCase("conv2d-3x3", lambda: nn.Conv2d(3, 4, 3), (2, 6, 5, 3)),
    LayerCase("conv2d-1x1", lambda: nn.Conv2d(3, 5, 1), (2, 4, 3, 3)),
    LayerCase("conv2d-wide_kernel", lambda: nn.Conv2d(2, 3, (2, 4)), (2, 5, 7, 2)),
    LayerCase("conv2d-tall_kernel", lambda: nn.Conv2d(2, 3, (4, 1)), (2, 7, 4, 2)),
    LayerCase("conv2d-whole_image", lambda: nn.Conv2d(2, 3, (4, 3)), (2, 4, 3, 2)),
    LayerCase("conv2d-no_bias", lambda: nn.Conv2d(2, 3, 3, bias=False), (2, 5, 5, 2)),
    LayerCase("conv2d-stride", lambda: nn.Conv2d(2, 3, 3, stride=(2, 1)), (2, 8, 6, 2)),
    LayerCase("conv2d-gaps", lambda: nn.Conv2d(2, 3, 2, stride=3), (2, 9, 8, 2)),
    LayerCase("conv2d-padding", lambda: nn.Conv2d(2, 3, (3, 5), padding=(1, 2)), (2, 4, 5, 2)),
    LayerCase("conv2d-dilation", lambda: nn.Conv2d(2, 3, (3, 2), dilation=(2, 3)), (2, 7, 6, 2)),
    LayerCase("conv2d-groups", lambda: nn.Conv2d(4, 6, 3, groups=2), (2, 5, 4, 4)),
    LayerCase("conv2d-depthwise", lambda: nn.Conv2d(3, 6, (3, 2), padding=1, groups=3), (2, 4, 5, 3)),
    LayerCase(
        "conv2d-everything",
        lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 3), padding=(2, 1), dilation=(1, 2), groups=2),
        (2, 7, 9, 4),
    ),
    LayerCase("conv2d-one_image_one_channel", lambda: nn.Conv2d(1, 1, (2, 3)), (1, 4, 5, 1)),
    LayerCase("maxpool2d-2x2", lambda: nn.MaxPool2d(2), (2, 6, 4, 3)),
    LayerCase("maxpool2d-left_over", lambda: nn.MaxPool2d((2, 3)), (2, 5, 8, 2)),
    LayerCase("maxpool2d-overlapping", lambda: nn.MaxPool2d(3, stride=(1, 2)), (2, 6, 7, 2)),
    LayerCase("maxpool2d-gaps", lambda: nn.MaxPool2d(2, stride=3), (2, 8, 7, 2)),
    LayerCase("maxpool2d-padding", lambda: nn.MaxPool2d((3, 4), stride=2, padding=(1, 2)), (2, 6, 5, 2)),
    LayerCase("maxpool2d-one_image_one_channel", lambda: nn.MaxPool2d((3, 2)), (1, 3, 4, 1)),
    LayerCase("avgpool2d-2x2", lambda: nn.AvgPool2d(2), (2, 6, 4, 3)),
    LayerCase("avgpool2d-overlapping", lambda: nn.AvgPool2d((3, 2), stride=(2, 1)), (2, 7, 5, 2)),
    LayerCase("avgpool2d-gaps", lambda: nn.AvgPool2d(2, stride=3), (2, 8, 7, 2)),
    LayerCase("avgpool2d-padding", lambda: nn.AvgPool2d((3, 4), stride=2, padding=(1, 2)), (2, 6, 5, 2)),
    LayerCase(
        "avgpool2d-padding_not_counted",
        lambda: nn.AvgPool2d((3, 4), stride=2, padding=(1, 2), count_include_pad=False),
        (2, 6, 5, 2),
    ),
    LayerCase("avgpool2d-one_image_one_channel", lambda: nn.AvgPool2d((3, 2)), (1, 3, 4, 1)),
    LayerCase("globalavgpool2d", nn.GlobalAvgPool2d, (2, 4, 5, 3)),
    LayerCase("globalavgpool2d-one_pixel", nn.GlobalAvgPool2d, (1, 1, 1, 1)),
    LayerCase("linear", lambda: nn.Linear(7, 4), (3, 7)),
    LayerCase("linear-no_bias", lambda: nn.Linear(5, 3, bias=False), (2, 5)),
    LayerCase("linear-one_image_one_feature", lambda: nn.Linear(1, 1), (1, 1)),
    LayerCase("relu-images", nn.ReLU, (2, 4, 3, 2)),
    LayerCase("relu-rows", nn.ReLU, (3, 8)),
    LayerCase("batchnorm2d", lambda: nn.BatchNorm2d(3), (4, 3, 5, 3)),
    LayerCase("batchnorm2d-large_eps", lambda: nn.BatchNorm2d(2, eps=0.5, momentum=0.3), (3, 4, 2, 2)),
    LayerCase("batchnorm2d-one_image_one_channel", lambda: nn.BatchNorm2d(1), (1, 3, 4, 1)),
    LayerCase("batchnorm2d-scaled_rates", lambda: nn.BatchNorm2d(2, weight_lr_scale=0, bias_lr_scale=64), (3, 4, 2, 2)),
    LayerCase("patchwhitening-2x2", lambda: nn.PatchWhitening(3), (2, 5, 4, 3)),
    LayerCase("patchwhitening-wide", lambda: nn.PatchWhitening(2, (1, 3), eps=0.1), (3, 4, 5, 2)),
    LayerCase("patchwhitening-no_bias", lambda: nn.PatchWhitening(3, bias=False), (2, 5, 4, 3)),
    LayerCase("patchwhitening-one_image_one_channel", lambda: nn.PatchWhitening(1, (2, 1)), (1, 4, 3, 1)),
    LayerCase("multiply-rows", lambda: nn.Multiply(1 / 9), (3, 8)),
    LayerCase("multiply-images", lambda: nn.Multiply(-3), (2, 4, 3, 2)),
    LayerCase("dropout-images", lambda: nn.Dropout(0.4, seed=3), (2, 4, 3, 2)),
    LayerCase("dropout-rows", lambda: nn.Dropout(0.5, seed=4), (3, 8)),
    LayerCase("dropout-nothing", lambda: nn.Dropout(0.0, seed=5), (2, 5)),
    LayerCase("flatten-images", nn.Flatten, (2, 3, 4, 2)),
    LayerCase("flatten-rows", nn.Flatten, (3, 5)),
    LayerCase(
        "sequential-fused",
        lambda: nn.Sequential(nn.Conv2d(2, 3, (3, 2)), nn.ReLU(), nn.MaxPool2d(2)),
        (2, 7, 6, 2),
    ),
    LayerCase(
        "sequential-fused_padding",
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3, stride=(1, 2), padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        (2, 6, 9, 2),
    ),
    LayerCase(
        "sequential-not_fused",
        lambda: nn.Sequential(nn.Conv2d(2, 3, (3, 2)), nn.ReLU(), nn.MaxPool2d(2), fuse=False),
        (2, 7, 6, 2),
    ),
    LayerCase(
        "sequential-every_layer",
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Dropout(0.2),
            nn.Residual(_block(4)),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8, 5),
            nn.ReLU(),
            nn.Linear(5, 3),
        ),
        (3, 5, 8, 2),
    ),
    LayerCase(
        "mirrored-scores",
        lambda: nn.Mirrored(nn.Conv2d(2, 3, (3, 2)), nn.ReLU(), nn.GlobalAvgPool2d(), nn.Linear(3, 4)),
        (3, 5, 4, 2),
    ),
    LayerCase("mirrored-one_image_one_channel", lambda: nn.Mirrored(nn.Conv2d(1, 2, 2), nn.Flatten()), (1, 3, 4, 1)),
    LayerCase(
        "mirrored-shifted",
        lambda: nn.Mirrored(nn.Conv2d(2, 3, (3, 2)), nn.ReLU(), nn.GlobalAvgPool2d(), nn.Linear(3, 4), shift=1),
        (3, 5, 4, 2),
    ),
    LayerCase("mirrored-by_all_but_one", lambda: nn.Mirrored(nn.Conv2d(1, 2, 2), nn.Flatten(), shift=2), (1, 3, 4, 1)),
    LayerCase("residual-identity", lambda: nn.Residual(_block(3)), (2, 4, 3, 3)),
    LayerCase(
        "residual-projection",
        lambda: nn.Residual(nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Conv2d(2, 4, 1, stride=2, bias=False)),
        (2, 5, 6, 2),
    ),
    LayerCase(
        "residual-nested",
        lambda: nn.Residual(nn.Sequential(nn.Residual(nn.Linear(4, 4)), nn.ReLU()), nn.Linear(4, 4)),
        (3, 4),
    ),
]
"""Rectangular kernels, stride other than kernel, padding, dilation, groups, N = 1, C = 1 for each layer that has it."""
