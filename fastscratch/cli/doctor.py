"""``fastscratch doctor``: what this installation has, what it lacks, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fastscratch.cli.parsing import parse


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Look at this installation; exit code 0 if all is well, 1 if something keeps a run from working."""


def run(argv: Sequence[str], prog: str) -> int:
    """Print what was found, trouble marked."""
    parse(Options, argv, prog=prog)

    from fastscratch.cli.tables import show
    from fastscratch.doctor import examine

    findings = examine()
    show(("", "what", "found"), [("!" if one.trouble else "", one.topic, one.text) for one in findings], text_columns=3)
    troubles = [one for one in findings if one.trouble]
    print()
    for one in troubles:
        print(f"trouble: {one.topic}: {one.text}")
    if not troubles:
        print("all is well")
    return 1 if troubles else 0
