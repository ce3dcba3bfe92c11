"""Checks of what has to be equal to the last bit, or to differ by a known constant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from claims import FAILS, HOLDS, Check, Verdict
from store import NotRun

from fastscratch.losses import entropy

if TYPE_CHECKING:
    from findings import Findings

ROUNDING = 1e-5
"""How far the mean of a batch's losses, computed in float32, may be from what it is without rounding."""


def same_weights(one: str, other: str) -> Check:
    """Return a check that two settings end in the same weights, and say how far their losses were apart."""

    def check(findings: Findings) -> Verdict:
        first, second = findings.of(one), findings.of(other)
        seeds = sorted(first.keys() & second.keys())
        if not seeds:
            raise NotRun("there is no seed yet that both have been run with")
        same = [first[seed]["weights"] == second[seed]["weights"] for seed in seeds]
        distance = max(abs(difference(first[seed], second[seed])).max() for seed in seeds)
        names = " and ".join(findings.experiment.setting(name).label for name in (one, other))
        return Verdict(
            HOLDS if all(same) else FAILS,
            f"final weights of {names} have the same bits for {sum(same)} of {len(seeds)} seeds; "
            f"largest difference of the losses of the first batches: {distance:.1e}",
        )

    return check


def apart_by_the_entropy(cross_entropy: str, divergence: str) -> Check:
    """Return a check that two settings train alike, and their losses differ by the entropy of the targets."""

    def check(findings: Findings) -> Verdict:
        first, second = findings.first(cross_entropy), findings.first(divergence)
        classes, smoothing = len(first["final"]["train"]["class_accuracy"]), first["config"]["label_smoothing"]
        target = np.full(classes, smoothing / classes)
        target[0] += 1 - smoothing
        expected = float(entropy(target))
        gaps = difference(first, second)
        right = bool(abs(gaps - expected).max() < ROUNDING) and first["weights"] == second["weights"]
        low, high = float(gaps.min()), float(gaps.max())
        return Verdict(
            HOLDS if right else FAILS,
            f"entropy of the targets {expected:.6f}; losses of the first batches differ by {low:.6f} to {high:.6f}; "
            f"final weights {'have the same bits' if first['weights'] == second['weights'] else 'differ'}",
        )

    return check


def difference(first: dict[str, dict[str, list[float]]], second: dict[str, dict[str, list[float]]]) -> np.ndarray:
    """Return by how much the losses of the first batches differ."""
    return np.subtract(first["batches"]["first"], second["batches"]["first"])


def has_an_effect(one: str, other: str) -> Check:
    """Return a check that a setting has an effect, which it has not if the weights of another come out bit for bit."""
    same = same_weights(one, other)

    def check(findings: Findings) -> Verdict:
        verdict = same(findings)
        return Verdict(FAILS if verdict.word == HOLDS else HOLDS, verdict.evidence)

    return check
