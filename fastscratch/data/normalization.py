"""Scaling of 8-bit images to numbers that a network trains well on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

import fastscratch_kernels as kernels
from fastscratch.data.image_ops import check_images
from fastscratch.nn.checks import check_float_dtype

__all__ = ["Normalization"]

# Images counted at a time: the counting needs eight bytes a pixel, this many images of 32 x 32 need a few MiB.
_CHUNK = 256


class Normalization:
    """Map levels 0..255 to ``(level / 255 - mean) / std``, per channel.

    Parameters
    ----------
    mean, std : array_like of shape (C,)
        Mean and standard deviation of ``level / 255``; finite, and `std` > 0.

    Attributes
    ----------
    mean, std : ndarray of shape (C,), float64, read-only
        The parameters.

    Raises
    ------
    ValueError
        If the shapes differ, are not (C,) with C >= 1, or a value is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    >>> normalization = Normalization.from_images(images)
    >>> normalization
    Normalization(mean=[0.5], std=[0.5])
    >>> normalization.apply(images).ravel().tolist()
    [-1.0, 1.0]
    """

    def __init__(self, mean: ArrayLike, std: ArrayLike) -> None:
        self.mean = _read_only("mean", mean)
        self.std = _read_only("std", std)
        if self.mean.shape != self.std.shape:
            raise ValueError(f"mean {self.mean.shape} and std {self.std.shape} must have one value for each channel")
        if not np.all(self.std > 0):
            raise ValueError(f"std must be > 0, got {self.std.tolist()}")
        self._tables: dict[np.dtype[Any], NDArray[Any]] = {}  # what each level becomes, by dtype

    @classmethod
    def from_images(cls, images: NDArray[np.uint8]) -> Normalization:
        """Measure the mean and the standard deviation of each channel.

        Parameters
        ----------
        images : ndarray of shape (N, H, W, C), uint8
            At least one image. No float copy of them is made.

        Returns
        -------
        Normalization
            With the population's standard deviation (divided by N H W, not one less). A channel of one single level
            gets the standard deviation 1, so that it becomes 0 everywhere.

        Raises
        ------
        TypeError
            If the images are not uint8.
        ValueError
            If there is none, or the shape is another.

        Notes
        -----
        How often each level occurs is counted exactly, and the moments are sums over the 256 levels in float64; the
        order of the images does not matter.
        """
        _check_levels(images)
        if not len(images):
            raise ValueError("the mean of no images is not defined: got an empty batch")
        channels = images.shape[3]
        counts = np.zeros((channels, 256), np.int64)
        for start in range(0, len(images), _CHUNK):
            chunk = images[start : start + _CHUNK]
            for channel in range(channels):
                counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
        share = counts / (images.size // channels)  # (C, 256)
        levels = np.arange(256) / 255
        mean = share @ levels
        std = np.sqrt((share * (levels - mean[:, None]) ** 2).sum(axis=1))
        return cls(mean, np.where((counts > 0).sum(axis=1) == 1, 1.0, std))

    def apply(self, images: NDArray[np.uint8], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Normalize a batch.

        Parameters
        ----------
        images : ndarray of shape (B, H, W, C), uint8
            The batch, with as many channels as `mean`.
        dtype : {numpy.float32, numpy.float64}
            What to compute in and return.

        Returns
        -------
        ndarray of shape (B, H, W, C), `dtype`, C-contiguous
            ``images * (1 / (255 std)) - mean / std``, worked out once for each of the 256 levels and looked up from
            then on. A new array.

        Raises
        ------
        TypeError
            If the images are not uint8 or `dtype` is not allowed.
        ValueError
            If the shape does not fit.
        """
        _check_levels(images)
        dtype = check_float_dtype(dtype)
        channels = images.shape[3]
        if channels != len(self.mean):
            raise ValueError(f"images of {channels} channels do not fit a normalization of {len(self.mean)} channels")
        if dtype not in self._tables:
            self._tables[dtype] = self._table(dtype)
        return kernels.look_up_levels(images, self._tables[dtype])

    def _table(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return what each level of each channel becomes, (256, C), computed in `dtype`."""
        table = np.repeat(np.arange(256, dtype=dtype)[:, None], len(self.mean), axis=1)
        table *= (1 / (255 * self.std)).astype(dtype)
        table += (-self.mean / self.std).astype(dtype)
        return table

    def state(self) -> dict[str, list[float]]:
        """Return ``{"mean": [...], "std": [...]}``, which JSON keeps to the last bit."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_state(cls, state: dict[str, list[float]]) -> Normalization:
        """Make the normalization of a `state`.

        Parameters
        ----------
        state : dict
            What `state` returned.

        Returns
        -------
        Normalization
            Equal to the one that gave the state.

        Raises
        ------
        ValueError
            If a key is missing or one is unknown, or a value not allowed.
        """
        if set(state) != {"mean", "std"}:
            raise ValueError(f"the state of a normalization has the keys mean and std, got {sorted(state)}")
        return cls(state["mean"], state["std"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Normalization):
            return NotImplemented
        return self.state() == other.state()

    def __hash__(self) -> int:
        return hash((self.mean.tobytes(), self.std.tobytes()))

    def __repr__(self) -> str:
        return f"Normalization(mean={self.mean.tolist()}, std={self.std.tolist()})"


def _check_levels(images: NDArray[np.uint8]) -> None:
    """Raise unless `images` is a batch (B, H, W, C) of uint8."""
    check_images(images)
    if images.dtype != np.uint8:
        raise TypeError(f"images must be uint8 with levels 0 to 255, got {images.dtype}")


def _read_only(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return a read-only copy of `values` as float64; raise ValueError unless it is finite and of shape (C,)."""
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name} must have shape (C,) with one value for each channel, got {array.shape}")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be finite, got {array.tolist()}")
    array.flags.writeable = False
    return array
