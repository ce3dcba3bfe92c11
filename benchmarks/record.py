"""Results files: what was measured, on what machine, at which commit, and whether the machine was busy."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastscratch.training.atomic import write_atomically
from fastscratch.training.machine import describe_machine
from fastscratch_kernels import backends, built_by, isa

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PACKAGES = ("fastscratch", "numpy", "numba", "llvmlite", "cython", "torch", "torchvision", "jax")
# Settings from outside that change speed.
VARIABLES = re.compile(
    r"^(OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|NUMBA|FASTSCRATCH|MALLOC|DNNL|ONEDNN|TORCH|ATEN)_|^LD_PRELOAD$|^GLIBC_TUNABLES$"
)
BUSY = 0.1
"""Share of the machine that others may use before a warning says so."""

UNDER_WAY = ", under way"
"""Behind the name of a section that does not yet take the place of a complete one."""

LOADS = ("load_before", "load_during", "load_after")
"""Keys of a section that tell what share of the machine others used."""

WHOLE = ("out", "layers", "compile")
"""Options with which a script still measures all that its tables show; with any other it measures a part."""


def _git(*arguments: str) -> str:
    """Return what git says, nothing where there is no git or no repository."""
    try:
        done = subprocess.run(["git", "-C", str(HERE), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Describe machine, versions, settings and commit."""
    described = describe_machine()
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        **described,
        "isa": isa(),
        "backends": backends(),
        "versions": versions,
        "torch_cuda": _torch_cuda(),
        "built_by": built_by(),
        "environment": {name: value for name, value in sorted(os.environ.items()) if VARIABLES.match(name)},
        "commit": _git("rev-parse", "--short=9", "HEAD") or None,
        "changed": _git("status", "--porcelain", "--", ":(top)", f":(exclude){RESULTS}").splitlines(),
        "date": datetime.date.today().isoformat(),
    }


def _torch_cuda() -> str | None:
    """Return the CUDA version that PyTorch was built for, whose libraries it loads without a GPU, too."""
    found = importlib.util.find_spec("torch")
    folders = found.submodule_search_locations if found else None
    try:
        text = Path(folders[0], "version.py").read_text() if folders else ""
    except OSError:
        return None
    version = re.search(r"^cuda(?:: [^=]+)? = '([^']+)'", text, re.MULTILINE)
    return version[1] if version else None


def default_path(described: dict[str, Any], *, is_part: bool = False) -> Path:
    """Return ``results/<cpu>-<date>-<commit>.json``; parts and quick runs get a file of their own."""
    words = f"{described['cpu']} {described['isa'] or ''}".lower()
    cpu = "-".join(re.findall(r"[a-z0-9]+", words))
    end = "-part" if is_part else ""
    return RESULTS / f"{cpu}-{described['date']}-{described['commit'] or 'unknown'}{end}.json"


def busy(seconds: float = 0.5) -> float | None:
    """Return the share of all cores that was in use while this process slept, None where that cannot be told."""
    others = _Others()
    time.sleep(seconds)
    return others.share()


class _Others:
    """The share of the machine that was not used by this process and the children it has waited for."""

    def __init__(self) -> None:
        self._before = self._times()

    def share(self) -> float | None:
        """Return the share since this was made, None where that cannot be told."""
        after = self._times()
        if self._before is None or after is None:
            return None
        total, used, own = (b - a for a, b in zip(self._before, after, strict=True))
        return min(1.0, max(0.0, (used - own) / total)) if total > 0 else 0.0

    @staticmethod
    def _times() -> tuple[float, float, float] | None:
        """Return seconds since the start of all cores: all of them, those in use, those of this process."""
        try:
            values = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        except OSError:
            return None
        tick = os.sysconf("SC_CLK_TCK")
        idle = values[3] + values[4]  # and waiting for a disk
        return sum(values) / tick, (sum(values) - idle) / tick, sum(os.times()[:4])


def is_complete(part: Mapping[str, Any]) -> bool:
    """Return whether a section was measured to its end; older files tell by the load after it."""
    return bool(part.get("complete", "load_after" in part))


class Section:
    """One script's part of a results file, written after each row so that a stop loses nothing.

    A complete section of the same name stays in the file until this one is complete, too.

    Parameters
    ----------
    name : str
        Key in the file.
    settings : dict
        What the script was told.
    path : str
        The file; "" takes `default_path`.
    """

    def __init__(self, name: str, settings: dict[str, Any], path: str = "") -> None:
        self.machine = machine()
        self.is_part = bool(settings.get("quick") or settings.get("part"))
        self.is_named = bool(path)
        self.path = Path(path) if path else default_path(self.machine, is_part=self.is_part)
        self.name = name
        self.failures: list[str] = []
        self.is_stopped = False
        self.data: dict[str, Any] = {
            "settings": settings,
            "machine": self.machine,
            "complete": False,
            "rows": [],
            "failures": self.failures,
        }

    def take_up(self) -> list[dict[str, Any]]:
        """Take over and return the rows of a stopped measurement with the same settings at the same commit.

        How busy the machine was meanwhile stays beside them, as ``earlier``. Where the file was not named, one of
        another day will do.
        """
        for part in self._stopped():
            if part["rows"] and self._is_same(part):
                this = {key: part.get(key) for key in ("at", *LOADS)}
                self.data |= {"rows": part["rows"], "earlier": [*part.get("earlier", []), this]}
                break
        rows: list[dict[str, Any]] = self.data["rows"]
        return rows

    def _stopped(self) -> Iterator[dict[str, Any]]:
        """Yield this script's measurements that were stopped, those of the newest file first."""
        files = [self.path] if self.path.exists() else []
        if not self.is_named:
            any_day = default_path(self.machine | {"date": "????-??-??"}, is_part=self.is_part)
            files = sorted(any_day.parent.glob(any_day.name), reverse=True)
        for sections in (load(file).get("sections", {}) for file in files):
            for name in (self.name + UNDER_WAY, self.name):
                if name in sections and not is_complete(sections[name]):
                    yield sections[name]

    def _is_same(self, part: Mapping[str, Any]) -> bool:
        """Return whether a section was measured with these settings, of this code."""
        told = [{key: value for key, value in one["settings"].items() if key != "out"} for one in (part, self.data)]
        return told[0] == told[1] and _code(part.get("machine")) == _code(self.machine)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row and write the file."""
        self.data["rows"].append(row)
        self.write()

    def fail(self, what: str, error: Exception) -> None:
        """Say what could not be measured and why, here and in the file; the other rows are still worth having."""
        self.failures.append(f"{what}: {error}")
        print(f"failed: {self.failures[-1]}", file=sys.stderr)
        self.write()

    def write(self) -> None:
        """Put this section into the file; the other sections stay."""
        whole = load(self.path) if self.path.exists() else {}
        whole["machine"] = self.machine
        sections = whole.setdefault("sections", {})
        before = sections.get(self.name)
        if self.data["complete"] or before is None or not is_complete(before):
            sections[self.name] = self.data
            sections.pop(self.name + UNDER_WAY, None)
        else:
            sections[self.name + UNDER_WAY] = self.data
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, (json.dumps(whole, indent=1) + "\n").encode())


def _code(described: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    return (described["commit"], described["changed"]) if described else None


def settings_of(options: Any) -> dict[str, Any]:
    """Return what a script was told, and as ``part`` whether that is less than its pages' tables show."""
    told = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    usual = {field.name: field.default for field in dataclasses.fields(options)}
    return told | {"part": any(told[name] != usual[name] for name in told if name not in WHOLE)}


@contextmanager
def section(name: str, settings: dict[str, Any], path: str = "") -> Iterator[Section]:
    """Open a section, and note the load before and after; a busy machine is told on the standard error stream."""
    opened = Section(name, settings, path)
    opened.data["at"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    opened.data["load_before"] = _load("before")
    others = _Others()
    try:
        yield opened
        opened.data["complete"] = not opened.is_stopped
    finally:
        opened.data["load_during"] = {"busy": _warned("during", others.share())}
        opened.data["load_after"] = _load("after")
        opened.write()
    print(f"\nresults: {opened.path}")


def _load(when: str) -> dict[str, Any]:
    return {"busy": _warned(when, busy()), "average": list(os.getloadavg())}


def _warned(when: str, share: float | None) -> float | None:
    """Return `share`; say so at once where others use more of the machine than a measurement should bear."""
    if share is not None and share > BUSY:
        print(f"warning: others used {100 * share:.0f} % of the machine {when} the measurement", file=sys.stderr)
    return share


def load(path: Path) -> dict[str, Any]:
    """Return a results file."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content
