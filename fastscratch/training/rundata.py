"""Which data a run has: enough to know it again, and to use the network without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastscratch.data.dataset import ImageDataset


@dataclass(frozen=True)
class Identity:
    """What a data set is known by.

    Attributes
    ----------
    name : str
    images : int
        How many.
    fingerprint : str
        Of `ImageDataset`; it alone decides whether two sets are the same.
    """

    name: str
    images: int
    fingerprint: str

    @classmethod
    def of(cls, dataset: ImageDataset) -> Identity:
        """Return the identity of a data set."""
        return cls(dataset.name, len(dataset), dataset.fingerprint)

    def __str__(self) -> str:
        return f"{self.name} ({self.images} images, fingerprint {self.fingerprint})"


@dataclass(frozen=True)
class RunData:
    """The data of a run.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes.
    image_shape : tuple of int
        (H, W, C) of an image.
    train : Identity
    valid : Identity or None
    """

    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    train: Identity
    valid: Identity | None

    @classmethod
    def of(cls, train: ImageDataset, valid: ImageDataset | None) -> RunData:
        """Describe two data sets."""
        return cls(train.classes, train.image_shape, Identity.of(train), None if valid is None else Identity.of(valid))

    def state(self) -> dict[str, Any]:
        """Return the description as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> RunData:
        """Take back what `state` returned.

        Raises
        ------
        ValueError
            If it is not such a description.
        """
        try:
            valid = state["valid"]
            data = cls(
                tuple(str(name) for name in state["classes"]),
                tuple(int(size) for size in state["image_shape"]),  # type: ignore[arg-type]  # its length follows
                Identity(**state["train"]),
                None if valid is None else Identity(**valid),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no description of its data ({error})") from error
        if len(data.image_shape) != 3 or min(data.image_shape) < 1:
            raise ValueError(f"no description of its data (an image shape of {data.image_shape})")
        return data

    def differences(self, current: RunData, whose: str) -> list[str]:
        """Return in words which of the two sets are others in `current`; `whose` are these."""
        pairs = {"training data": (self.train, current.train), "validation data": (self.valid, current.valid)}
        return [
            f"{name}: {whose} has {before or 'none'}, this run has {now or 'none'}"
            for name, (before, now) in pairs.items()
            if (before and before.fingerprint) != (now and now.fingerprint)
        ]
