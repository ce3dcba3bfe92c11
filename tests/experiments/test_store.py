"""The files of results."""

import json

import pytest
import store

from fastscratch.config import TrainConfig


def test_what_is_written_comes_back_and_can_be_read_by_a_person(tmp_path):
    result = {"config": {"lr": 0.1}, "rows": [[1, 2.5], [None, True]], "empty": {}, "name": "a/b"}
    path = store.path_of(tmp_path, "learning_rate/1e-3-seed-0")
    store.write(path, result)
    assert path == tmp_path / "learning_rate" / "1e-3-seed-0.json"
    assert store.read(path) == result
    assert path.read_text().splitlines() == [
        "{",
        ' "config": {"lr": 0.1},',
        ' "rows": [',
        "  [1, 2.5],",
        "  [null, true]",
        " ],",
        ' "empty": {},',
        ' "name": "a/b"',
        "}",
    ]


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        store.write(tmp_path / "one.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_result_is_held_to_its_config(tmp_path):
    config = TrainConfig(data="shapes10", lr=0.1, threads=2)
    stored = json.loads(json.dumps(config.to_mapping()))
    path = tmp_path / "one.json"
    store.check_same(path, {"config": stored}, TrainConfig(data="shapes10", lr=0.1, threads=1, backend="numpy"))
    stored.pop("final_lr")  # as if it were a field that came later
    store.check_same(path, {"config": stored}, config)
    with pytest.raises(ValueError, match=r"one\.json is the result of another run: lr is 0\.1 there, 0\.2 here"):
        store.check_same(path, {"config": stored}, TrainConfig(data="shapes10", lr=0.2))
