"""What a run ran on: the facts without which a time or a last digit means little."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np


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
    """Return the processor's model name; on Linux ``platform.processor()`` is often empty or a mere family."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


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
