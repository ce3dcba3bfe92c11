"""Tables for a terminal; in a pipe or a file they are plain text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(
    heads: Sequence[str], rows: Iterable[Sequence[Any]], *, text_columns: int = 1, least_width: int = 0
) -> None:
    """Print a table.

    Parameters
    ----------
    heads : sequence of str
        The columns' names.
    rows : iterable of sequence
        What the cells hold; written by ``str``, nothing in them is read as markup.
    text_columns : int
        So many columns, from the left, are aligned left; the others hold numbers, aligned right.
    least_width : int
        So many characters fit into a line of a pipe or a file, at least.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, head in enumerate(heads):
        table.add_column(head, justify="left" if index < text_columns else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, least_width)
    console.print(table)


def percent(share: float | None) -> str:
    """Write a share of 1 in percent; a dash where there is none."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.2f} %"
