"""Means, spreads, and whether a difference between two settings is more than the luck of the seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from store import NotRun

LEVEL = 0.05
"""Two-sided probability below which a difference counts."""

FEWEST = 3
"""Differences that a test takes. Two have a single degree of freedom: a spread that happens to be small, or none at all
where both round to the same share of the images, would make them look surer than anything else."""


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the standard deviation of a sample; None for the spread of a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def two_sided_p(t: float, freedom: int) -> float:
    """Return the probability that Student's t is at least as far from 0 as `t`.

    Parameters
    ----------
    t : float
        May be infinite.
    freedom : int
        Degrees of freedom, at least 1.

    Raises
    ------
    ValueError
        If there are no degrees of freedom.

    Notes
    -----
    With whole degrees of freedom n the distribution is a finite sum (Abramowitz and Stegun, "Handbook of mathematical
    functions", 26.7.3 and 26.7.4). With ``θ = atan(t / √n)`` the probability of lying between -t and t is::

        2/π (θ + sin θ (cos θ + 2/3 cos³θ + 2·4/(3·5) cos⁵θ + ... cosⁿ⁻²θ))     n odd
        sin θ (1 + 1/2 cos²θ + 1·3/(2·4) cos⁴θ + ... cosⁿ⁻²θ)                   n even
    """
    if freedom < 1:
        raise ValueError(f"degrees of freedom must be at least 1, got {freedom}")
    angle = math.atan(abs(t) / math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0 if freedom == 1 else term
    for power in range(2 + odd, freedom - 1, 2):
        term *= cosine**2 * (power - 1) / power
        total += term
    inside = math.sin(angle) * total
    if odd:
        inside = 2 / math.pi * (angle + inside)
    return max(0.0, 1.0 - inside)


def p_text(p: float) -> str:
    """Return a probability as tables have it; equal differences of few seeds make it absurdly small."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def combined_p(probabilities: Sequence[float]) -> float:
    """Return the probability of such probabilities, or smaller ones, by Fisher's method.

    Parameters
    ----------
    probabilities : sequence of float
        Of independent tests, each from 0 to 1; at least one.

    Raises
    ------
    ValueError
        If there is none, or one is no such probability.

    Notes
    -----
    ``-2 Σ log p`` is distributed as chi-squared with 2n degrees of freedom; beyond 2x it has the probability
    ``e⁻ˣ (1 + x + x²/2! + ... xⁿ⁻¹/(n - 1)!)``. Fisher, "Statistical methods for research workers" (1932), 21.1.
    """
    if not probabilities or not all(0 <= p <= 1 for p in probabilities):
        raise ValueError(f"probabilities must be one or more numbers from 0 to 1, got {list(probabilities)}")
    if 0 in probabilities:
        return 0.0
    x = -sum(math.log(p) for p in probabilities)
    term = total = 1.0
    for n in range(1, len(probabilities)):
        term *= x / n
        total += term
    return min(1.0, math.exp(-x) * total)


@dataclass(frozen=True)
class Difference:
    """How one setting differs from another, seed by seed.

    Attributes
    ----------
    seeds : int
        How many both have.
    mean : float
        Of the differences.
    sd : float or None
        Their standard deviation; None with one seed.
    p : float or None
        Two-sided probability of such a mean if there were no difference; None with fewer than `FEWEST` seeds.
    """

    seeds: int
    mean: float
    sd: float | None
    p: float | None

    @property
    def sign(self) -> int:
        """1 or -1 where the difference is more than chance, 0 where it is not."""
        if self.p is None or self.p >= LEVEL:
            return 0
        return 1 if self.mean > 0 else -1


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> Difference:
    """Compare two settings on the seeds that both have, by the paired t-test: first minus second.

    Parameters
    ----------
    first, second : mapping of int to float
        Seed -> value.

    Raises
    ------
    NotRun
        If they have no seed in common yet.
    """
    differences = [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]
    if not differences:
        raise NotRun("there is no seed yet that both have been run with")
    mean, sd = mean_and_sd(differences)
    count = len(differences)
    if sd is None or count < FEWEST:
        return Difference(count, mean, sd, None)
    if sd == 0:
        return Difference(count, mean, sd, 0.0 if mean else 1.0)
    return Difference(count, mean, sd, two_sided_p(mean / (sd / math.sqrt(count)), count - 1))
