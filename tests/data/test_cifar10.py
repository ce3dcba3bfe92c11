"""CIFAR-10: the official layout in all its forms, and files that are damaged or mean harm."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastscratch.data import DatasetNotFoundError, cifar10, load
from fastscratch.data._unpickle import RefusedError, load_plain

Writer = Callable[[dict[str, Any]], bytes]


def python3(protocol: int, numpy_1: bool = False) -> Writer:
    def write(value: dict[str, Any]) -> bytes:
        raw = pickle.dumps(value, protocol)
        return raw.replace(b"cnumpy._core.", b"cnumpy.core.") if numpy_1 else raw

    return write


def python2(value: Any) -> bytes:
    """Pickle as Python 2 and NumPy 1 wrote the official files: byte strings, old module names."""

    def body(value: Any) -> bytes:
        match value:
            case bytes() | str():
                text = value.encode() if isinstance(value, str) else value
                return b"T" + struct.pack("<i", len(text)) + text
            case int():
                return b"J" + struct.pack("<i", value)
            case list():
                return b"](" + b"".join(map(body, value)) + b"e"
            case tuple():
                return b"(" + b"".join(map(body, value)) + b"t"
            case dict():
                return b"}(" + b"".join(body(k) + body(v) for k, v in value.items()) + b"u"
            case np.ndarray():
                made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + body((0,)) + body(b"b") + b"tR"
                dtype = b"cnumpy\ndtype\n(" + body(b"u1") + body(0) + body(1) + b"tR"
                dtype += b"(" + body(3) + body(b"|") + b"NNN" + body(-1) + body(-1) + body(0) + b"tb"
                return made + b"(" + body(1) + body(value.shape) + dtype + b"I00\n" + body(value.tobytes()) + b"tb"
        raise TypeError(type(value))

    return b"\x80\x02" + body(value) + b"."


WRITERS: dict[str, Writer] = {
    "python2": python2,
    "protocol2-numpy1": python3(2, numpy_1=True),
    "protocol2": python3(2),
    "protocol4": python3(4),
    "protocol5": python3(5),
}


def batch(seed: int, n: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
    return {"data": data, "labels": rng.integers(0, 10, n).tolist()}


def contents(write: Writer = python2) -> dict[str, bytes]:
    files = {name: write(batch(seed)) for seed, name in enumerate((*cifar10.TRAIN_FILES, cifar10.TEST_FILE))}
    return files | {cifar10.NAMES_FILE: write({"label_names": list(cifar10.CLASSES)})}


def make_folder(root: Path, files: dict[str, bytes]) -> Path:
    folder = root / cifar10.FOLDER
    folder.mkdir()
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    return folder


def make_archive(root: Path, files: dict[str, bytes], *more: tarfile.TarInfo) -> Path:
    path = root / cifar10.ARCHIVE
    with tarfile.open(path, "w:gz") as tar:
        for name, raw in files.items():
            member = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
        for member in more:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def trust(monkeypatch: pytest.MonkeyPatch, archive: Path) -> None:
    """Take this archive for the official one."""
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", hashlib.md5(archive.read_bytes()).hexdigest())


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_folder_is_read_in_every_dialect(tmp_path: Path, write: Writer) -> None:
    make_folder(tmp_path, contents(write))
    train, test = load("cifar10", tmp_path)
    assert train.images.shape == (20, 32, 32, 3)
    assert test.images.shape == (4, 32, 32, 3)
    assert (train.name, train.classes) == ("cifar10", cifar10.CLASSES)
    # A row holds the red plane, then green, then blue, each row by row.
    third = batch(2)
    assert train.labels[8:12].tolist() == third["labels"]
    assert train.images[9, 5, 7].tolist() == [third["data"][1, plane * 1024 + 5 * 32 + 7] for plane in range(3)]
    assert train.images.flags.c_contiguous


def test_root_may_be_the_folder_itself_or_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(tmp_path, contents())
    monkeypatch.setenv("FASTSCRATCH_DATA", str(tmp_path))
    assert load("cifar10", folder)[0].fingerprint == load("cifar10")[0].fingerprint
    renamed = folder.rename(tmp_path / "batches")
    assert cifar10.find(renamed) == renamed


def test_archive_holds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust(monkeypatch, make_archive(tmp_path, contents()))
    from_archive = load("cifar10", tmp_path)
    assert not (tmp_path / cifar10.FOLDER).exists()
    make_folder(tmp_path, contents())
    assert [part.fingerprint for part in load("cifar10", tmp_path)] == [part.fingerprint for part in from_archive]


def test_other_archive_is_refused_by_its_sum(tmp_path: Path) -> None:
    archive = make_archive(tmp_path, contents())
    with pytest.raises(ValueError, match=f"{archive} is not the official archive.*{cifar10.ARCHIVE_MD5}"):
        load("cifar10", tmp_path)


def test_members_that_lead_elsewhere_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    outside = tarfile.TarInfo("../outside")
    outside.size = 3
    absolute = tarfile.TarInfo(str(tmp_path / "absolute"))
    absolute.size = 3
    files = contents()
    del files["data_batch_3"]
    link = tarfile.TarInfo(f"{cifar10.FOLDER}/data_batch_3")
    link.type, link.linkname = tarfile.SYMTYPE, "../../secret"
    (tmp_path / "secret").write_bytes(python2(batch(2)))
    trust(monkeypatch, make_archive(root, files, outside, absolute, link))
    with pytest.raises(FileNotFoundError, match=r"holds no file cifar-10-batches-py/data_batch_3"):
        load("cifar10", root)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root", "secret"]
    assert [path.name for path in root.iterdir()] == [cifar10.ARCHIVE]


def test_archive_truncated_anywhere_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_archive(tmp_path, contents())
    whole = archive.read_bytes()
    for length in np.linspace(0, 0.95 * len(whole), 12).astype(int):  # what follows is padding
        archive.write_bytes(whole[:length])
        trust(monkeypatch, archive)
        with pytest.raises((ValueError, FileNotFoundError), match=str(archive)):
            load("cifar10", tmp_path)


@pytest.mark.parametrize("write", [WRITERS["python2"], WRITERS["protocol5"]], ids=["python2", "protocol5"])
def test_batch_truncated_anywhere_is_one_error(tmp_path: Path, write: Writer) -> None:
    folder = make_folder(tmp_path, contents(write))
    path = folder / "data_batch_4"
    whole = path.read_bytes()
    lengths = {*range(0, 240, 3), *np.linspace(240, len(whole) - 1, 40).astype(int).tolist()}
    for length in sorted(lengths):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f"{path} "):
            load("cifar10", tmp_path)


def test_damaged_bytes_never_escape_as_another_error(tmp_path: Path, rng: np.random.Generator) -> None:
    whole = python2(batch(0, n=1))
    head = len(whole) - 3100  # all but the pixels and what follows
    for _ in range(400):
        raw = bytearray(whole)
        raw[rng.integers(head)] = rng.integers(256)
        with contextlib.suppress(ValueError):  # what is damaged may still be a batch, of other numbers
            images, labels = cifar10._read_batch(bytes(raw), "batch")
            assert images.shape == (len(labels), 32, 32, 3)


def evil(target: Path) -> Any:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {target}",)

    return Evil()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_malicious_batch_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "owned"
    folder = make_folder(tmp_path, contents())
    (folder / "data_batch_2").write_bytes(pickle.dumps({"data": evil(target), "labels": [0]}, protocol))
    with pytest.raises(ValueError, match=r"data_batch_2 asks for (posix|nt)\.system"):
        load("cifar10", tmp_path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("raw", "refused"),
    [
        (b"cbuiltins\neval\n(S'1'\ntR.", r"builtins\.eval"),
        (b"c__builtin__\neval\n(S'1'\ntR.", r"__builtin__\.eval"),
        (b"cnumpy\nload\n(S'x'\ntR.", r"numpy\.load"),
        (b"cnumpy\nndarray.tofile\n.", r"numpy\.ndarray\.tofile"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", r"numpy\.ndarray\.tofile"),
        (b"cfunctools\npartial\n.", r"functools\.partial"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00bz2tR.", "encoding 'bz2'"),
        (b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8K\x00K\x01tR.", "array of 'O8'"),
        (pickle.dumps(np.array([{}], dtype=object), 2), "array of 'O8'"),
        (pickle.dumps(np.zeros(3, np.float32), 2), "array of 'f4'"),
    ],
)
def test_other_names_are_refused(raw: bytes, refused: str) -> None:
    with pytest.raises(RefusedError, match=refused):
        load_plain(raw)


def test_pickle_cannot_change_the_reader() -> None:
    """State set on a stand-in itself, rather than on what it makes, is an error and leaves no mark."""
    for name in (b"numpy\nndarray", b"numpy\ndtype", b"_codecs\nencode"):
        raw = b"c" + name + b"\n(N}X\x04\x00\x00\x00markX\x01\x00\x00\x00xstb."
        with contextlib.suppress(ValueError):
            load_plain(raw)
        assert load_plain(pickle.dumps({"a": np.arange(6, dtype=np.uint8).reshape(2, 3)}, 2))["a"].tolist() == [
            [0, 1, 2],
            [3, 4, 5],
        ]
    from fastscratch.data import _unpickle

    assert not hasattr(_unpickle.StoredArray, "mark")
    assert not hasattr(_unpickle.StoredDtype, "mark")


def test_columns_first_arrays_keep_their_values() -> None:
    array = np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    for protocol in (2, 5):
        assert np.array_equal(load_plain(pickle.dumps({"a": array}, protocol))["a"], array)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": None}, "'data' must be a uint8 array .* got NoneType"),
        ({"data": np.zeros((4, 3071), np.uint8)}, r"got shape \(4, 3071\)"),
        ({"data": np.zeros(3072, np.uint8)}, r"got shape \(3072,\)"),
        ({"data": np.zeros((0, 3072), np.uint8), "labels": []}, r"got shape \(0, 3072\)"),
        ({"labels": [0, 1, 2]}, "list of 4 whole numbers"),
        ({"labels": [0, 1, 2, "3"]}, "list of 4 whole numbers"),
        ({"labels": "0123"}, "list of 4 whole numbers"),
        ({"labels": [0, 1, 2, 10]}, r"0\.\.9, got values from 0 to 10"),
        ({"labels": [0, -1, 2, 3]}, "from -1 to 3"),
    ],
)
def test_wrong_content_names_the_file(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    folder = make_folder(tmp_path, contents())
    (folder / "test_batch").write_bytes(pickle.dumps(batch(0) | change))
    with pytest.raises(ValueError, match=f"test_batch: .*{words}"):
        load("cifar10", tmp_path)


def test_batch_that_is_no_dict(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, contents())
    (folder / "data_batch_1").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match="data_batch_1 must hold a dict, holds list"):
        load("cifar10", tmp_path)


def test_missing_batch_is_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, contents())
    (folder / "data_batch_5").unlink()
    with pytest.raises(FileNotFoundError, match="data_batch_5 is missing"):
        load("cifar10", tmp_path)


def test_names_file_is_checked_where_it_is(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, contents())
    meta = folder / cifar10.NAMES_FILE
    for names in (["cat"] * 10, None):
        meta.write_bytes(python2({"label_names": names} if names else {}))
        with pytest.raises(ValueError, match=r"batches\.meta: 'label_names' must be"):
            load("cifar10", tmp_path)
    meta.unlink()
    assert load("cifar10", tmp_path)[0].num_classes == 10


def test_download_that_fails_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "ADDRESSES", ("http://127.0.0.1:1/cifar.tar.gz",))
    with pytest.raises(DatasetNotFoundError, match=f"not in {tmp_path} .*127.0.0.1:1.*cannot be reached"):
        load("cifar10", tmp_path)
    assert list(tmp_path.iterdir()) == []
