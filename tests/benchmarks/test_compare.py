"""When a commit counts as slower."""

import contextlib

import compare
import numpy as np
import pytest
from compare import Interval, bootstrap, is_faster, is_slower
from contest import EngineError, fastscratch_contestant, started

QUIET = Interval(1.0, 0.99, 1.01)


def test_bootstrap_holds_the_median():
    ratios = np.random.default_rng(0).normal(1.1, 0.02, 21)
    found = bootstrap(ratios)
    assert found.low < found.median == np.median(ratios) < found.high
    assert 1.08 < found.low < found.high < 1.12
    assert bootstrap([2.0]) == Interval(2.0, 2.0, 2.0)
    assert bootstrap(ratios) == found


def test_what_differs_between_starts_widens_the_interval():
    rng = np.random.default_rng(0)
    alike = [rng.normal(1.0, 0.01, 5) for _ in range(7)]
    apart = [rng.normal(start, 0.01, 5) for start in (0.9, 0.95, 1.0, 1.0, 1.05, 1.1, 1.1)]
    narrow, wide = bootstrap(alike), bootstrap(apart)
    assert narrow.high - narrow.low < 0.02
    assert wide.high - wide.low > 0.08
    surer = bootstrap(apart, confidence=0.99)
    assert surer.low <= wide.low
    assert surer.high >= wide.high


@pytest.mark.timeout(120)
def test_a_process_with_other_code_is_refused(tmp_path):
    with started([fastscratch_contestant("numpy")], threads=1) as [process]:
        compare._check_tree(process, compare.ROOT)
        with pytest.raises(EngineError, match=r"numpy imported .*fastscratch.* which is not in"):
            compare._check_tree(process, tmp_path)


@pytest.mark.parametrize(
    ("change", "noise", "slower", "faster"),
    [
        (Interval(1.10, 1.05, 1.15), QUIET, True, False),
        (Interval(1.10, 1.00, 1.20), QUIET, False, False),
        (Interval(1.10, 1.05, 1.15), Interval(1.0, 0.9, 1.1), True, False),
        (Interval(1.10, 1.05, 1.15), Interval(1.06, 1.0, 1.1), False, False),
        (Interval(1.10, 1.05, 1.15), Interval(0.95, 0.94, 1.0), False, False),
        (Interval(0.90, 0.85, 0.95), QUIET, False, True),
        (Interval(0.90, 0.85, 1.00), QUIET, False, False),
    ],
    ids=["slower", "unsure", "wide_noise", "noise_above", "noise_below", "faster", "perhaps_faster"],
)
def test_a_change_counts_beyond_noise(change, noise, slower, faster):
    assert is_slower(change, noise) == slower
    assert is_faster(change, noise) == faster


def test_the_least_slow_down_that_would_count():
    change, noise = Interval(1.02, 0.97, 1.06), Interval(0.98, 0.95, 1.03)
    least = compare.seen_from(change, noise)
    assert least == pytest.approx(1.02 / 0.97 / 0.98)
    for factor, slower in ((0.999, False), (1.001, True)):
        scale = least / change.median * factor
        moved = Interval(scale * change.median, scale * change.low, scale * change.high)
        assert is_slower(moved, noise) == slower


def share_called_slower(slow_down, rng, rows=4, comparisons=100):
    """Return in what share of comparisons any row is called slower: the first one is, and processes differ by 4 %."""
    called = 0
    for _ in range(comparisons):
        seconds = np.exp(rng.normal(0, 0.04, (rows, compare.STARTS, 3)))  # base, base again, head
        seconds[0, :, 2] *= slow_down
        intervals = (
            [bootstrap(row[:, side] / row[:, 0], confidence=1 - (1 - compare.CONFIDENCE) / rows) for side in (2, 1)]
            for row in seconds
        )
        called += any(is_slower(change, noise) for change, noise in intervals)
    return called / comparisons


def test_starts_are_enough_to_see_a_tenth(rng):
    assert share_called_slower(1.1, rng) >= 0.8
    assert share_called_slower(1.0, rng) <= 0.05


def test_an_unknown_commit_is_refused():
    with pytest.raises(ValueError, match="there is no commit 'nix'"):
        compare._commit("nix")


SLOW = Interval(1.2, 1.1, 1.3)


@pytest.mark.parametrize(
    ("measured", "options", "code"),
    [
        ((QUIET, QUIET), {}, 0),
        ((SLOW, QUIET), {}, 1),
        ((SLOW, QUIET), {"quick": True}, 0),
        ((QUIET, EngineError("no memory")), {}, 3),
        ((SLOW, EngineError("no memory")), {}, 1),
    ],
    ids=["as_fast", "slower", "quick", "failed", "slower_and_failed"],
)
def test_the_exit_code_tells_slower_from_failed(monkeypatch, tmp_path, measured, options, code):
    outcomes = iter(measured)

    def measure(*arguments):
        outcome = next(outcomes)
        if isinstance(outcome, EngineError):
            raise outcome
        return outcome, QUIET, []

    monkeypatch.setattr(compare, "_measure", measure)
    monkeypatch.setattr(compare, "_commit", lambda name: name)
    monkeypatch.setattr(compare, "_worktree", lambda commit, folder: contextlib.nullcontext(folder))
    rows = {"rows": "baseline-4,vgg-32", "backend": "numpy", "out": str(tmp_path / "results.json")}
    assert compare.run(compare.Options(base="a", **rows, **options)) == code
