"""The same augmentations by torchvision, image by image, as its users write them."""

from __future__ import annotations

from typing import Any

import torch
from loading import NORMALIZATION, random_levels
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, v2

AUGMENTATIONS: dict[str, list[Any]] = {
    "none": [],
    "flip-crop": [v2.RandomHorizontalFlip(0.5), v2.RandomCrop(32, padding=4)],
    "report": [
        v2.RandomHorizontalFlip(0.25),
        v2.RandomVerticalFlip(0.25),
        v2.RandomRotation(30, interpolation=InterpolationMode.BILINEAR),
        v2.GaussianBlur(3, (0.1, 0.25)),
    ],
}


class Images(Dataset[tuple[torch.Tensor, int]]):
    """8-bit images in memory, each transformed when it is asked for."""

    def __init__(self, count: int, augment: str) -> None:
        images, labels = random_levels(count)
        self._images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        self._labels = labels.tolist()
        normalize = v2.Normalize(NORMALIZATION.mean.tolist(), NORMALIZATION.std.tolist(), inplace=True)
        self._transform = v2.Compose([*AUGMENTATIONS[augment], v2.ToDtype(torch.float32, scale=True), normalize])

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self._transform(self._images[index]), self._labels[index]


def loader(augment: str, batch: int, count: int, workers: int) -> DataLoader[tuple[torch.Tensor, int]]:
    """Return the DataLoader; worker processes stay from epoch to epoch."""
    dataset = Images(count, augment)
    return DataLoader(
        dataset, batch, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0
    )
