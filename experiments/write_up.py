"""Make all tables, figures and pages of the experiments out of their results.

    python experiments/write_up.py           # write them
    python experiments/write_up.py --check   # exit 1 where a file differs from what the results give

Nothing else goes into them, so the same results give the same bytes: figures with the version of matplotlib that they
were drawn with, everything else always.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from drawing import Picture
from findings import Findings
from options import ROOT, Scoped, main
from pages import FIGURES, Chapter, chapter, context, fill
from plan import Plan
from store import NotRun

from fastscratch.report.figures import DPI, render
from fastscratch.training.atomic import write_atomically

TABLES = "tables.md"
KINDS: tuple[Literal["png", "svg"], ...] = ("png", "svg")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Scoped):
    """Make all tables, figures and pages of the experiments out of their results.

    Attributes
    ----------
    readme : str
        The page for those who read the repository.
    page : str
        The page for a browser.
    figures : bool
        Write or compare the figures, too, which takes most of the time.
    check : bool
        Write nothing, and tell which files differ.
    """

    readme: str = str(ROOT / "experiments" / "README.md")
    page: str = str(ROOT / "docs" / "experiments.html")
    figures: bool = True
    check: bool = False


@dataclasses.dataclass(frozen=True)
class File:
    """What a file has to hold: bytes that are made when they are asked for, or nothing where it has to go."""

    path: Path
    make: Callable[[], bytes] | None

    @property
    def is_figure(self) -> bool:
        """Whether it depends on the version of matplotlib."""
        return self.path.parent.name == FIGURES


def run(options: Options) -> int:
    """Write everything, or compare it; return 1 where a file differs."""
    stale = 0
    for file in files(options.plan(), Path(options.results), Path(options.readme), Path(options.page)):
        if file.is_figure and not options.figures:
            continue
        content = None if file.make is None else file.make()
        if content is not None and file.path.exists() and file.path.read_bytes() == content:
            continue
        stale += 1
        if options.check:
            print(f"{file.path} differs from the results; run `make experiments-report`")
        elif content is None:
            file.path.unlink()
        else:
            file.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file.path, content)
    if not options.check:
        print(f"wrote {stale} files that were missing or differed")
    return int(options.check and bool(stale))


def files(plan: Plan, results: Path, readme: Path, page: Path) -> list[File]:
    """Return every file that the results give, and the figures that they no longer give."""
    found, chapters = [], []
    for experiment in plan.experiments:
        findings = Findings(experiment, plan, results)
        folder = results / experiment.name
        sizes: dict[str, tuple[int, int]] = {}
        for picture in experiment.pictures:
            with contextlib.suppress(NotRun):
                width, height = picture.draw(findings).get_size_inches()
                sizes[picture.name] = int(width * DPI), int(height * DPI)
                for kind in KINDS:
                    path = folder / FIGURES / f"{picture.name}.{kind}"
                    found.append(File(path, functools.partial(_drawn, picture, findings, kind)))
        wanted = {file.path for file in found}
        found += [File(path, None) for path in sorted((folder / FIGURES).glob("*")) if path not in wanted]
        chapters.append(chapter(findings, sizes))
        found.append(File(folder / TABLES, functools.partial(tables_of, chapters[-1])))
    filling = context(plan, results, chapters)
    for template, path in (("README.md", readme), ("page.html", page)):
        found.append(File(path, functools.partial(_filled, template, path, filling)))
    return found


def _drawn(picture: Picture, findings: Findings, kind: Literal["png", "svg"]) -> bytes:
    # Drawn anew for each file: the layout of a figure depends on what it was rendered as before.
    return render(picture.draw(findings), kind)


def tables_of(one: Chapter) -> bytes:
    """Return the page of an experiment's tables."""
    parts = [f"# {one.experiment.title}\n", *(f"## {table.title}\n\n{table.markdown()}" for table in one.tables)]
    return "\n".join(parts).encode()


def _filled(template: str, path: Path, filling: dict[str, Any]) -> bytes:
    return fill(template, path, filling).encode()


def drawn_with(svg: bytes) -> str | None:
    """Return the version of matplotlib that drew a figure."""
    found = re.search(rb"Matplotlib v([\w.]+)", svg)
    return found[1].decode() if found else None


if __name__ == "__main__":
    sys.exit(main(Options, run))
