"""What a run measured: one row an epoch, one loss a batch."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastscratch.training.atomic import write_atomically

COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "valid_loss",
    "valid_accuracy",
    "lr",
    "seconds",
    "images",
)

Row = dict[str, float | int | None]


class History:
    """The record of a run, as data.

    Attributes
    ----------
    rows : list of dict
        One row an epoch with the keys of `COLUMNS`:

        - ``epoch``: from 1;
        - ``train_loss``, ``train_accuracy``: means over the epoch's images, each measured in train mode just
          before the step that its batch caused (so they lag behind the network at the epoch's end);
        - ``valid_loss``, ``valid_accuracy``: of the network at the epoch's end, in eval mode; None without
          validation data;
        - ``lr``: the learning rate of the epoch's last step;
        - ``seconds``: wall-clock time of the epoch's batches, evaluation not included;
        - ``images``: images trained on, so ``images / seconds`` is the training speed.

        Accuracies are fractions between 0 and 1.
    batch_losses : list of float
        The training loss of every batch so far, in order, also of the epoch under way.

    Examples
    --------
    >>> history = History()
    >>> history.append({"epoch": 1, "train_loss": 1.5, "train_accuracy": 0.44, "valid_loss": None,
    ...                 "valid_accuracy": None, "lr": 3e-4, "seconds": 10.0, "images": 50000})
    >>> history["train_loss"]
    [1.5]
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.batch_losses: list[float] = []

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"History({len(self.rows)} epochs, {len(self.batch_losses)} batches)"

    def __getitem__(self, column: str) -> list[float | int | None]:
        """Return one column: a value for each epoch.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        if column not in COLUMNS:
            raise KeyError(f"unknown column {column!r}, the columns are {', '.join(COLUMNS)}")
        return [row[column] for row in self.rows]

    def append(self, row: Mapping[str, Any]) -> None:
        """Add the row of the epoch that follows.

        Parameters
        ----------
        row : mapping
            A number, or None, for each of `COLUMNS`.

        Raises
        ------
        ValueError
            If a column is missing or unknown, a value is not a finite number, or the epoch is not the next one.
        """
        if set(row) != set(COLUMNS):
            missing = [column for column in COLUMNS if column not in row]
            unknown = sorted(set(row) - set(COLUMNS))
            raise ValueError(f"a row has the columns {', '.join(COLUMNS)}; missing {missing}, unknown {unknown}")
        for column, value in row.items():
            if value is not None and (not isinstance(value, int | float) or not math.isfinite(value)):
                raise ValueError(f"{column} must be a finite int or float, or None; got {value!r}")
        if row["epoch"] != len(self.rows) + 1:
            raise ValueError(f"the next row is that of epoch {len(self.rows) + 1}, got epoch {row['epoch']!r}")
        self.rows.append({column: row[column] for column in COLUMNS})

    def to_jsonl(self, path: str | os.PathLike[str]) -> None:
        """Write one JSON object a line, replacing the file in one step.

        Parameters
        ----------
        path : path-like
            The file; its folder must exist.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        lines = [json.dumps(row, allow_nan=False) + "\n" for row in self.rows]
        write_atomically(path, "".join(lines).encode())

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a table with a heading, replacing the file in one step; None is an empty field.

        Parameters
        ----------
        path : path-like
            The file; its folder must exist.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(path, text.getvalue().encode())

    @classmethod
    def from_jsonl(cls, path: str | os.PathLike[str]) -> History:
        """Read what `to_jsonl` wrote; the losses of single batches are not in that file.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        History
            With the rows of the file and no `batch_losses`.

        Raises
        ------
        ValueError
            If a line is not JSON or not such a row; the message names the line.
        OSError
            If the file cannot be read.
        """
        history = cls()
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
            try:
                history.append(json.loads(line))
            except (ValueError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
        return history
