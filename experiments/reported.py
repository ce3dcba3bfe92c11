"""The report's own numbers: accuracies of each class in percent, and training times in seconds."""

from __future__ import annotations

import statistics

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# (experiment, setting) -> accuracy of each class, in the order of CLASSES: on training images, on validation images.
_ACCURACY: dict[tuple[str, str], tuple[tuple[float, ...], tuple[float, ...]]] = {
    ("subsampled", "tenth"): (
        (87.18, 89.41, 60.79, 51.95, 83.04, 90.75, 77.30, 53.16, 83.44, 78.86),
        (67.82, 60.00, 40.74, 27.10, 50.53, 62.11, 52.00, 31.37, 60.78, 49.04),
    ),
    ("learning_rate", "1e-3"): (
        (82.14, 87.92, 71.26, 74.60, 75.06, 69.04, 81.90, 84.82, 94.16, 89.22),
        (72.60, 80.70, 55.40, 62.70, 60.40, 60.10, 76.80, 74.50, 86.30, 82.20),
    ),
    ("learning_rate", "1e-6"): (
        (43.58, 31.26, 0.64, 8.08, 2.02, 21.94, 56.70, 44.36, 40.56, 41.30),
        (43.10, 31.60, 0.30, 7.30, 2.10, 22.00, 58.30, 43.50, 40.60, 42.90),
    ),
    ("learning_rate", "5e-3"): (
        (70.78, 75.98, 32.82, 51.80, 49.50, 35.96, 68.86, 62.50, 84.26, 70.94),
        (68.00, 70.50, 28.60, 47.70, 45.80, 34.10, 68.40, 57.40, 81.40, 68.20),
    ),
    ("schedulers", "fixed-1e-5"): (
        (46.24, 61.20, 38.50, 22.42, 24.98, 47.56, 60.80, 50.08, 57.76, 47.88),
        (46.70, 59.90, 36.00, 20.80, 23.30, 46.90, 62.90, 53.50, 57.50, 47.00),
    ),
    ("schedulers", "step"): (
        (68.44, 84.20, 48.94, 41.44, 51.42, 53.06, 76.28, 66.72, 81.84, 74.98),
        (63.50, 79.40, 42.80, 39.40, 43.70, 51.10, 72.70, 65.00, 76.30, 70.70),
    ),
}

SECONDS = {4: 703, 8: 642, 16: 876, 32: 1202}
"""Batch size -> seconds of ten epochs."""


def class_accuracy(experiment: str, setting: str) -> dict[str, tuple[float, float]] | None:
    """Return the report's accuracies of each class, in percent, on training and validation images; None without any."""
    table = _ACCURACY.get((experiment, setting))
    return None if table is None else dict(zip(CLASSES, zip(*table, strict=True), strict=True))


def accuracy(experiment: str, setting: str) -> tuple[float, float] | None:
    """Return the means over the classes, the report's only numbers; None without a table.

    Of all images each class has as many; of a tenth of them not quite, so that the report's own total may lie some
    tenths of a point away.
    """
    table = _ACCURACY.get((experiment, setting))
    return None if table is None else (statistics.fmean(table[0]), statistics.fmean(table[1]))
