"""What a run ran on: the facts without which a time or a last digit means little."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

_MODEL = re.compile(r"^model name\s*:(.+)$", re.IGNORECASE | re.MULTILINE)


def describe_machine() -> dict[str, Any]:
    """Describe the computer and the libraries below the kernels.

    Returns
    -------
    dict
        ``platform``, ``cpu`` (model name), ``cores`` (that this process may use), ``python``, ``numpy``, and
        ``blas``: one entry a BLAS library loaded, with ``library``, ``version``, ``kernel`` (the processor
        family its code was chosen for), ``threads``.
    """
    from fastscratch_kernels import available_cores

    return {
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": available_cores(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": _blas_libraries(),
    }


def cpu_name() -> str:
    """Return the processor's model name; ``platform.processor()`` is often empty or a mere family.

    x86 Linux has it in a file; on arm64 only ``lscpu`` knows the name, on macOS ``sysctl``.
    """
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        text = ""
    if found := _MODEL.search(text):
        return found[1].strip()
    if sys.platform == "darwin":
        name = _said_by("sysctl", "-n", "machdep.cpu.brand_string").strip()
    else:
        name = found[1].strip() if (found := _MODEL.search(_said_by("lscpu"))) else ""
    return name or platform.processor() or platform.machine()


def _said_by(*command: str) -> str:
    """Return what a command prints, nothing where there is no such command."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def _blas_libraries() -> list[dict[str, Any]]:
    from threadpoolctl import threadpool_info

    return [
        {
            "library": os.path.basename(entry["filepath"]),
            "version": entry.get("version"),
            "kernel": entry.get("architecture"),
            "threads": entry["num_threads"],
        }
        for entry in threadpool_info()
        if entry["user_api"] == "blas"
    ]
