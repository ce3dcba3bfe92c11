"""Claims: what is held to be true, on numbers whose answer is plain."""

from types import SimpleNamespace

import claims
import pytest
from claims import FAILS, HOLDS, OPEN, above, below, every, larger
from measures import Measure
from store import NotRun

SHARE = Measure("share", lambda result: result, percent=True)
LEVEL = Measure("level", lambda result: result)


class Table:
    """Findings whose results are the numbers themselves."""

    def __init__(self, **values):
        self.values = {name: dict(enumerate(numbers)) for name, numbers in values.items()}
        self.experiment = SimpleNamespace(setting=lambda name: SimpleNamespace(label=name.upper()))

    def of(self, setting):
        if not self.values[setting]:
            raise NotRun(setting)
        return self.values[setting]


FINDINGS = Table(low=[0.50, 0.52, 0.51], high=[0.60, 0.62, 0.62], wild=[0.2, 0.9, 0.5], one=[0.9], none=[])


def test_a_difference_that_is_more_than_chance():
    verdict = larger(SHARE, "high", "low")(FINDINGS)
    assert verdict.word == HOLDS
    assert verdict.evidence == (
        "share: HIGH 61.3 ± 1.2 %, LOW 51.0 ± 1.0 %; +10.3 ± 0.6 points (p = 0.001, 3 seeds)"
    )
    assert larger(SHARE, "low", "high")(FINDINGS).word == FAILS


def test_a_difference_that_may_be_chance():
    assert larger(SHARE, "wild", "low")(FINDINGS).word == OPEN
    verdict = larger(SHARE, "one", "low")(FINDINGS)
    assert verdict.word == OPEN
    assert verdict.evidence == "share: ONE 90.0 %, LOW 51.0 ± 1.0 %; +40.0 points (one seed)"


def test_runs_that_are_missing_are_not_judged():
    with pytest.raises(NotRun):
        larger(SHARE, "high", "none")(FINDINGS)


def test_limits():
    assert above(LEVEL, "high")(FINDINGS).word == HOLDS
    assert above(LEVEL, "high", 0.7)(FINDINGS).word == FAILS
    assert below(LEVEL, "high", 0.7)(FINDINGS).word == HOLDS
    assert below(LEVEL, "high")(FINDINGS).word == FAILS
    assert above(LEVEL, "wild", 0.5)(FINDINGS).word == OPEN
    evidence = above(SHARE, "high", 0.5)(FINDINGS).evidence
    assert evidence == "share (HIGH) 61.3 ± 1.2 %; against 50.0 %: p = 0.0034, 3 seeds"
    assert above(LEVEL, "high")(FINDINGS).evidence.startswith("level (HIGH) 0.613 ± 0.012; p = ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([HOLDS, HOLDS], HOLDS),
        ([HOLDS, OPEN], OPEN),
        ([OPEN, FAILS, HOLDS], FAILS),
    ],
)
def test_several_have_to_hold_together(words, expected):
    checks = [lambda findings, word=word: claims.Verdict(word, f"it {word}") for word in words]
    verdict = every(*checks)(FINDINGS)
    assert verdict.word == expected
    assert verdict.evidence == "; ".join(f"it {word}" for word in words)
