"""``fastscratch data``: which data sets are here, and what they look like."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastscratch.cli.parsing import parse

if TYPE_CHECKING:
    from fastscratch.data import ImageDataset

SHEET_SIDE = 64
"""Smaller images are enlarged to about so many pixels on a contact sheet."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """List the data sets: whether they are here, where, how many images they hold, and their fingerprints.

    Attributes
    ----------
    name : str or None
        Look at this data set only (it is made or downloaded if need be): auto, cifar10, fashion-mnist, shapes10, or a
        folder of pictures.
    contact_sheet : str or None
        PNG file to write with some training images of every class of the data set that --name tells.
    """

    name: str | None = None
    contact_sheet: str | None = None


def run(argv: Sequence[str], prog: str) -> int:
    """Print the list or one data set; write the contact sheet."""
    options = parse(Options, argv, prog=prog)
    if options.contact_sheet is not None and options.name is None:
        raise ValueError("--contact-sheet needs --name, the data set to show")
    sheet = None if options.contact_sheet is None else _checked_sheet(options.contact_sheet)

    from fastscratch import data

    if options.name is None:
        infos = data.describe()
        _print_table([part for info in infos for part in (info.train, info.test) if part is not None])
        for info in infos:
            print(f"{info.name}: {info.note or info.place}")
        print(f"data sets are looked for and kept in {data.root()}")
        return 0
    train, test = data.load(options.name)
    _print_table([train, test])
    print(f"{train.num_classes} classes: {', '.join(train.classes)}")
    if sheet is not None:
        _write_sheet(train, sheet)
    return 0


def _checked_sheet(name: str) -> Path:
    """Return the file of a contact sheet; raise before images are loaded if it cannot be written."""
    path = Path(os.path.expanduser(name))
    if path.suffix.lower() != ".png":
        raise ValueError(f"--contact-sheet must name a .png file, got {name!r}")
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    if not path.parent.is_dir():
        raise NotADirectoryError(f"cannot write {path}: {path.parent} is not a folder")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write {path}: no permission to make files in {path.parent}")
    return path


def _print_table(parts: list[ImageDataset]) -> None:
    """Print a row for each part; training and test parts take turns."""
    from fastscratch.cli.tables import show

    rows = [
        (
            part.name if kind == "train" else "",
            kind,
            f"{len(part):,}",
            " x ".join(map(str, part.image_shape)),
            str(part.num_classes),
            part.fingerprint,
        )
        for kind, part in zip(itertools.cycle(("train", "test")), parts, strict=False)
    ]
    if rows:
        show(("data set", "part", "images", "size", "classes", "fingerprint"), rows, text_columns=2)
        print()


def _write_sheet(images: ImageDataset, path: Path) -> None:
    import io

    from PIL import Image

    from fastscratch.data import contact_sheet
    from fastscratch.training.atomic import write_atomically

    scale = max(1, round(SHEET_SIDE / max(images.image_shape[:2])))
    file = io.BytesIO()
    Image.fromarray(contact_sheet(images, scale=scale)).save(file, format="PNG")
    write_atomically(path, file.getvalue())
    print(f"{path}: a row for each class, from the top: {', '.join(images.classes)}")
