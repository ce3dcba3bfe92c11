"""Where data sets lie on this machine, and how a missing one is fetched, or given up within seconds."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

log = logging.getLogger("fastscratch.data")

# A download is given up once fewer than LEAST_BYTES came in PATIENCE seconds: this bounds name look-ups and stalls too.
PATIENCE = 8.0
LEAST_BYTES = 1 << 16


class DatasetNotFoundError(FileNotFoundError):
    """A data set is not on disk, and could not be downloaded either."""


class _DownloadError(Exception):
    """Why one address did not give the file."""


def root(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder in which data sets are looked for and kept.

    Parameters
    ----------
    path : path-like, optional
        That folder; by default what the environment variable ``FASTSCRATCH_DATA`` names, else ``fastscratch`` in the
        user's cache folder. It need not exist yet.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        The path is a file.
    """
    chosen = path or os.environ.get("FASTSCRATCH_DATA")
    if not chosen:
        import pooch

        chosen = pooch.os_cache("fastscratch")
    folder = Path(os.path.expanduser(chosen))
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"the data root must be a folder, {folder} is a file")
    return folder


def file_md5(path: Path) -> str:
    """Return the MD5 sum of a file, which identifies a published file (and is no protection from a forger)."""
    import pooch

    return str(pooch.file_hash(str(path), alg="md5"))


def download(addresses: Sequence[str], target: Path, md5: str) -> None:
    """Fetch a file from the first address that has it, and put it in its place once its MD5 sum is right.

    Each address is tried once. The file is written aside and renamed, so an interrupted download leaves nothing under
    the final name. An address that does not deliver costs at most `PATIENCE` seconds, even if a name look-up hangs.

    Parameters
    ----------
    addresses : sequence of str
        http or https URLs of the same file.
    target : Path
        Where it goes; folders are made.
    md5 : str
        Hex digits of its MD5 sum.

    Raises
    ------
    DatasetNotFoundError
        No address gave the right file; the message has the reason for each.
    OSError
        The folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    reasons = []
    for address in addresses:
        try:
            aside.touch()  # an unwritable folder is said before the network is asked
            log.info("downloading %s", address)
            _fetch(address, aside)
            got = file_md5(aside)
            if got != md5:
                raise _DownloadError(f"MD5 sum is {got}, expected {md5}")
            aside.replace(target)
            return
        except _DownloadError as error:
            reasons.append(f"{address}: {error}")
        finally:
            aside.unlink(missing_ok=True)
    raise DatasetNotFoundError("; ".join(reasons))


class _Meter:
    """Counts what arrives; in the form in which pooch reports progress. Stops its thread once given up."""

    total = 0

    def __init__(self) -> None:
        self.received = 0
        self.given_up = False

    def update(self, count: int) -> None:
        self.received += count
        if self.given_up:
            raise _DownloadError("given up")

    def reset(self) -> None:
        """Do nothing: pooch asks for it after the last byte."""

    close = reset


def _fetch(address: str, target: Path) -> None:
    """Download in a thread that is left behind as soon as too little arrives."""
    import pooch

    meter = _Meter()
    failures: list[Exception] = []
    answers: list[Any] = []
    get: Any = pooch.HTTPDownloader(
        progressbar=meter,
        chunk_size=1 << 14,
        timeout=(PATIENCE / 2, PATIENCE),
        hooks={"response": lambda answer, *_, **__: answers.append(answer)},
    )

    def work() -> None:
        try:
            get(address, str(target), None)
        except Exception as error:
            failures.append(error)
        finally:
            for answer in answers:
                answer.close()  # pooch leaves the connection of a broken download open

    thread = threading.Thread(target=work, name="fastscratch-download", daemon=True)
    thread.start()
    before = 0
    while True:
        thread.join(PATIENCE)
        if not thread.is_alive():
            break
        if meter.received - before < LEAST_BYTES:
            meter.given_up = True
            raise _DownloadError(f"{meter.received - before} bytes came in {PATIENCE:g} s")
        before = meter.received
    if failures:
        raise _DownloadError(_reason(failures[0])) from failures[0]


def _reason(error: Exception) -> str:
    """Say in a few words what requests says in three nested ones."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached"
    return str(error) or type(error).__name__
