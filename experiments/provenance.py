"""Which images the numbers are from."""

from __future__ import annotations

from collections.abc import Iterable

from store import Result

COPIES = {
    "f059cf65c496e392": (
        "a copy of CIFAR-10 whose images were stored as JPEG (quality 75) and decoded again: the real images, but not "
        "the official bytes, so numbers from the official files will differ a little"
    ),
}
"""Fingerprint of all test images -> what is known about them."""


def describe(results: Iterable[Result]) -> list[str]:
    """Return a sentence for each data set among the results of training runs."""
    found: dict[tuple[str, str, int], set[tuple[str, int]]] = {}
    for result in results:
        test, train = result["final"]["test"], result["final"]["train"]
        key = result["config"]["data"], test["fingerprint"], test["images"]
        whole = result["config"]["subsample"] == 1 and not result["config"]["validation"]
        found.setdefault(key, set()).update({(train["fingerprint"], train["images"])} if whole else set())
    sentences = []
    for (name, fingerprint, images), trained in sorted(found.items()):
        parts = [f"{count:,} training images (fingerprint {mark})" for mark, count in sorted(trained)]
        parts.append(f"{images:,} test images ({fingerprint})")
        note = f": {COPIES[fingerprint]}" if fingerprint in COPIES else ""
        sentences.append(f"Data: {name}, {', '.join(parts)}{note}.")
    return sentences


def machines(results: Iterable[Result]) -> list[str]:
    """Return a sentence for each machine and set of versions that results were made with, with the commits."""
    found: dict[str, set[str]] = {}
    for result in results:
        made = result["made"]
        versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items() if version)
        isa = f", {made['isa']}" if made.get("isa") else ""
        threads = f"{made['threads']} thread{'s' if made['threads'] > 1 else ''}"
        found.setdefault(f"{result['engine']}: {made['cpu']}{isa}, {threads}; {versions}", set()).add(made["commit"])
    return [
        f"{what}; commit{'s' if len(commits) > 1 else ''} {', '.join(sorted(commits))}."
        for what, commits in sorted(found.items())
    ]
