"""Downloads: from a server of this test, on this machine, that answers well, wrongly, slowly or not at all."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fastscratch.data import DatasetNotFoundError, _files

BODY = bytes(range(256)) * 1200
MD5 = hashlib.md5(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    asked: list[str]
    released: threading.Event

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/silent":
            self.released.wait(20)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        if self.path == "/cut":
            self.wfile.write(BODY[:1000])
        elif self.path == "/trickle":
            while not self.released.wait(0.05):
                try:
                    self.wfile.write(b"x" * 10)
                except OSError:
                    return
        else:
            self.wfile.write(BODY if self.path == "/good" else BODY[::-1])

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    Handler.asked, Handler.released = [], threading.Event()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    Handler.released.set()
    httpd.shutdown()
    httpd.server_close()
    for left in threading.enumerate():
        if left.name == "fastscratch-download":
            left.join(10)
            assert not left.is_alive(), "a thread that was given up must end by itself"


def test_file_is_put_in_its_place(server: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.gz"
    _files.download([f"{server}/good"], target, MD5)
    assert target.read_bytes() == BODY
    assert list(target.parent.iterdir()) == [target]


def test_next_address_is_tried_once_each(server: str, tmp_path: Path) -> None:
    target = tmp_path / "file.gz"
    _files.download([f"{server}{path}" for path in ("/missing", "/other", "/cut", "/good")], target, MD5)
    assert target.read_bytes() == BODY
    assert Handler.asked == ["/missing", "/other", "/cut", "/good"]


def test_every_reason_is_given_and_nothing_is_left(server: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError) as caught:
        _files.download([f"{server}{path}" for path in ("/missing", "/other", "/cut")], tmp_path / "file.gz", MD5)
    missing, other, cut = str(caught.value).split("; ")
    assert missing == f"{server}/missing: the server answers 404 Not Found"
    assert f"/other: MD5 sum is {hashlib.md5(BODY[::-1]).hexdigest()}, expected {MD5}" in other
    assert "/cut: " in cut
    assert list(tmp_path.iterdir()) == []


def test_old_file_stays_if_the_new_one_is_wrong(server: str, tmp_path: Path) -> None:
    target = tmp_path / "file.gz"
    target.write_bytes(b"old")
    with pytest.raises(DatasetNotFoundError):
        _files.download([f"{server}/other"], target, MD5)
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("path", "words"), [("/silent", "no answer in time|0 bytes came in"), ("/trickle", "bytes came in 0.6 s")]
)
def test_slow_server_costs_only_patience(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    monkeypatch.setattr(_files, "PATIENCE", 0.6)
    began = time.perf_counter()
    with pytest.raises(DatasetNotFoundError, match=words):
        _files.download([f"{server}{path}"], tmp_path / "file.gz", MD5)
    assert time.perf_counter() - began < 4
    assert list(tmp_path.iterdir()) == []


def test_name_lookup_that_hangs_costs_only_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "PATIENCE", 0.5)
    released = threading.Event()

    def hang(*_: object, **__: object) -> None:
        released.wait(20)
        raise socket.gaierror("released")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.perf_counter()
    with pytest.raises(DatasetNotFoundError, match=r"0 bytes came in 0\.5 s"):
        _files.download(["http://name.invalid/file"], tmp_path / "file.gz", MD5)
    assert time.perf_counter() - began < 4
    released.set()
    for left in threading.enumerate():
        if left.name == "fastscratch-download":
            left.join(10)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_place_is_said_before_the_network_is_asked(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file") as caught:
        _files.download([f"{server}/good"], tmp_path / "file" / "below.gz", MD5)
    assert not isinstance(caught.value, DatasetNotFoundError)
    assert Handler.asked == []
