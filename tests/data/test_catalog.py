"""Data sets by name: what load and describe make of a name and a root."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from fastscratch import data
from fastscratch.data import catalog, cifar10, fashion_mnist, shapes10


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing to be found or downloaded, and little to draw."""
    monkeypatch.setattr(cifar10, "ADDRESSES", ("http://127.0.0.1:1/cifar.tar.gz",))
    monkeypatch.setattr(fashion_mnist, "ADDRESSES", ("http://127.0.0.1:1/",))
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "no-such-package")
    monkeypatch.setattr(shapes10, "SPLITS", {"train": 30, "test": 20})
    monkeypatch.delenv("FASTSCRATCH_DATA", raising=False)


@pytest.mark.parametrize("name", ["cifar100", "", "CIFAR10"])
def test_unknown_name_lists_the_known(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown .*; known: auto, cifar10, fashion-mnist, shapes10, or the path of"):
        data.load(name)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    for name in ("no/such/folder", Path("nosuchfolder"), "~no-such-user/pictures"):
        with pytest.raises(FileNotFoundError, match=f"there is no folder of images {name}$"):
            data.load(name)
    (tmp_path / "note.txt").write_text("")
    with pytest.raises(NotADirectoryError, match=r"note\.txt is a file, not a folder of images"):
        data.load(tmp_path / "note.txt")


def test_name_must_be_text_or_a_path() -> None:
    with pytest.raises(TypeError, match="got 5"):
        data.load(5)


def test_auto_falls_back_to_shapes10_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "fastscratch.data"):
        train, _ = data.load("auto", tmp_path)
    assert train.name == "shapes10"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("data 'auto' takes shapes10: CIFAR-10 is not in ")
    assert "\n" not in record.getMessage()


def test_auto_falls_back_where_nothing_can_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(addresses: object, target: Path, md5: str) -> None:
        raise PermissionError(13, "Permission denied", str(target.parent))

    monkeypatch.setattr(cifar10, "download", refuse)
    with caplog.at_level(logging.WARNING, "fastscratch.data"):
        train, _ = data.load("auto", tmp_path)
    assert train.name == "shapes10"
    assert "Permission denied" in caplog.records[0].getMessage()


def test_auto_asks_each_address_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def failing(addresses: tuple[str, ...], target: Path, md5: str) -> None:
        asked.append((addresses, target.name, md5))
        raise data.DatasetNotFoundError("no network")

    monkeypatch.setattr(cifar10, "download", failing)
    data.load("auto", tmp_path)
    assert asked == [(cifar10.ADDRESSES, "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a")]


def test_auto_takes_cifar10_where_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = data.ImageDataset.from_arrays(np.zeros((2, 32, 32, 3), np.uint8), [0, 1], name="cifar10")
    monkeypatch.setattr(cifar10, "load", lambda root: (made, made))
    with caplog.at_level(logging.INFO, "fastscratch.data"):
        assert data.load("auto", tmp_path)[0] is made
    assert "takes cifar10" in caplog.text


def test_auto_does_not_pass_over_a_damaged_cifar10(tmp_path: Path) -> None:
    (tmp_path / cifar10.ARCHIVE).write_bytes(b"half of an archive")
    with pytest.raises(ValueError, match="not the official archive"):
        data.load("auto", tmp_path)


def test_root_is_argument_then_environment_then_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data.root().name == "fastscratch"
    monkeypatch.setenv("FASTSCRATCH_DATA", str(tmp_path / "env"))
    assert data.root() == tmp_path / "env"
    assert data.root(tmp_path / "argument") == tmp_path / "argument"
    monkeypatch.setenv("FASTSCRATCH_DATA", "")
    assert data.root().name == "fastscratch"
    assert data.root("~/sets") == Path.home() / "sets"


def test_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"must be a folder, .*file is a file"):
        data.load("cifar10", tmp_path / "file")


def test_describe_without_anything_neither_draws_nor_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((cifar10, "download"), (fashion_mnist, "download"), (shapes10, "draw")):
        monkeypatch.setattr(module, name, None)
    infos = data.describe(tmp_path)
    assert [info.name for info in infos] == list(data.DATASETS) == ["cifar10", "fashion-mnist", "shapes10"]
    assert all(info.place is None and info.train is None and info.test is None for info in infos)
    assert all(info.note.startswith("not ") for info in infos)
    assert list(tmp_path.iterdir()) == []


def test_describe_says_what_is_there_and_what_is_damaged(tmp_path: Path) -> None:
    train, test = data.load("shapes10", tmp_path)
    (tmp_path / cifar10.ARCHIVE).write_bytes(b"half of an archive")
    found = {info.name: info for info in data.describe(tmp_path)}
    drawn = found["shapes10"]
    assert drawn.train is not None
    assert drawn.test is not None
    assert (drawn.train.fingerprint, drawn.test.fingerprint) == (train.fingerprint, test.fingerprint)
    assert drawn.place == shapes10.find(tmp_path)
    assert drawn.note == ""
    damaged = found["cifar10"]
    assert damaged.train is None
    assert damaged.place == tmp_path / cifar10.ARCHIVE
    assert "not the official archive" in damaged.note


def test_every_named_set_can_be_described() -> None:
    assert [source.NAME for source, _ in catalog._SOURCES] == list(data.DATASETS)
