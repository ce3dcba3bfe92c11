"""Random transforms of whole batches, and the named augmentations made of them.

A transform is a callable ``(images (B, H, W, C), rng) -> images`` that returns a new array of the same shape and dtype
(uint8, float32 or float64). It draws the numbers for all images of the batch from the passed Generator, in a fixed
order, and hands them to the function of `image_ops` or `resample` that does the work: equal Generators, equal images.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastscratch.data.image_ops import check_images, cutout, horizontal_flip, pad_crop, vertical_flip
from fastscratch.data.resample import check_kernel_size, gaussian_blur, rotate
from fastscratch.nn.checks import check_number, check_size

__all__ = [
    "AUGMENTATIONS",
    "Compose",
    "Cutout",
    "GaussianBlur",
    "HorizontalFlip",
    "PadCrop",
    "Rotation",
    "Transform",
    "VerticalFlip",
    "cutout",
    "gaussian_blur",
    "horizontal_flip",
    "pad_crop",
    "rotate",
    "vertical_flip",
]


class Transform(Protocol):
    """What `data.Loader` takes as `augment`: a callable on a batch and a Generator."""

    def __call__(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Return a new batch.

        Parameters
        ----------
        images : ndarray of shape (B, H, W, C), uint8, float32 or float64
            The batch, which must not be changed.
        rng : numpy.random.Generator
            The only source of random numbers.

        Returns
        -------
        ndarray of shape (B, H, W, C), dtype of `images`
            The transformed batch.
        """
        ...


def check_transform(name: str, transform: object) -> None:
    """Raise TypeError unless `transform` can be called with images and a Generator; what makes one cannot."""
    # A class is callable, but makes a transform; so is what AUGMENTATIONS holds.
    fits = callable(transform) and not isinstance(transform, type)
    if fits:
        try:
            inspect.signature(transform).bind(None, None)  # type: ignore[arg-type]  # it is callable
        except TypeError:
            fits = False
        except ValueError:  # compiled functions may have no signature
            pass
    if not fits:
        hint = "; make it first, by calling it" if callable(transform) else ""
        raise TypeError(f"{name} must be callable as (images, rng), got {transform!r}{hint}")


@dataclass(frozen=True)
class HorizontalFlip:
    """Mirror each image left to right with probability `p`.

    Parameters
    ----------
    p : float
        Probability, 0 to 1.

    Raises
    ------
    TypeError, ValueError
        If `p` is not a number from 0 to 1.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_number("p", self.p, at_least=0, at_most=1)

    def __call__(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Draw B numbers and mirror; see `Transform` and `horizontal_flip`."""
        check_images(images)
        return horizontal_flip(images, rng.random(len(images)) < self.p)


@dataclass(frozen=True)
class VerticalFlip:
    """Mirror each image top to bottom with probability `p`.

    Parameters
    ----------
    p : float
        Probability, 0 to 1.

    Raises
    ------
    TypeError, ValueError
        If `p` is not a number from 0 to 1.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_number("p", self.p, at_least=0, at_most=1)

    def __call__(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Draw B numbers and mirror; see `Transform` and `vertical_flip`."""
        check_images(images)
        return vertical_flip(images, rng.random(len(images)) < self.p)


@dataclass(frozen=True)
class Rotation:
    """Rotate each image by an angle drawn uniformly from ``[-degrees, degrees)``.

    Parameters
    ----------
    degrees : float
        Largest angle, 0 to 180.

    Raises
    ------
    TypeError, ValueError
        If `degrees` is not a number from 0 to 180.
    """

    degrees: float

    def __post_init__(self) -> None:
        check_number("degrees", self.degrees, at_least=0, at_most=180)

    def __call__(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Draw B angles and rotate; see `Transform` and `rotate`."""
        check_images(images)
        return rotate(images, rng.uniform(-self.degrees, self.degrees, len(images)))


@dataclass(frozen=True)
class GaussianBlur:
    """Blur each image with a standard deviation drawn uniformly from a range.

    Parameters
    ----------
    kernel_size : int
        Odd number of pixels that the kernel spans.
    sigma : tuple of float
        Lowest and highest standard deviation in pixels, ``0 < lowest <= highest``.

    Raises
    ------
    TypeError, ValueError
        If the kernel size is not odd and positive or `sigma` not such a range.
    """

    kernel_size: int = 3
    sigma: tuple[float, float] = (0.1, 0.25)

    def __post_init__(self) -> None:
        check_kernel_size(self.kernel_size)
        if not isinstance(self.sigma, tuple | list) or len(self.sigma) != 2:
            raise TypeError(f"sigma must be a pair (lowest, highest), got {self.sigma!r}")
        for value in self.sigma:
            check_number("sigma", value)
        if not 0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(f"sigma must be (lowest, highest) with 0 < lowest <= highest, got {self.sigma}")

    def __call__(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Draw B standard deviations and blur; see `Transform` and `gaussian_blur`."""
        check_images(images)
        return gaussian_blur(images, rng.uniform(*self.sigma, len(images)), self.kernel_size)


@dataclass(frozen=True)
class PadCrop:
    """Shift each image by up to `padding` pixels each way: pad with black, cut the original size out anywhere.

    Parameters
    ----------
    padding : int
        Width of the border, >= 0; must be smaller than the images.

    Raises
    ------
    TypeError, ValueError
        If `padding` is not such an integer.
    """

    padding: int = 4

    def __post_init__(self) -> None:
        check_size("padding", self.padding, at_least=0)

    def __call__(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Draw B pairs (top, left) and cut; see `Transform` and `pad_crop`."""
        check_images(images)
        tops, lefts = rng.integers(0, 2 * self.padding, (len(images), 2), endpoint=True).T
        return pad_crop(images, tops, lefts, self.padding)


@dataclass(frozen=True)
class Cutout:
    """Black out a square in each image, its center drawn uniformly from all pixels.

    Parameters
    ----------
    size : int
        Side of the square, >= 1 and at most the smaller side of the images. A square that leaves the image is
        clipped, so on average less than size² pixels go black.

    Raises
    ------
    TypeError, ValueError
        If `size` is not such an integer.
    """

    size: int = 8

    def __post_init__(self) -> None:
        check_size("size", self.size)

    def __call__(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Draw B pairs (row, column) and black out; see `Transform` and `cutout`."""
        check_images(images)
        rows, columns = rng.integers(0, images.shape[1:3], (len(images), 2)).T
        return cutout(images, rows, columns, self.size)


@dataclass(frozen=True)
class Compose:
    """Apply transforms one after the other, all with the same Generator.

    Parameters
    ----------
    transforms : iterable of Transform
        In the order in which they are applied. None at all give a copy of the batch.

    Raises
    ------
    TypeError
        If one of them cannot be called.
    """

    transforms: Iterable[Transform]

    def __post_init__(self) -> None:
        transforms = tuple(self.transforms)
        for transform in transforms:
            check_transform("a transform", transform)
        object.__setattr__(self, "transforms", transforms)

    def __call__(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Apply the transforms; see `Transform`."""
        check_images(images)
        out = images
        for transform in self.transforms:
            out = transform(out, rng)
        return images.copy() if out is images else out


# What `--augment` names. "report" is the augmentation that the report trains with.
AUGMENTATIONS: dict[str, Callable[[], Transform]] = {
    "none": lambda: Compose(()),
    "report": lambda: Compose((HorizontalFlip(0.25), VerticalFlip(0.25), Rotation(30), GaussianBlur(3, (0.1, 0.25)))),
    "flip-crop": lambda: Compose((HorizontalFlip(0.5), PadCrop(4))),
    "flip-shift": lambda: Compose((HorizontalFlip(0.5), PadCrop(2))),
    "flip-crop-cutout": lambda: Compose((HorizontalFlip(0.5), PadCrop(4), Cutout(8))),
    "hflip": lambda: HorizontalFlip(0.25),
    "vflip": lambda: VerticalFlip(0.25),
    "rotation": lambda: Rotation(30),
    "blur": lambda: GaussianBlur(3, (0.1, 0.25)),
}
