"""What the pages say: the report's claims and what became of them, then each experiment with tables and pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import provenance
from claims import FAILS, HOLDS, NOT_RUN, OPEN, Claim, Verdict
from design import Experiment
from findings import Findings
from plan import Plan
from store import NotRun
from tabular import Table

TEMPLATES = Path(__file__).resolve().parent / "templates"
FIGURES = "figures"
SIGNS = {HOLDS: "✓", FAILS: "✗", OPEN: "?", NOT_RUN: "…"}
"""Verdict -> a sign that needs no colour."""


@dataclass(frozen=True)
class Line:
    """A claim with its verdict, and where its picture is."""

    claim: Claim
    verdict: Verdict
    picture: Path | None

    @property
    def sign(self) -> str:
        """A sign for the verdict."""
        return SIGNS[self.verdict.word]

    @property
    def evidence(self) -> str:
        """Numbers and remark, as sentences."""
        numbers = self.verdict.evidence
        return f"{numbers[0].upper()}{numbers[1:]}. {self.claim.remark}".rstrip()


@dataclass(frozen=True)
class Shown:
    """A picture's files, its width and height in dots, and what is to be seen on it."""

    caption: str
    png: Path
    svg: Path
    size: tuple[int, int]


@dataclass(frozen=True)
class Chapter:
    """An experiment as pages show it.

    Attributes
    ----------
    experiment : Experiment
    lines : list of Line
        Its claims.
    tables : list of Table
    pictures : list of Shown
        Those that can be drawn.
    missing : list of str
        Runs that have not been made.
    shared : list of str
        Settings whose run belongs to another experiment, and which.
    """

    experiment: Experiment
    lines: list[Line]
    tables: list[Table]
    pictures: list[Shown]
    missing: list[str]
    shared: list[str]


def judge(claim: Claim, findings: Findings) -> Verdict:
    """Return the verdict on a claim; `NOT_RUN`, with the reason, where there is nothing to judge it by."""
    try:
        return claim.check(findings)
    except NotRun as missing:
        return Verdict(NOT_RUN, str(missing))


def chapter(findings: Findings, drawn: Mapping[str, tuple[int, int]]) -> Chapter:
    """Return what pages show of an experiment; `drawn` has the pictures that there are, and their sizes in dots."""
    experiment, plan = findings.experiment, findings.plan
    folder = findings.folder / experiment.name / FIGURES
    lines = []
    for claim in experiment.claims:
        picture = folder / f"{claim.picture}.png" if claim.picture in drawn else None
        lines.append(Line(claim, judge(claim, findings), picture))
    pictures = [
        Shown(one.caption, folder / f"{one.name}.png", folder / f"{one.name}.svg", drawn[one.name])
        for one in experiment.pictures
        if one.name in drawn
    ]
    jobs = list(plan.jobs_of(experiment))
    missing = [job.name for job in jobs if not (findings.folder / f"{job.name}.json").exists()]
    shared = []
    for setting in experiment.settings:
        owner = plan.find(experiment, setting, "fastscratch", 0)
        if owner.experiment != experiment.name:
            shared.append(f"{setting.label} is {owner.experiment}/{owner.setting}")
    return Chapter(experiment, lines, [make(findings) for make in experiment.tables], pictures, missing, shared)


def context(plan: Plan, results: Path, chapters: Sequence[Chapter]) -> dict[str, Any]:
    """Return what the templates are filled with."""
    runs = [
        result
        for chapter in chapters
        for result in Findings(chapter.experiment, plan, results).all()
        if "final" in result
    ]
    return {
        "chapters": chapters,
        "data": provenance.describe(runs),
        "machines": provenance.machines(runs),
        "missing": len({name for one in chapters for name in one.missing}),
    }


def fill(template: str, page: Path, filling: dict[str, Any]) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        Name of a file in `TEMPLATES`; what it shows is escaped if it is HTML.
    page : Path
        Where the page will be; links to pictures start there.
    filling : dict
        As `context` returns it.

    Raises
    ------
    ModuleNotFoundError
        If jinja2 is not installed.
    """
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("pages are filled by jinja2: pip install 'fastscratch[experiments]'") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["link"] = lambda target: Path(os.path.relpath(target, page.parent)).as_posix()
    return environment.get_template(template).render(filling)
