"""Checkpoint files: exact, atomic, and suspicious of what they read."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import stat
import struct
from pathlib import Path

import numpy as np
import pytest

from fastscratch.training import checkpoint
from fastscratch.training.checkpoint import CheckpointError

ARRAYS = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "float64": np.array([np.pi, -0.0, np.inf, np.nan, 5e-324]),
    "int64": np.array(7),
    "empty": np.zeros((0, 3), np.float32),
    "strided": np.arange(12, dtype=np.float32).reshape(3, 4).T[::2],
}
META = {"lr": 0.1 + 0.2, "big": 2**127 + 1, "nested": {"list": [1, None, True, "é"]}}


@pytest.fixture
def file(tmp_path):
    """Return the path of a checkpoint that has another one before it."""
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, {"a": np.zeros(3, np.float32)}, {"number": 1})
    checkpoint.save(path, ARRAYS, META)
    return path


def test_everything_comes_back_with_its_bits(file):
    arrays, meta = checkpoint.load(file)
    assert meta == META
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        assert arrays[name].tobytes() == array.tobytes()


def test_a_folder_means_its_newest_checkpoint(file):
    assert checkpoint.load(file.parent)[1] == META


def test_the_previous_one_is_kept_and_nothing_else(file):
    assert sorted(os.listdir(file.parent)) == ["checkpoint.previous.safetensors", "checkpoint.safetensors"]
    assert checkpoint.load(checkpoint.previous_of(file))[1] == {"number": 1}


def test_without_keep_previous_the_previous_one_stays_what_it_was(file):
    checkpoint.save(file, {}, {"number": 3}, keep_previous=False)
    assert checkpoint.load(file)[1] == {"number": 3}
    assert checkpoint.load(checkpoint.previous_of(file))[1] == {"number": 1}


def test_a_file_system_without_hard_links_keeps_the_previous_one_too(file, monkeypatch):
    def no_links(source, target):
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    checkpoint.save(file, {}, {"number": 3})
    assert checkpoint.load(checkpoint.previous_of(file))[1] == META


def test_a_copy_that_finds_no_room_leaves_nothing_behind(file, monkeypatch):
    def no_links(source, target):
        raise OSError("no hard links here")

    def no_room(source, target):
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(shutil, "copyfile", no_room)
    with pytest.raises(CheckpointError, match="No space left on device"):
        checkpoint.save(file, {}, {"number": 3})
    assert sorted(os.listdir(file.parent)) == ["checkpoint.previous.safetensors", "checkpoint.safetensors"]
    assert checkpoint.load(file)[1] == META


def test_a_file_system_that_does_not_flush_folders_will_do(file, monkeypatch):
    real = os.fsync

    def files_alone(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", files_alone)
    checkpoint.save(file, {}, {"number": 3})
    assert checkpoint.load(file)[1] == {"number": 3}


@pytest.mark.parametrize(
    ("function", "at_call"), [("fsync", 1), ("link", 1), ("replace", 1), ("replace", 2), ("fsync", 2)]
)
def test_a_failure_at_any_point_leaves_two_sound_files(file, monkeypatch, function, at_call):
    real, calls = getattr(os, function), []

    def failing(*args, **kwargs):
        calls.append(args)
        if len(calls) == at_call:
            raise ZeroDivisionError
        return real(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(os, function, failing)
        with pytest.raises(ZeroDivisionError):
            checkpoint.save(file, {}, {"number": 3})
    assert checkpoint.load(file)[1] in (META, {"number": 3})
    assert checkpoint.load(checkpoint.previous_of(file))[1] in ({"number": 1}, META)
    checkpoint.save(file, {}, {"number": 4})
    assert checkpoint.load(file)[1] == {"number": 4}


def test_a_full_disk_is_one_clear_error_and_the_old_file_stays(file):
    big = {"a": np.random.default_rng(0).random(100_000)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))  # a write beyond it fails as on a full disk
    try:
        with pytest.raises(CheckpointError, match=r"cannot be written: File too large; the one that is there is as"):
            checkpoint.save(file, big, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoint.load(file)[1] == META
    assert sorted(os.listdir(file.parent)) == ["checkpoint.previous.safetensors", "checkpoint.safetensors"]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot be written: Not a directory$"):
        checkpoint.save(tmp_path / "file" / "run" / "checkpoint.safetensors", {}, {})


@pytest.mark.parametrize("meta", [{"a": float("nan")}, {"a": object()}, {"a": np.zeros(1)}])
def test_what_json_cannot_hold_is_refused(file, meta):
    with pytest.raises((TypeError, ValueError), match="JSON"):
        checkpoint.save(file, {}, meta)
    assert checkpoint.load(file)[1] == META


def _header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


def _tensor(shape, offsets, dtype="F32") -> bytes:
    return _header(json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode())


DAMAGED = {
    "empty": lambda whole: b"",
    "truncated header": lambda whole: whole[:20],
    "truncated data": lambda whole: whole[:-1],
    "longer than it says": lambda whole: whole + b"\0",
    "zeros": lambda whole: bytes(len(whole)),
    "one bit of data flipped": lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),
    "one digit of the description changed": lambda whole: whole.replace(b"0.30000000000000004", b"0.30000000000000005"),
    "header of 2^63 bytes": lambda whole: _header(b"{}", 2**63),
    "header longer than the file": lambda whole: _header(b"{}", 10**6),
    "header no JSON": lambda whole: _header(b"{x"),
    "array larger than the file": lambda whole: _tensor([2**40], [0, 2**42]),
    "size that overflows": lambda whole: _tensor([2**62, 2**62], [0, 0]),
    "negative size": lambda whole: _tensor([-1], [0, 4]) + bytes(4),
    "offsets that lie": lambda whole: _tensor([1], [2, 6]) + bytes(8),
    "dtype NumPy lacks": lambda whole: _tensor([2], [0, 4], "BF16") + bytes(4),
    "no checkpoint of ours": lambda whole: _tensor([1], [0, 4]) + bytes(4),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_one_clear_error_that_names_the_one_before(file, damage):
    whole = file.read_bytes()
    assert damage(whole) != whole
    file.write_bytes(damage(whole))
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(file)
    message = str(caught.value)
    assert message.startswith(f"checkpoint {file} cannot be read: ")
    before = checkpoint.previous_of(file)
    assert message.endswith(f"; the checkpoint before it is {before}: rename it to {file.name} to go on from there")
    assert "\n" not in message
    assert not checkpoint.is_sound(file)


def test_without_a_previous_one_none_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"truncated or damaged: [^;]*$"):
        checkpoint.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000])
def test_a_description_that_is_no_object_is_refused(tmp_path, text):
    from safetensors.numpy import save_file

    header = {"format": checkpoint.FORMAT, "meta": text, "sha256": checkpoint._digest({}, text)}
    save_file({}, tmp_path / "a.safetensors", header)
    with pytest.raises(CheckpointError, match="its description is"):
        checkpoint.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["", "nothing.safetensors"])
def test_a_missing_file_is_one_clear_error(tmp_path, name):
    with pytest.raises(CheckpointError, match=r"safetensors cannot be read: there is no such file$"):
        checkpoint.load(tmp_path / name)
