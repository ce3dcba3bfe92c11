"""Batches by index in PyTorch, all images of one at once: as one writes them who does without torchvision."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from loading import NORMALIZATION, random_levels

REACH = 4
"""Pixels that images are shifted by at most."""


def affine(mean: torch.Tensor, std: torch.Tensor, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what makes normalized numbers of 8-bit levels in two passes; `mean` and `std` are of levels / 255."""
    scale, shift = (1 / (255 * std)).to(dtype), (-mean / std).to(dtype)
    return lambda levels: levels.to(dtype).mul_(scale).add_(shift)


def shifted(images: torch.Tensor, tops: torch.Tensor, lefts: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
    """Return images (N, C, H, W), padded with zeros, cut out at other places and mirrored, by one gather."""
    n, channels, h, w = images.shape
    padded = torch.nn.functional.pad(images, [REACH] * 4)
    rows = tops[:, None] + REACH + torch.arange(h)  # (N, H)
    at = torch.arange(w)
    columns = lefts[:, None] + REACH + torch.where(mirrored[:, None] != 0, w - 1 - at, at)  # (N, W)
    places = rows[:, :, None] * padded.shape[3] + columns[:, None, :]  # (N, H, W), in a padded channel
    # One index for each place, the same for all channels: padded[n, c, row, column] takes several times as long.
    chosen = padded.reshape(n, channels, -1).gather(2, places.reshape(n, 1, -1).expand(-1, channels, -1))
    return chosen.reshape(n, channels, h, w)


class IndexedBatches:
    """Epochs of shuffled batches of 8-bit images in memory, normalized, and with "flip-crop" mirrored and shifted."""

    def __init__(self, augment: str, batch: int, count: int) -> None:
        images, labels = random_levels(count)
        self._images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        self._labels = torch.from_numpy(labels)
        self._batch, self._is_augmented = batch, augment == "flip-crop"
        mean, std = (torch.tensor(values)[:, None, None] for values in (NORMALIZATION.mean, NORMALIZATION.std))
        self._normalized = affine(mean, std, torch.float32)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = torch.randperm(len(self._images))
        for start in range(0, len(order) - self._batch + 1, self._batch):
            chosen = order[start : start + self._batch]
            images = self._images[chosen]
            if self._is_augmented:
                tops, lefts = torch.randint(-REACH, REACH + 1, (2, self._batch))
                images = shifted(images, tops, lefts, torch.randint(0, 2, (self._batch,)))
            yield self._normalized(images), self._labels[chosen]
