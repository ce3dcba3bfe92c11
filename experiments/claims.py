"""Claims and how they are tested: a sign that has to be more than the luck of the seeds, or a fact of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from measures import Measure
from significance import Difference, p_text, paired

if TYPE_CHECKING:
    from findings import Findings

HOLDS, FAILS, OPEN, NOT_RUN = "holds", "does not hold", "not settled", "not run yet"
WORDS = (HOLDS, FAILS, OPEN, NOT_RUN)


@dataclass(frozen=True)
class Verdict:
    """What came of a test.

    Attributes
    ----------
    word : str
        One of `WORDS`.
    evidence : str
        The numbers, in one or a few sentences.
    """

    word: str
    evidence: str


Check = Callable[["Findings"], Verdict]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement that runs can support or contradict.

    Attributes
    ----------
    name : str
        By which pages refer to it; unique among all experiments.
    says : str
        The statement, in this project's words.
    check : callable
        From findings to a verdict; raises `store.NotRun` where there is nothing to judge by.
    picture : str
        The picture of the experiment that shows it; "" for none.
    remark : str
        What the reader should know beside the numbers.
    from_report : bool
        Whether the report says so; else it is a question of this study.
    is_rewritten : bool
        Whether the statement, its check or the number of its seeds was decided or changed after runs that it is about
        had been looked at.
    """

    name: str
    says: str
    check: Check
    picture: str = ""
    remark: str = ""
    from_report: bool = True
    is_rewritten: bool = False


def larger(measure: Measure, more: str, less: str) -> Check:
    """Return a check that a measure is larger in one setting than in another, seed by seed."""

    def check(findings: Findings) -> Verdict:
        values = [
            {seed: measure.of(result) for seed, result in findings.of(setting).items()} for setting in (more, less)
        ]
        difference = paired(*values)
        texts = [measure.text(list(one.values())) for one in values]
        names = [findings.experiment.setting(setting).label for setting in (more, less)]
        return Verdict(
            _word(difference),
            f"{measure.label}: {names[0]} {texts[0]}, {names[1]} {texts[1]}; "
            f"{measure.difference_text(difference.mean, difference.sd)} ({_certainty(difference)})",
        )

    return check


def above(measure: Measure, setting: str, limit: float = 0.0) -> Check:
    """Return a check that a measure lies above a limit in a setting."""
    return _beside_limit(measure, setting, limit, {1: HOLDS, -1: FAILS})


def below(measure: Measure, setting: str, limit: float = 0.0) -> Check:
    """Return a check that a measure lies below a limit in a setting."""
    return _beside_limit(measure, setting, limit, {1: FAILS, -1: HOLDS})


def _beside_limit(measure: Measure, setting: str, limit: float, words: Mapping[int, str]) -> Check:
    def check(findings: Findings) -> Verdict:
        values = {seed: measure.of(result) for seed, result in findings.of(setting).items()}
        difference = paired(values, dict.fromkeys(values, limit))
        name = findings.experiment.setting(setting).label
        text = f"{measure.label} ({name}) {measure.text(list(values.values()))}"
        against = f"against {measure.text([limit])}: " if limit else ""
        return Verdict(words.get(difference.sign, OPEN), f"{text}; {against}{_certainty(difference)}")

    return check


def every(*checks: Check) -> Check:
    """Return a check that holds where all do, fails where one fails, and is open otherwise."""

    def check(findings: Findings) -> Verdict:
        verdicts = [one(findings) for one in checks]
        words = [verdict.word for verdict in verdicts]
        word = FAILS if FAILS in words else HOLDS if set(words) == {HOLDS} else OPEN
        return Verdict(word, "; ".join(verdict.evidence for verdict in verdicts))

    return check


def _word(difference: Difference) -> str:
    return {1: HOLDS, -1: FAILS, 0: OPEN}[difference.sign]


def _certainty(difference: Difference) -> str:
    if difference.p is None:
        return "one seed" if difference.seeds == 1 else f"{difference.seeds} seeds, too few for a test"
    p = f"p {p_text(difference.p)}" if difference.p < 1e-4 else f"p = {p_text(difference.p)}"
    return f"{p}, {difference.seeds} seeds"
