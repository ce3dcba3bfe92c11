"""A batch as the network sees it, without augmentation and with it."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import drawing
import numpy as np
from job import Job
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from runner import loader_of, whole

from fastscratch import run
from fastscratch.data import Normalization

if TYPE_CHECKING:
    from findings import Findings

COLUMNS, GAP = 8, 2
SHOWN = ("none", "report", "flip-crop")


def measure(job: Job) -> dict[str, str]:
    """Return the first batch of the first epoch under each augmentation, as a sheet, which is a PNG file in base64."""
    config = job.config
    train, _ = run.load_data(config, whole(config.data))
    channels = train.images.shape[3]
    levels = Normalization(np.zeros(channels), np.full(channels, 1 / 255))  # gives back the 8-bit levels
    sheets = {}
    for name in SHOWN:
        loader = loader_of(dataclasses.replace(config, augment=name), train, levels)
        with contextlib.closing(loader.epoch(0)) as batches:
            images, _ = next(batches)
        sheets[name] = encoded(laid_out(images.round().astype(np.uint8)))
    return sheets


def laid_out(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images (B, H, W, C) side by side on white, `COLUMNS` in a row; gray ones without the last axis."""
    count, height, width, channels = images.shape
    rows = -(-count // COLUMNS)
    sheet = np.full((rows * (height + GAP) + GAP, COLUMNS * (width + GAP) + GAP, channels), 255, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, COLUMNS)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet if channels > 1 else sheet[:, :, 0]


def encoded(sheet: NDArray[np.uint8]) -> str:
    """Return a sheet as a PNG file in base64."""
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def draw(name: str, title: str) -> Callable[[Findings], Figure]:
    """Return what draws the batch under an augmentation."""

    def drawn(findings: Findings) -> Figure:
        found: dict[str, Any] = findings.first("samples")["found"]
        return drawing.sheet(found[name], title)

    return drawn
