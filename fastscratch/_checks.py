"""What losses, optimizers and schedules ask of their settings."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any


def check_number(
    name: str, value: Any, *, at_least: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> float:
    """Return `value` as a float in the given range; a bound of `above` or `below` is itself outside.

    Raises
    ------
    TypeError
        If it is no real number.
    ValueError
        If it is not finite, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    number = float(value)
    if not (at_least <= number and above < number < below):  # written so that NaN and infinities fail
        bounds = [("at least", at_least), ("above", above), ("below", below)]
        allowed = " and ".join(f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound))
        raise ValueError(f"{name} must be {allowed or 'finite'}, got {value}")
    return number
