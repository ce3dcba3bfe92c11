"""The operations behind the transforms against torchvision's functional ones, on given parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as tv

from fastscratch.data import augment

pytestmark = pytest.mark.torch

SHAPES = [(9, 32, 32, 3), (9, 28, 28, 1), (9, 15, 22, 3), (9, 33, 17, 1), (1, 20, 21, 3)]
DTYPES = [np.uint8, np.float32, np.float64]


@pytest.fixture(params=SHAPES, ids=str)
def shape(request: pytest.FixtureRequest) -> tuple[int, ...]:
    return request.param


@pytest.fixture(params=DTYPES, ids=lambda dtype: dtype.__name__)
def images(request: pytest.FixtureRequest, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Return noise, the hardest case for interpolation: levels, or floats from 0 to 1."""
    if request.param == np.uint8:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.random(shape).astype(request.param)


def to_torch(image: Any) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))  # (H, W, C) -> (C, H, W)


def from_torch(image: torch.Tensor) -> Any:
    return image.permute(1, 2, 0).numpy()  # (C, H, W) -> (H, W, C)


def assert_close(operation: Callable[[Any], Any], images: Any, expected: list[Any], atol: float) -> None:
    """Compare floats within `atol`; levels exactly, but for one level where the value to round is nearly a tie."""
    out = operation(images)
    assert out.dtype == images.dtype
    if out.dtype != np.uint8:
        np.testing.assert_allclose(out, expected, rtol=0, atol=atol if out.dtype == np.float32 else 1e-12)
        return
    exact = operation(images.astype(np.float64))
    tie = np.abs(exact - np.floor(exact) - 0.5) < 0.01
    difference = np.abs(out.astype(int) - expected)
    assert difference[tie].max(initial=0) <= 1
    assert difference[~tie].max() == 0


def test_horizontal_flip(images):
    expected = [from_torch(tv.hflip(to_torch(image))) for image in images]
    np.testing.assert_array_equal(augment.horizontal_flip(images, np.ones(len(images), bool)), expected)


def test_vertical_flip(images):
    expected = [from_torch(tv.vflip(to_torch(image))) for image in images]
    np.testing.assert_array_equal(augment.vertical_flip(images, np.ones(len(images), bool)), expected)


def test_rotate(images, rng):
    angles = np.array([0, 30, -30, 90, 180, -12.34, 1e-3, *rng.uniform(-180, 180, 2)])[-len(images) :]
    expected = [
        from_torch(tv.rotate(to_torch(image), float(angle), InterpolationMode.BILINEAR))
        for image, angle in zip(images, angles, strict=True)
    ]
    assert_close(lambda batch: augment.rotate(batch, angles), images, expected, atol=1e-4)


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_gaussian_blur(images, kernel_size, rng):
    sigmas = np.array([0.1, 0.25, 0.2561, 0.3, 0.5, 1.0, 2.0, 7.5, 0.05])[-len(images) :]
    expected = [
        from_torch(tv.gaussian_blur(to_torch(image), [kernel_size] * 2, [float(sigma)] * 2))
        for image, sigma in zip(images, sigmas, strict=True)
    ]
    assert_close(lambda batch: augment.gaussian_blur(batch, sigmas, kernel_size), images, expected, atol=1e-5)


def test_the_blur_of_the_report_does_not_change_levels(rng):
    """Not a flaw of the short cut: torchvision, which computes every pixel, returns the image as well."""
    images = rng.choice(np.array([0, 255], np.uint8), (20, 32, 32, 3))
    for image, sigma in zip(images, rng.uniform(0.1, 0.25, 20), strict=True):
        np.testing.assert_array_equal(from_torch(tv.gaussian_blur(to_torch(image), [3, 3], [sigma] * 2)), image)


def test_pad_crop(images, rng):
    count, height, width, _ = images.shape
    tops, lefts = rng.integers(0, 9, (2, count))
    expected = [
        from_torch(tv.crop(tv.pad(to_torch(image), 4), int(top), int(left), height, width))
        for image, top, left in zip(images, tops, lefts, strict=True)
    ]
    np.testing.assert_array_equal(augment.pad_crop(images, tops, lefts, 4), expected)


@pytest.mark.parametrize("size", [5, 8])
def test_cutout(images, size, rng):
    count, height, width, _ = images.shape
    rows, columns = rng.integers(0, height, count), rng.integers(0, width, count)
    expected = []
    for image, row, column in zip(images, rows, columns, strict=True):
        top, left = row - size // 2, column - size // 2
        bottom, right = top + size, left + size
        top, left = max(top, 0), max(left, 0)  # torchvision's slices cannot begin outside
        erased = tv.erase(to_torch(image), top, left, bottom - top, right - left, torch.zeros(()))
        expected.append(from_torch(erased))
    np.testing.assert_array_equal(augment.cutout(images, rows, columns, size), expected)
