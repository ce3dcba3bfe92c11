"""Batches of a data set: shuffled, augmented, normalized, and prepared while the previous one is used."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastscratch.data.augment import Compose, check_transform
from fastscratch.data.dataset import ImageDataset
from fastscratch.data.normalization import Normalization
from fastscratch.data.prefetch import Prefetcher
from fastscratch.nn.checks import check_float_dtype, check_size

if TYPE_CHECKING:
    from fastscratch.data.augment import Transform

__all__ = ["BatchIterator", "Loader"]

Batch: TypeAlias = tuple[NDArray[Any], NDArray[np.int64]]

# Second entry of a seed, after the loader's: what is drawn from it.
_ORDER, _AUGMENT = 0, 1


class BatchIterator(Protocol):
    """What `Loader.epoch` returns: an iterator of batches that can be closed before its end."""

    def __iter__(self) -> Iterator[Batch]:
        """Return the iterator itself."""
        ...

    def __next__(self) -> Batch:
        """Return the next batch."""
        ...

    def close(self) -> None:
        """End the iteration; the background thread, if there is one, stops."""
        ...


class Loader:
    """Serve a data set epoch by epoch in batches that a network can take.

    Every random choice depends on nothing but the seed, the number of the epoch and the number of the batch. So a run
    that is resumed in the middle of an epoch sees the batches of an undisturbed one without any saved state, two
    loaders with the same arguments serve the same, and the order of the images does not depend on the augmentation.

    Parameters
    ----------
    dataset : ImageDataset
        Its arrays are read and never changed.
    batch_size : int
        Images a batch, >= 1. The last batch of an epoch has the rest, which is the whole data set where that is
        smaller than a batch.
    seed : int
        Seed of the order and of the augmentation, >= 0.
    shuffle : bool
        Serve each epoch in an order of its own; otherwise always in the order of the data set.
    augment : Transform, optional
        Random transform of each uint8 batch, such as ``augment.AUGMENTATIONS["report"]()``; must return uint8.
    normalization : Normalization, optional
        How levels become numbers. Without one, ``level / 255``.
    dtype : {numpy.float32, numpy.float64}
        Of the images served.
    prefetch : bool, optional
        Prepare up to two batches in advance in a background thread. The batches are the same without. None does so
        where `augment` changes anything: handing a batch over costs more time than gathering and normalizing it.
    drop_last : bool
        Leave out the last batch where it is smaller than `batch_size`.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If no batch would remain, the normalization is for another number of channels, or a
        number is out of range.

    Notes
    -----
    The order of an epoch comes from ``default_rng([seed, 0, epoch])``, the augmentation of a batch from
    ``default_rng([seed, 1, epoch, batch])``. NumPy takes ``[seed, 0, 0]`` for `seed`, so that weights drawn from the
    same seed and the order of the first epoch come from one stream. For evaluation pass ``shuffle=False`` and no
    `augment`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastscratch.data.dataset import ImageDataset
    >>> dataset = ImageDataset.from_arrays(np.zeros((5, 8, 8, 3), np.uint8), [0, 1, 2, 1, 0])
    >>> loader = Loader(dataset, batch_size=2)
    >>> [images.shape for images, labels in loader.epoch(0)]
    [(2, 8, 8, 3), (2, 8, 8, 3), (1, 8, 8, 3)]
    """

    def __init__(
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        augment: Transform | None = None,
        normalization: Normalization | None = None,
        dtype: DTypeLike = np.float32,
        prefetch: bool | None = None,
        drop_last: bool = False,
    ) -> None:
        check_size("batch_size", batch_size)
        check_size("seed", seed, at_least=0)
        if not isinstance(dataset, ImageDataset):
            raise TypeError(f"dataset must be an ImageDataset, got {type(dataset).__name__}")
        if normalization is not None and not isinstance(normalization, Normalization):
            raise TypeError(f"normalization must be a Normalization, got {normalization!r}")
        if drop_last and batch_size > len(dataset):
            raise ValueError(f"no batch remains: batch_size {batch_size}, {len(dataset)} images, drop_last=True")
        if augment is not None:
            check_transform("augment", augment)
        channels = dataset.images.shape[3]
        if normalization is None:
            normalization = Normalization(np.zeros(channels), np.ones(channels))
        elif len(normalization.mean) != channels:
            raise ValueError(
                f"the data set has {channels} channels, the normalization is for {len(normalization.mean)}"
            )
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.seed = int(seed)
        self.shuffle = shuffle
        self.augment = augment
        self.normalization = normalization
        self.dtype = check_float_dtype(dtype)
        changes_nothing = augment is None or (isinstance(augment, Compose) and not augment.transforms)
        self.prefetch = not changes_nothing if prefetch is None else prefetch
        self.drop_last = drop_last

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def epoch(self, epoch: int, start_batch: int = 0) -> BatchIterator:
        """Serve one epoch, or its rest.

        Parameters
        ----------
        epoch : int
            Number of the epoch, >= 0; it alone decides, with the seed, what is served.
        start_batch : int
            Number of the first batch to serve, from 0 to ``len(self)`` (nothing is left then).

        Returns
        -------
        BatchIterator
            Of ``(images, labels)``: arrays of shape (B, H, W, C), `dtype`, C-contiguous, and (B,), int64. Both are
            new in each batch, so they can be kept and changed. An exception in the preparation of a batch is raised
            by ``next`` with its traceback. A loop that may leave early should close the iterator
            (``with contextlib.closing(loader.epoch(0)) as batches``); one that is dropped closes itself.

        Raises
        ------
        TypeError, ValueError
            If a number is not an integer or out of range.
        """
        check_size("epoch", epoch, at_least=0)
        check_size("start_batch", start_batch, at_least=0)
        if start_batch > len(self):
            raise ValueError(f"start_batch must be at most {len(self)}, the batches of an epoch, got {start_batch}")
        batches = self._batches(int(epoch), int(start_batch))
        return Prefetcher(batches) if self.prefetch else batches

    def _batches(self, epoch: int, start_batch: int) -> Generator[Batch, None, None]:
        """Prepare the batches of an epoch one by one; holds no state but the order."""
        count = len(self.dataset)
        order = np.arange(count)
        if self.shuffle:
            order = np.random.default_rng([self.seed, _ORDER, epoch]).permutation(count)
        for batch in range(start_batch, len(self)):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            # No index is out of range; mode="clip" spares NumPy the check, which takes as long as the copy.
            images = np.take(self.dataset.images, chosen, axis=0, mode="clip")
            if self.augment is not None:
                images = self.augment(images, np.random.default_rng([self.seed, _AUGMENT, epoch, batch]))
                if np.shape(images)[:1] != chosen.shape:
                    got = getattr(images, "shape", images)
                    raise ValueError(f"augment must return as many images as it got, {len(chosen)}: got {got!r}")
            yield self.normalization.apply(images, self.dtype), self.dataset.labels[chosen]
