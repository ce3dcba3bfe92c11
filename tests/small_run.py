"""A data set of small pictures and a finished run on it, for tests of the command line."""

import contextlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from fastscratch.cli import main

CLASSES = ("blue", "green", "red")
SIDE = 24
TRAIN, TEST = 12, 4  # pictures of each class


def make_pictures(folder, *, side=SIDE):
    """Draw a folder of pictures, each of noise around its class's colour, that a network learns in a few steps."""
    rng = np.random.default_rng(0)
    for part, count in (("train", TRAIN), ("test", TEST)):
        for channel, name in enumerate(reversed(CLASSES)):
            place = Path(folder) / part / name
            place.mkdir(parents=True)
            for number in range(count):
                levels = rng.integers(0, 120, (side, side, 3), dtype=np.uint8)
                levels[..., channel] += 130
                Image.fromarray(levels).save(place / f"{number}.png")
    return Path(folder)


def words_of_train(pictures, out):
    """Return the command that trains one epoch on the pictures."""
    return [
        *("train", "--data", str(pictures), "--epochs", "1", "--batch-size", "8", "--lr", "1e-3"),
        *("--threads", "1", "--out", str(out)),
    ]


def call(*words):
    """Run the command line in this process; return its exit code and what it wrote to its two streams."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()
