"""The one form every data set takes here: uint8 images, integer labels, named classes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastscratch.nn.checks import check_number

MAX_CHANNELS = 4  # gray, gray + alpha, RGB, RGBA
MAX_UNNAMED_CLASSES = 1000


@dataclass(frozen=True, repr=False, eq=False)
class ImageDataset:
    """Labelled images of one size, in memory.

    The constructor checks what it is given and copies nothing; `from_arrays` also converts. Treat the arrays
    as read-only: `fingerprint` is computed once.

    Parameters
    ----------
    images : ndarray of shape (N, H, W, C), uint8
        Pixels, channels last, 0 to 255; N at least 1, C from 1 (gray) to 4.
    labels : ndarray of shape (N,), int64
        Class of each image, an index into `classes`.
    classes : tuple of str
        Name of each class; distinct, not empty.
    name : str
        What the set is called in logs and run folders.

    Raises
    ------
    TypeError
        Images or labels are not arrays of these dtypes; names are not strings.
    ValueError
        A shape, a label or a list of names is impossible; the message says which.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        _check_images(self.images)
        _check_labels(self.labels, self.images)
        _check_classes(self.classes, self.labels)
        if not isinstance(self.name, str):
            raise TypeError(f"a data set's name must be a string, got {self.name!r}")

    @classmethod
    def from_arrays(
        cls, images: ArrayLike, labels: ArrayLike, classes: Sequence[str] | None = None, name: str = "arrays"
    ) -> ImageDataset:
        """Make a data set of arrays or lists, such as torchvision's `.data` and `.targets`.

        Parameters
        ----------
        images : array_like of shape (N, H, W) or (N, H, W, C), uint8
            Gray images may leave out the channel axis.
        labels : array_like of shape (N,), any integer dtype
            Class ids from 0.
        classes : sequence of str, optional
            Names; by default the numbers "0", "1", ... up to the largest label.
        name : str, optional
            What the set is called.

        Returns
        -------
        ImageDataset
            Shares memory with `images` where those are already in the right form.

        Raises
        ------
        TypeError, ValueError
            As the constructor; also for labels that are not whole numbers.

        Examples
        --------
        >>> import numpy as np
        >>> ImageDataset.from_arrays(np.zeros((2, 28, 28), np.uint8), [1, 0])
        ImageDataset('arrays': 2 images of 28 x 28 x 1, 2 classes)
        """
        pixels = np.asarray(images)
        if pixels.ndim == 3:
            pixels = pixels[..., None]  # (N, H, W) -> (N, H, W, 1)
        ids = np.asarray(labels)
        if ids.dtype.kind not in "iu" and ids.size:
            raise TypeError(f"labels must be whole numbers, got an array of {ids.dtype}")
        ids = ids.astype(np.int64)
        if classes is None:
            largest = int(ids.max(initial=0))
            if largest >= max(ids.size, MAX_UNNAMED_CLASSES):
                raise ValueError(f"labels go up to {largest} for {ids.size} images: name the classes if this is so")
            classes = [str(k) for k in range(largest + 1)]
        elif isinstance(classes, str):
            raise TypeError(f"classes must be a sequence of names, got the string {classes!r}")
        return cls(np.ascontiguousarray(pixels), ids, tuple(classes), name)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.image_shape))
        return f"ImageDataset({self.name!r}: {len(self):,} images of {size}, {self.num_classes} classes)"

    @property
    def num_classes(self) -> int:
        """Number of classes, with or without images."""
        return len(self.classes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    @cached_property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of shape, class names, pixels and labels.

        Two sets have the same one if they hold the same images with the same labels in the same order; the
        name does not count. Costs one pass over the pixels, the first time.
        """
        digest = hashlib.sha256(json.dumps([self.images.shape, self.classes]).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        return digest.hexdigest()[:16]

    def subset(self, indices: ArrayLike) -> ImageDataset:
        """Take some of the images, in the order given.

        Parameters
        ----------
        indices : array_like of int of shape (M,), or of bool of shape (N,)
            Positions from 0 to N - 1 (repeats are allowed), or a mask.

        Returns
        -------
        ImageDataset
            A copy of those images, with all the class names.

        Raises
        ------
        TypeError
            `indices` are neither whole numbers nor truth values.
        ValueError
            A position is out of range, the mask has another length, or nothing is chosen.
        """
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or chosen.size == 0:
            raise ValueError(f"indices must be a list of at least one position, got shape {chosen.shape}")
        if chosen.dtype == bool:
            if len(chosen) != len(self):
                raise ValueError(f"a mask needs one value per image: got {len(chosen)} for {len(self)}")
            chosen = np.flatnonzero(chosen)
        elif chosen.dtype.kind not in "iu":
            raise TypeError(f"indices must be whole numbers or a mask, got an array of {chosen.dtype}")
        elif int(chosen.min()) < 0 or int(chosen.max()) >= len(self):
            raise ValueError(
                f"indices must lie in 0..{len(self) - 1}, got values from {chosen.min()} to {chosen.max()}"
            )
        if not len(chosen):
            raise ValueError(f"the mask chooses none of the {len(self)} images")
        return ImageDataset(self.images[chosen], self.labels[chosen], self.classes, self.name)

    def subsample(self, fraction: float, seed: int) -> ImageDataset:
        """Keep a random fraction of every class, in the original order.

        Parameters
        ----------
        fraction : float
            0 < fraction <= 1. A class of n images keeps round(fraction * n), at least one; 1 keeps the set
            as it is.
        seed : int
            Seed of the choice.

        Returns
        -------
        ImageDataset
            The smaller set.

        Raises
        ------
        TypeError
            The fraction is no number, or the seed none that NumPy takes.
        ValueError
            The fraction is outside (0, 1], or the seed negative.
        """
        check_number("subsample: fraction", fraction, above=0, at_most=1)
        if fraction == 1:
            return self
        return self.subset(self._draw_per_class(fraction, seed, at_least=1))

    def split(self, fraction: float, seed: int) -> tuple[ImageDataset, ImageDataset]:
        """Set a random fraction of every class aside for validation.

        Parameters
        ----------
        fraction : float
            0 < fraction < 1: share that goes to validation. A class of n images gives round(fraction * n).
        seed : int
            Seed of the choice.

        Returns
        -------
        rest, validation : tuple of ImageDataset
            Both in the original order; together they are the whole set.

        Raises
        ------
        TypeError
            The fraction is no number, or the seed none that NumPy takes.
        ValueError
            The fraction is outside (0, 1), or leaves one of the two parts empty, or the seed is negative.
        """
        check_number("split: fraction", fraction, above=0, below=1)
        aside = np.zeros(len(self), dtype=bool)
        aside[self._draw_per_class(fraction, seed, at_least=0)] = True
        if not aside.any() or aside.all():
            raise ValueError(
                f"split: a fraction of {fraction} of {len(self)} images in {self.num_classes} classes leaves "
                f"{int((~aside).sum())} for training and {int(aside.sum())} for validation"
            )
        return self.subset(~aside), self.subset(aside)

    def _draw_per_class(self, fraction: float, seed: int, at_least: int) -> NDArray[np.int64]:
        """Return sorted positions: of each class with n images, max(at_least, round(fraction * n))."""
        rng = np.random.default_rng(seed)
        drawn = []
        for k in range(self.num_classes):
            members = np.flatnonzero(self.labels == k)
            count = min(len(members), max(at_least, round(fraction * len(members))))
            drawn.append(rng.permutation(members)[:count])
        return np.sort(np.concatenate(drawn))


def _check_images(images: Any) -> None:
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        got = f"an array of {images.dtype}" if isinstance(images, np.ndarray) else type(images).__name__
        raise TypeError(f"images must be an array of uint8 (0 to 255), got {got}")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"images must have shape (N, H, W, C), none of them 0; got {images.shape}")
    if images.shape[3] > MAX_CHANNELS:
        hint = "; channels come last here: transpose(0, 2, 3, 1)" if images.shape[1] <= MAX_CHANNELS else ""
        raise ValueError(
            f"images of shape {images.shape} have {images.shape[3]} channels, at most {MAX_CHANNELS} are allowed{hint}"
        )


def _check_labels(labels: Any, images: NDArray[np.uint8]) -> None:
    if not isinstance(labels, np.ndarray) or labels.dtype != np.int64:
        got = f"an array of {labels.dtype}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise TypeError(f"labels must be an array of int64, got {got}")
    if labels.shape != (len(images),):
        raise ValueError(f"labels must have shape ({len(images)},), one for each image; got {labels.shape}")


def _check_classes(classes: Any, labels: NDArray[np.int64]) -> None:
    if not isinstance(classes, tuple) or not all(isinstance(name, str) for name in classes):
        raise TypeError(f"classes must be a tuple of strings, got {classes!r}")
    if len(set(classes)) < len(classes) or "" in classes:
        raise ValueError(f"class names must be distinct and not empty, got {classes!r}")
    if int(labels.min()) < 0 or int(labels.max()) >= len(classes):
        raise ValueError(
            f"labels must lie in 0..{len(classes) - 1} for {len(classes)} classes, "
            f"got values from {labels.min()} to {labels.max()}"
        )
