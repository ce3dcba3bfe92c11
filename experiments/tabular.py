"""A table that can be written in several formats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Cells of text under a head.

    Attributes
    ----------
    title : str
    head : sequence of str
    rows : sequence of sequence of str
        As many cells each as the head has. The first column is text, the others are numbers.
    note : str
        A line below.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        """Return the table and the note, without the title."""
        return table(self.head, self.rows) + (f"\n{self.note}\n" if self.note else "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, numbers to the right."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"
