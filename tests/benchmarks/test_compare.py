"""When a commit counts as slower."""

import compare
import numpy as np
import pytest
from compare import Interval, bootstrap, is_faster, is_slower

QUIET = Interval(1.0, 0.99, 1.01)


def test_bootstrap_holds_the_median():
    ratios = np.random.default_rng(0).normal(1.1, 0.02, 21)
    found = bootstrap(ratios)
    assert found.low < found.median == np.median(ratios) < found.high
    assert 1.08 < found.low < found.high < 1.12
    assert bootstrap([2.0]) == Interval(2.0, 2.0, 2.0)
    assert bootstrap(ratios) == found


@pytest.mark.parametrize(
    ("change", "noise", "slower", "faster"),
    [
        (Interval(1.10, 1.05, 1.15), QUIET, True, False),
        (Interval(1.10, 1.00, 1.20), QUIET, False, False),
        (Interval(1.10, 1.05, 1.15), Interval(1.0, 0.99, 1.06), False, False),
        (Interval(1.10, 1.05, 1.15), Interval(0.95, 0.94, 1.0), False, False),
        (Interval(0.90, 0.85, 0.95), QUIET, False, True),
        (Interval(0.90, 0.85, 1.00), QUIET, False, False),
    ],
    ids=["slower", "unsure", "noise_above", "noise_below", "faster", "perhaps_faster"],
)
def test_a_change_counts_beyond_noise(change, noise, slower, faster):
    assert is_slower(change, noise) == slower
    assert is_faster(change, noise) == faster


def test_an_unknown_commit_is_refused():
    with pytest.raises(ValueError, match="there is no commit 'nix'"):
        compare._commit("nix")
