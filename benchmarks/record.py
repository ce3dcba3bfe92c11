"""Results files: what was measured, on what machine, at which commit, and whether the machine was busy."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
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
    versions = {}
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
        "built_by": built_by(),
        "environment": {name: value for name, value in sorted(os.environ.items()) if VARIABLES.match(name)},
        "commit": _git("rev-parse", "--short=9", "HEAD") or None,
        "changed": _git("status", "--porcelain", "--", ":(top)", f":(exclude){RESULTS}").splitlines(),
        "date": datetime.date.today().isoformat(),
    }


def default_path(described: dict[str, Any]) -> Path:
    """Return ``results/<cpu>-<date>-<commit>.json``."""
    words = f"{described['cpu']} {described['isa'] or ''}".lower()
    cpu = "-".join(re.findall(r"[a-z0-9]+", words))
    return RESULTS / f"{cpu}-{described['date']}-{described['commit'] or 'unknown'}.json"


def busy(seconds: float = 0.5) -> float | None:
    """Return the share of all cores that was in use while this process slept, None where that cannot be told."""

    def times() -> tuple[int, int]:
        values = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return sum(values), values[3] + values[4]  # all; idle and waiting for a disk

    try:
        before = times()
        time.sleep(seconds)
        after = times()
    except OSError:
        return None
    total = after[0] - before[0]
    return 1 - (after[1] - before[1]) / total if total else 0.0


class Section:
    """One script's part of a results file, written after each row so that a stop loses nothing.

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
        self.path = Path(path) if path else default_path(self.machine)
        self.name = name
        self.failures: list[str] = []
        self.data: dict[str, Any] = {"settings": settings, "rows": [], "failures": self.failures}

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
        whole = json.loads(self.path.read_text()) if self.path.exists() else {}
        whole["machine"] = self.machine
        whole.setdefault("sections", {})[self.name] = self.data
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, (json.dumps(whole, indent=1) + "\n").encode())


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
    opened.data["load_before"] = {"busy": busy(), "average": list(os.getloadavg())}
    yield opened
    opened.data["load_after"] = {"busy": busy(), "average": list(os.getloadavg())}
    opened.write()
    for when in ("before", "after"):
        share = opened.data[f"load_{when}"]["busy"]
        if share is not None and share > BUSY:
            warning = f"warning: others used {100 * share:.0f} % of the machine {when} the measurement"
            print(warning, file=sys.stderr)
    print(f"\nresults: {opened.path}")


def load(path: Path) -> dict[str, Any]:
    """Return a results file."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content
