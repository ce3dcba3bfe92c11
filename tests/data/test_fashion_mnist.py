"""Fashion-MNIST: IDX files, plain and gzip, where they are found, and what is wrong with a damaged one."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fastscratch.data import DatasetNotFoundError, fashion_mnist, load


@pytest.fixture(autouse=True)
def no_system_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine has installed must not matter."""
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "no-such-package")


def idx(array: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def arrays(n_train: int = 7, n_test: int = 3) -> dict[str, NDArray[np.uint8]]:
    rng = np.random.default_rng(4)
    return {
        "train-images-idx3-ubyte": rng.integers(0, 256, (n_train, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": rng.integers(0, 10, n_train, dtype=np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (n_test, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": rng.integers(0, 10, n_test, dtype=np.uint8),
    }


def make(folder: Path, *, zipped: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays().items():
        raw = idx(array)
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(raw) if zipped else raw)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("where", [".", "fashion-mnist", "FashionMNIST/raw"])
def test_files_are_found_and_read(tmp_path: Path, where: str, zipped: bool) -> None:
    make(tmp_path / where, zipped=zipped)
    train, test = load("fashion-mnist", tmp_path)
    expected = arrays()
    assert train.images.shape == (7, 28, 28, 1)
    assert np.array_equal(train.images[..., 0], expected["train-images-idx3-ubyte"])
    assert np.array_equal(test.labels, expected["t10k-labels-idx1-ubyte"])
    assert train.classes[9] == "ankle boot"
    assert train.name == "fashion-mnist"


def test_system_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN", make(tmp_path / "package", zipped=True))
    assert len(load("fashion-mnist", tmp_path / "root")[0]) == 7


def test_some_files_plain_some_zipped(tmp_path: Path) -> None:
    make(tmp_path)
    plain = tmp_path / "t10k-images-idx3-ubyte"
    plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert len(load("fashion-mnist", tmp_path)[1]) == 3


@pytest.mark.parametrize("zipped", [False, True])
def test_truncated_anywhere_is_one_error(tmp_path: Path, zipped: bool) -> None:
    make(tmp_path, zipped=zipped)
    path = tmp_path / ("train-images-idx3-ubyte.gz" if zipped else "train-images-idx3-ubyte")
    whole = path.read_bytes()
    for length in sorted({*range(40), *np.linspace(40, len(whole) - 1, 30).astype(int).tolist()}):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=str(path)):
            load("fashion-mnist", tmp_path)


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("train-images-idx3-ubyte", idx(np.zeros((7, 28, 28), np.uint8)) + b"x", r"promises \(7, 28, 28\), 5489 bytes"),
        ("train-images-idx3-ubyte", b"\x00\x00\x09\x03" + b"\0" * 20, "no IDX file of bytes with 3 axes"),
        ("train-images-idx3-ubyte", idx(np.zeros(7, np.uint8)), "3 axes: it starts with '00 00 08 01'"),
        ("train-images-idx3-ubyte", b"\x00\x00\x08\x03" + b"\xff" * 12, r"promises \(4294967295, "),
        ("train-images-idx3-ubyte", idx(np.zeros((7, 14, 56), np.uint8)), r"\(n, 28, 28\), got \(7, 14, 56\)"),
        ("train-images-idx3-ubyte", idx(np.zeros((0, 28, 28), np.uint8)), r"got \(0, 28, 28\)"),
        ("train-labels-idx1-ubyte", idx(np.zeros(6, np.uint8)), "6 labels for the 7 images"),
        ("train-labels-idx1-ubyte", idx(np.full(7, 10, np.uint8)), r"0\.\.9, got 10"),
        ("train-labels-idx1-ubyte", b"\x1f\x8bnot gzip", "cannot be read"),
        ("train-labels-idx1-ubyte", b"<html>404</html>", "no IDX file .* starts with '3c 68 74 6d'"),
    ],
)
def test_wrong_content_names_the_file(tmp_path: Path, name: str, raw: bytes, words: str) -> None:
    make(tmp_path)
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(ValueError, match=f"{name}.*{words}"):
        load("fashion-mnist", tmp_path)


def test_download_that_fails_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "ADDRESSES", ("http://127.0.0.1:1/", "http://127.0.0.1:2/"))
    make(tmp_path / "fashion-mnist")
    (tmp_path / "fashion-mnist" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(
        DatasetNotFoundError, match=r"127.0.0.1:1/t10k-labels-idx1-ubyte.gz: cannot be reached; http://127.0.0.1:2/t10k"
    ):
        load("fashion-mnist", tmp_path)


def test_read_of_a_folder_that_lacks_a_file(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="lacks t10k-images-idx3-ubyte or t10k-labels-idx1-ubyte"):
        fashion_mnist.read(tmp_path)
