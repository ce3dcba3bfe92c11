"""A contact sheet: what a data set looks like, at one glance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastscratch.data.dataset import ImageDataset


def contact_sheet(
    dataset: ImageDataset, *, rows: int | None = None, cols: int = 12, gap: int = 2, scale: int = 1
) -> NDArray[np.uint8]:
    """Lay out the first images of every class, a row for each class, on white.

    Parameters
    ----------
    dataset : ImageDataset
        Of which the first `cols` images of a class are shown; a class with fewer leaves places empty.
    rows : int, optional
        Number of classes shown, from the first; default: all.
    cols : int, optional
        Number of images in a row.
    gap : int, optional
        White pixels around each image.
    scale : int, optional
        Side of the square that each pixel becomes.

    Returns
    -------
    ndarray of shape (H', W', 3), uint8
        With H' = rows * (H * scale + gap) + gap, and W' likewise. Gray is shown as gray; of 2 or 4 channels, the last
        one (alpha) is left out.

    Raises
    ------
    ValueError
        A number is below 1 (`gap`: below 0).
    """
    rows = dataset.num_classes if rows is None else min(rows, dataset.num_classes)
    if min(rows, cols, scale) < 1 or gap < 0:
        raise ValueError(
            f"contact_sheet: rows, cols and scale must be at least 1 and gap at least 0, "
            f"got rows {rows}, cols {cols}, scale {scale}, gap {gap}"
        )
    height, width, channels = dataset.image_shape
    color = channels if channels % 2 else channels - 1
    cell_height, cell_width = height * scale + gap, width * scale + gap
    sheet = np.full((rows * cell_height + gap, cols * cell_width + gap, 3), 255, np.uint8)
    for row in range(rows):
        members = np.flatnonzero(dataset.labels == row)[:cols]
        for col, image in enumerate(dataset.images[members, :, :, :color]):
            top, left = row * cell_height + gap, col * cell_width + gap
            large = image.repeat(scale, axis=0).repeat(scale, axis=1)
            sheet[top : top + height * scale, left : left + width * scale] = large
    return sheet
