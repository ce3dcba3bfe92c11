"""``fastscratch evaluate RUN``: measure a trained network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tyro.conf import Positional

from fastscratch.cli.parsing import parse
from fastscratch.config import TrainConfig

PARTS = ("train", "valid")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the network of a run: loss, accuracy, accuracy of each class.

    Attributes
    ----------
    run : str
        Folder of the run, or one of its checkpoint files.
    data : str or None
        Data set whose test images are used; none takes the images that the run validated on.
    part : str
        valid, or train for the images that the run trained on.
    backend : str
        Kernels: auto, cython, numba or numpy.
    threads : int or None
        Threads for all kernels; none takes every core this process may use.
    """

    run: Positional[str]
    data: str | None = None
    part: str = "valid"
    backend: str = "auto"
    threads: int | None = None


def run(argv: Sequence[str], prog: str) -> int:
    """Print loss, accuracy and the table of classes."""
    options = parse(Options, argv, prog=prog)
    if options.part not in PARTS:
        raise ValueError(f"unknown part {options.part!r}; known: {', '.join(PARTS)}")
    if options.data is not None and options.part == "train":
        raise ValueError("--part train means the run's own training images; leave out --data")
    TrainConfig(data=options.data or "auto", backend=options.backend, threads=options.threads).validate()

    from fastscratch import run as runs
    from fastscratch.cli.tables import percent, show
    from fastscratch.trained import load
    from fastscratch.training.rundata import RunData

    trained = load(options.run)
    config = dataclasses.replace(trained.config, backend=options.backend, threads=options.threads)
    if options.data is not None:
        config = dataclasses.replace(config, data=options.data, subsample=1.0, validation=0.0)
    runs.use_kernels(config)
    train, valid = runs.load_data(config)
    images = train if options.part == "train" else valid
    if options.data is None and (faults := trained.data.differences(RunData.of(train, valid), "the run")):
        raise ValueError(f"the images are not those of {options.run}: {'; '.join(faults)}; name others by --data")
    result = trained.evaluate(images)
    print(f"{images.name}: {len(images):,} images (fingerprint {images.fingerprint})")
    print(f"loss {result.loss:.4f}, accuracy {percent(result.accuracy)}\n")
    counts = result.confusion.sum(axis=1)
    rows = zip(images.classes, counts, map(percent, result.class_accuracy), strict=True)
    show(("class", "images", "accuracy"), rows)
    return 0
