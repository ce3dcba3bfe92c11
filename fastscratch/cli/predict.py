"""``fastscratch predict RUN IMAGE...``: what a trained network sees in picture files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from tyro.conf import Positional

from fastscratch.cli.parsing import parse


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Tell what the network of a run sees in picture files of any size and format that Pillow reads.

    Attributes
    ----------
    run : str
        Folder of the run, or one of its checkpoint files.
    images : tuple of str
        Picture files; the middle square of each is scaled to the size of the run's images.
    top : int
        So many of the likeliest classes are told.
    """

    run: Positional[str]
    images: Positional[tuple[str, ...]]
    top: int = 5


def run(argv: Sequence[str], prog: str) -> int:
    """Print the likeliest classes of every image and their probabilities."""
    options = parse(Options, argv, prog=prog)
    if not options.images:
        raise ValueError("name at least one image after the run")
    if options.top < 1:
        raise ValueError(f"top must be at least 1, got {options.top}")

    import numpy as np

    from fastscratch.cli.tables import percent, show
    from fastscratch.pictures import read_picture
    from fastscratch.trained import load

    trained = load(options.run)
    pictures = [read_picture(os.path.expanduser(path), trained.image_shape) for path in options.images]
    images = np.stack(pictures)  # (N, H, W, C)
    for path, probabilities in zip(options.images, trained.predict(images), strict=True):
        best = np.argsort(-probabilities, kind="stable")[: options.top]
        print(f"{path}:")  # not as the table's title, which would be broken to its width
        show(("class", "probability"), [(trained.classes[k], percent(probabilities[k])) for k in best])
        print()
    return 0
