"""Where the compiled Numba kernels lie."""

from __future__ import annotations

import importlib
from pathlib import Path

from ._registry import backends


def numba_cache() -> Path | None:
    """Return the folder that Numba keeps its compiled kernels in.

    Returns
    -------
    Path or None
        Beside the sources; the user's cache folder where those are read-only; below NUMBA_CACHE_DIR where that is
        set. It need not exist yet. None where Numba is missing, may write nowhere, or compiles nothing
        (NUMBA_DISABLE_JIT).
    """
    if backends()["numba"] is not None:
        return None
    # Any compiled function will do: they all lie in one folder of this package.
    stats = getattr(importlib.import_module(f"{__package__}._tiles_numba").pack, "stats", None)
    return None if stats is None or stats.cache_path is None else Path(stats.cache_path)
