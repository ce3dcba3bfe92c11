"""Whether two engines lie as close as two seeds do: worked out by hand, and on made-up accuracies of known spread."""

import math
import random

import engines
import pytest
from claims import FAILS, HOLDS, OPEN
from engines import Pair
from store import NotRun


def pair(here, there, name="a setting", weights=None):
    return Pair(name, dict(enumerate(here)), dict(enumerate(there)), 0.0, (weights or str(here),))


def verdict_of(monkeypatch, *found, left=0):
    monkeypatch.setattr(engines, "pairs", lambda findings: iter(found))
    monkeypatch.setattr(engines, "planned", lambda findings: iter([None] * (len(found) + left)))
    return engines.check(None)


def test_a_setting_worked_out_by_hand():
    # Seeds 0.70, 0.71, 0.72: s = 0.01. The engines differ by 0.02: t = 0.02 / (0.01 √2) = √2, and with two degrees of
    # freedom p = 1 - √2 / √(2 + 2) = 0.2929.
    one = pair([0.70, 0.71, 0.72], [0.72])
    assert one.both == [0]
    assert one.engines_apart == pytest.approx(0.02)
    assert one.seeds_apart == pytest.approx(0.02)
    assert one.p == pytest.approx(1 - math.sqrt(0.5), rel=1e-9)
    three = pair([0.70, 0.71, 0.72], [0.72, 0.71, 0.72])  # the least likely of three, three times
    assert three.p == pytest.approx(3 * (1 - math.sqrt(0.5)), rel=1e-9)
    assert pair([0.70, 0.71, 0.72], [0.701, 0.709, 0.7205]).p == 1.0


def test_what_tells_nothing_of_the_seeds(monkeypatch):
    single, same = pair([0.7], [0.71]), pair([0.7, 0.7], [0.71])
    assert single.p is None
    assert same.p is None
    with pytest.raises(NotRun, match="several seeds and on both engines"):
        verdict_of(monkeypatch, single, same)


def made_up(rng, settings=14, apart=1.0, better=0.0):
    spread = 0.004
    return [
        pair(
            [0.6 + 0.02 * number + rng.gauss(0, spread) for _ in range(3)],
            [0.6 + 0.02 * number + better + rng.gauss(0, apart * spread)],
            f"setting {number}",
        )
        for number in range(settings)
    ]


def test_engines_that_are_as_two_seeds_hold(monkeypatch):
    rng = random.Random(0)
    words = [verdict_of(monkeypatch, *made_up(rng)).word for _ in range(100)]
    # Each of two tests fails in 5 of 100 cases by chance.
    assert words.count(HOLDS) >= 80


@pytest.mark.parametrize("how", [{"apart": 6.0}, {"better": 0.012}])
def test_engines_further_apart_fail(monkeypatch, how):
    rng = random.Random(0)
    words = [verdict_of(monkeypatch, *made_up(rng, **how)).word for _ in range(50)]
    assert words.count(FAILS) >= 45


def test_it_is_not_settled_before_every_setting_has_been_looked_at(monkeypatch):
    close, far = pair([0.70, 0.71, 0.72], [0.705]), pair([0.70, 0.7001, 0.7002], [0.9])
    verdict = verdict_of(monkeypatch, close, left=3)
    assert verdict.word == OPEN
    assert verdict.evidence.endswith("; 3 settings are left")
    assert verdict_of(monkeypatch, close).word == HOLDS
    assert verdict_of(monkeypatch, far, left=3).word == FAILS


def test_the_evidence_has_the_numbers(monkeypatch):
    verdict = verdict_of(monkeypatch, pair([0.70, 0.71, 0.72], [0.72]), pair([0.5, 0.52, 0.51], [0.51]))
    assert "2 settings; in 2 of them within the range" in verdict.evidence
    assert "mean of all settings: -1.5 ± 0.7 points" in verdict.evidence


def test_two_names_of_one_training_are_one_finding(monkeypatch):
    three, two = pair([0.70, 0.71, 0.72], [0.72], weights="ab"), pair([0.70, 0.71], [0.715], weights="ab")
    assert "(1 settings; " in verdict_of(monkeypatch, three, two).evidence
    other = pair([0.70, 0.71], [0.715], weights="cd")  # as accurate by chance
    assert "(2 settings; " in verdict_of(monkeypatch, three, other).evidence
