"""The statistics, held to printed tables and to cases worked out by hand."""

import math

import pytest
from significance import combined_p, mean_and_sd, p_text, paired, two_sided_p
from store import NotRun

# Critical values of Student's t as every printed table has them: degrees of freedom, t, two-sided probability.
PRINTED = [
    (1, 12.706, 0.05), (1, 63.657, 0.01), (2, 4.303, 0.05), (2, 9.925, 0.01), (3, 3.182, 0.05), (4, 2.776, 0.05),
    (5, 2.571, 0.05), (6, 2.447, 0.05), (7, 3.499, 0.01), (10, 2.228, 0.05), (15, 2.131, 0.05), (30, 2.042, 0.05),
]  # fmt: skip


@pytest.mark.parametrize(("freedom", "t", "p"), PRINTED)
def test_probabilities_are_those_of_printed_tables(freedom, t, p):
    assert two_sided_p(t, freedom) == pytest.approx(p, rel=2e-3)
    assert two_sided_p(-t, freedom) == two_sided_p(t, freedom)


def test_probabilities_at_the_ends():
    for freedom in range(1, 9):
        assert two_sided_p(0.0, freedom) == 1.0
        assert two_sided_p(math.inf, freedom) == pytest.approx(0.0, abs=1e-15)
    with pytest.raises(ValueError, match="degrees of freedom must be at least 1, got 0"):
        two_sided_p(1.0, 0)


def test_two_degrees_of_freedom_have_a_closed_form():
    for t in (0.3, 1.0, 2.5, 8.0):
        assert two_sided_p(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-12)


def test_mean_and_spread():
    assert mean_and_sd([2.0, 4.0, 6.0]) == (4.0, 2.0)
    assert mean_and_sd([2.0]) == (2.0, None)


def test_a_difference_worked_out_by_hand():
    # Differences 1, 2, 3: mean 2, deviation 1, t = 2 / (1 / √3) = 3.4641, and with two degrees of freedom
    # p = 1 - t / √(2 + t²) = 1 - 3.4641 / 3.7417 = 0.0742.
    difference = paired({0: 2.0, 1: 4.0, 2: 6.0, 7: 0.0}, {0: 1.0, 1: 2.0, 2: 3.0, 8: 0.0})
    assert (difference.seeds, difference.mean, difference.sd) == (3, 2.0, 1.0)
    assert difference.p == pytest.approx(0.0742, abs=1e-4)
    assert difference.sign == 0


def test_the_sign_of_a_difference():
    low, high = {0: 1.0, 1: 1.1, 2: 1.05}, {0: 2.0, 1: 2.1, 2: 2.06}
    assert paired(high, low).sign == 1
    assert paired(low, high).sign == -1
    assert paired({0: 2.0}, {0: 1.0}).sign == 0  # one seed tells nothing
    assert paired({0: 2.0, 1: 2.1}, {0: 1.0, 1: 1.1}).p is None  # two have one degree of freedom: ties would look sure
    assert paired(dict.fromkeys(range(3), 2.0), dict.fromkeys(range(3), 1.0)).p == 0.0
    assert paired(dict.fromkeys(range(3), 2.0), dict.fromkeys(range(3), 2.0)).p == 1.0
    with pytest.raises(NotRun, match="no seed yet that both have"):
        paired({0: 1.0}, {1: 1.0})


def test_probabilities_together():
    assert combined_p([0.3]) == pytest.approx(0.3, rel=1e-12)
    # Of two: P(p q <= c) = c (1 - log c) for uniform p and q, an area that one can integrate by hand.
    assert combined_p([0.1, 0.2]) == pytest.approx(0.02 * (1 - math.log(0.02)), rel=1e-12)
    assert combined_p([1.0] * 5) == 1.0
    assert combined_p([0.5, 0.0]) == 0.0
    # Chi-squared with 20 degrees of freedom is above 31.410 in 5 of 100 cases, as printed tables have it.
    assert combined_p([math.exp(-31.410 / 20)] * 10) == pytest.approx(0.05, rel=2e-3)


@pytest.mark.parametrize("wrong", [[], [0.5, 1.5], [-0.1], [math.nan]])
def test_what_is_no_probability(wrong):
    with pytest.raises(ValueError, match="probabilities must be one or more numbers from 0 to 1"):
        combined_p(wrong)


def test_absurdly_small_probabilities_are_not_written_out():
    assert [p_text(p) for p in (0.51, 0.0284, 1e-15)] == ["0.51", "0.028", "< 0.0001"]
