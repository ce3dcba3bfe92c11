"""What this installation has, what it lacks, and why: versions, BLAS, kernels, threads, caches."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastscratch_kernels
from fastscratch.training.atomic import nearest_existing
from fastscratch.training.machine import describe_machine

CPU_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    topic : str
        What it is about.
    text : str
        What was found, in one line.
    trouble : bool
        Whether it keeps something from working, or from working fast.
    """

    topic: str
    text: str
    trouble: bool = False


def examine() -> list[Finding]:
    """Look at everything a run depends on.

    Returns
    -------
    findings : list of Finding
        In a fixed order. Missing Cython kernels are trouble, for all runs are slower without; so is a backend that was
        asked for and cannot be had.
    """
    machine = describe_machine()
    return [
        _version(),
        Finding("Python", f"{machine['python']} ({sys.executable})"),
        Finding("system", machine["platform"]),
        Finding("processor", machine["cpu"]),
        *_vector_units(),
        Finding("NumPy", machine["numpy"]),
        *_blas(machine["blas"]),
        *_backends(),
        *_openmp(),  # after the backends: the runtime comes with their kernels
        *_threads(),
        *_caches(),
    ]


def _version() -> Finding:
    try:
        return Finding("fastscratch", importlib.metadata.version("fastscratch"))
    except importlib.metadata.PackageNotFoundError:
        return Finding("fastscratch", f"not installed, imported from {Path(__file__).parent}", trouble=True)


def _vector_units() -> Iterator[Finding]:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        # The first "flags" line is the first core's; the others are alike.
        lines = information.read_text().splitlines()
        flags = set(next((line for line in lines if line.startswith("flags")), "").split())
        has = [flag for flag in CPU_FLAGS if flag in flags]
        lacks = [flag for flag in CPU_FLAGS if flag not in flags]
        yield Finding("vector units", f"has {', '.join(has) or 'none'}; lacks {', '.join(lacks) or 'none'}")
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    found = [*simd.get("baseline", []), *simd.get("found", [])]
    yield Finding("NumPy's vector code", ", ".join(found) or "none")


def _blas(libraries: list[dict[str, Any]]) -> Iterator[Finding]:
    for library in libraries:
        yield Finding(
            "BLAS",
            f"{library['library']}, version {library['version'] or 'not told'}, "
            f"kernel {library['kernel'] or 'not told'}, threads: {library['threads']}",
        )
    if not libraries:
        yield Finding("BLAS", "none that could be recognized: matrix products may be slow")


def _openmp() -> Iterator[Finding]:
    from threadpoolctl import threadpool_info

    runtimes = sorted({library["filepath"] for library in threadpool_info() if library["user_api"] == "openmp"})
    for runtime in runtimes:
        yield Finding("OpenMP", runtime)
    if not runtimes:
        built = fastscratch_kernels.backends()["cython"] is None
        yield Finding("OpenMP", "none: the Cython kernels use one thread" if built else "no runtime loaded")
    if len(runtimes) > 1:
        yield Finding("OpenMP", f"{len(runtimes)} runtimes in one process fight over the same cores", trouble=True)


def _threads() -> Iterator[Finding]:
    threads, cores = fastscratch_kernels.get_num_threads(), fastscratch_kernels.available_cores()
    source = " (FASTSCRATCH_NUM_THREADS)" if "FASTSCRATCH_NUM_THREADS" in os.environ else ""
    yield Finding("threads", f"{threads}{source} of {cores} cores that this process may use")
    if threads > cores:
        yield Finding("threads", f"{threads} threads share {cores} cores: expect less speed, not more", trouble=True)


def _backends() -> Iterator[Finding]:
    for name, reason in fastscratch_kernels.backends().items():
        built = f"instruction set {fastscratch_kernels.isa()}, built by {fastscratch_kernels.built_by()}"
        tiles = f", {built}" if name == "cython" else ""
        text = f"works{tiles}" if reason is None else f"not available: {reason}"
        yield Finding(f"backend {name}", text, trouble=reason is not None and name == "cython")
    wanted = os.environ.get("FASTSCRATCH_BACKEND", "auto")
    try:
        taken = fastscratch_kernels.active_backend()
    except (ValueError, fastscratch_kernels.BackendUnavailableError) as error:
        yield Finding("backend taken", str(error), trouble=True)
    else:
        yield Finding("backend taken", f"{taken} ({wanted} was asked for)")


def _caches() -> Iterator[Finding]:
    from fastscratch import data

    try:
        yield _folder("data", data.root())
    except ValueError as error:  # FASTSCRATCH_DATA names a file
        yield Finding("cache of data", str(error), trouble=True)
    if (folder := fastscratch_kernels.numba_cache()) is not None:
        yield _folder("compiled kernels", folder)


def _folder(what: str, path: Path) -> Finding:
    """Say whether files can be made in a folder, which need not exist yet."""
    existing = nearest_existing(path)
    if not existing.is_dir():
        return Finding(f"cache of {what}", f"{path}: {existing} is a file, not a folder", trouble=True)
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(f"cache of {what}", f"{path}: not writable", trouble=True)
    return Finding(f"cache of {what}", f"{path} ({'there' if path.exists() else 'made when needed'}, writable)")
