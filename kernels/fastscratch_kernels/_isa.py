"""What the Cython kernels were built with, and the instruction set that they use."""

from __future__ import annotations

import importlib

from ._registry import backends


def isa() -> str | None:
    """Return the instruction set that the Cython kernels were chosen for, None where they are not built.

    Returns
    -------
    {"avx512", "avx2", "baseline"} or None
        The best that this CPU has, or what FASTSCRATCH_ISA names. "baseline" is what every CPU of its architecture
        has: SSE2, or NEON on arm64.

    Raises
    ------
    ValueError
        If FASTSCRATCH_ISA names one that this CPU lacks.
    """
    if backends()["cython"] is not None:
        return None
    name: str = importlib.import_module(f"{__package__}._tiles").isa()
    return name


def built_by() -> str | None:
    """Return the compiler of the Cython kernels and its flags, in words; None where they are not built."""
    if backends()["cython"] is not None:
        return None
    words: str = importlib.import_module(f"{__package__}._tiles").built_by()
    return words
