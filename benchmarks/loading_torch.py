"""The same augmentations by torchvision, image by image, as its users write them."""

from __future__ import annotations

from typing import Any

import torch
from loading import NORMALIZATION, random_levels
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler
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


class Images(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """8-bit images in memory, transformed when they are asked for: one by one, or where nothing is random a batch."""

    def __init__(self, count: int, augment: str) -> None:
        images, labels = random_levels(count)
        self._images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        self._labels = torch.from_numpy(labels)
        normalize = v2.Normalize(NORMALIZATION.mean.tolist(), NORMALIZATION.std.tolist(), inplace=True)
        self._transform = v2.Compose([*AUGMENTATIONS[augment], v2.ToDtype(torch.float32, scale=True), normalize])

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int | list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return self._transform(self._images[index]), self._labels[index]


def loader(augment: str, batch: int, count: int, workers: int) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    """Return the DataLoader; worker processes stay from epoch to epoch."""
    dataset = Images(count, augment)
    how: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
    if augment != "none":  # torchvision draws once a call, so that each image has to be one
        return DataLoader(dataset, batch, shuffle=True, drop_last=True, **how)
    return DataLoader(dataset, None, sampler=BatchSampler(RandomSampler(dataset), batch, drop_last=True), **how)
