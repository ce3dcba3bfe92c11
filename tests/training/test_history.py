"""The history: rows as data, and the files made of them."""

from __future__ import annotations

import json

import pytest

from fastscratch.training.history import COLUMNS, History


def row(epoch=1, **changes):
    values = {
        "train_loss": 1.25,
        "train_accuracy": 0.1 + 0.2,
        "valid_loss": None,
        "valid_accuracy": None,
        "lr": 3e-4,
        "seconds": 2.0,
        "images": 100,
    }
    return {"epoch": epoch, **values, **changes}


@pytest.fixture
def history():
    history = History()
    history.append(row(1))
    history.append(row(2, valid_loss=0.5, valid_accuracy=0.75))
    return history


def test_columns_and_rows_can_be_read(history):
    assert history["train_accuracy"] == [0.1 + 0.2, 0.1 + 0.2]
    assert history["valid_loss"] == [None, 0.5]
    assert len(history) == 2
    assert [each["epoch"] for each in history] == [1, 2]
    assert repr(history) == "History(2 epochs, 0 batches)"
    with pytest.raises(KeyError, match="unknown column 'loss', the columns are epoch, train_loss"):
        history["loss"]


def test_json_lines_hold_the_exact_numbers(history, tmp_path):
    path = tmp_path / "history.jsonl"
    history.to_jsonl(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == history.rows
    assert all(tuple(line) == COLUMNS for line in lines)
    assert History.from_jsonl(path).rows == history.rows


def test_csv_has_a_heading_and_empty_fields(history, tmp_path):
    history.to_csv(tmp_path / "history.csv")
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1] == "1,1.25,0.30000000000000004,,,0.0003,2.0,100"
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(3, extra=1), r"unknown \['extra'\]"),
        ({"epoch": 3}, r"missing \['train_loss'"),
        (row(2), "the next row is that of epoch 3, got epoch 2"),
        (row(3, lr="fast"), "lr must be a finite int or float, or None; got 'fast'"),
        (row(3, valid_loss=float("nan")), "valid_loss must be a finite"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(history, bad, message):
    with pytest.raises(ValueError, match=message):
        history.append(bad)
    assert len(history) == 2


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"epoch": 3}'])
def test_a_damaged_line_is_named(history, tmp_path, line):
    path = tmp_path / "history.jsonl"
    history.to_jsonl(path)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"history\.jsonl, line 3: "):
        History.from_jsonl(path)
