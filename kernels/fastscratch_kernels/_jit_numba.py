"""How the Numba kernels are compiled, what is said about it, and the one form in which they get their arrays."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core import caching, event

Array = np.ndarray[Any, np.dtype[Any]]
Function = TypeVar("Function", bound=Callable[..., Any])


_EVENTS: Any = event
_CACHING: Any = caching


class _FirstUse(event.Listener):
    """Says once in a process that kernels are being compiled, so that nobody takes a minute's silence for a fault."""

    def on_start(self, happening: Any) -> None:
        if happening.data["dispatcher"].py_func.__module__.startswith(f"{__package__}."):
            _EVENTS.unregister("numba:compile", self)
            # As a warning, for that is what Python shows on the standard error stream where nothing is configured.
            logging.getLogger(__package__).warning(
                "compiling Numba kernels, once per machine; `fastscratch doctor --warm-up` does it ahead"
            )

    def on_end(self, happening: Any) -> None:
        pass


_EVENTS.register("numba:compile", _FirstUse())  # kernels that lie in the cache are loaded, which is no such event


def _hash_sources() -> str:
    sources = sorted(Path(__file__).parent.glob("*_numba.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


_SOURCES = _hash_sources()


class _Cache(_CACHING.FunctionCache):  # type: ignore[misc]
    """Numba's cache of a function, which looks at its file alone; kernels hold code of other files' functions, too."""

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), _SOURCES)


def compiled(function: Function, *, leaf: bool = False, quick: bool = False) -> Function:
    """Compile `function` with Numba at its first call, and keep the machine code on disk for the next process.

    The code is kept beside the source; where that folder is read-only, in the user's cache folder; in NUMBA_CACHE_DIR
    where that is set. Where no folder can be written, every process compiles anew, and a RuntimeWarning says so.

    Parameters
    ----------
    function : callable
        What Numba understands.
    leaf : bool
        See `leaf`.
    quick : bool
        Whether it is over before another thread could do anything: then it keeps the interpreter's lock.

    Notes
    -----
    ``nogil``: threads run it side by side. Of the fast-math flags "contract" alone is on: a product and a sum may
    become one instruction, but nothing is reordered, and NaN and infinities are what they are in NumPy. There is no
    ``parallel=True``: it takes ten times as long to compile; `_parallel` hands chunks to threads instead.
    """
    options: dict[str, Any] = {
        "nogil": not quick,
        "fastmath": {"contract"},
        "error_model": "numpy",
        "_nrt": not leaf,
    }
    dispatcher: Any = numba.njit(**options)(function)
    try:
        if dispatcher is not function:  # as it is with NUMBA_DISABLE_JIT
            dispatcher._cache = _Cache(function)
    except RuntimeError as error:  # no folder for the cache
        warnings.warn(
            f"{error}: kernels are compiled anew in every process; set NUMBA_CACHE_DIR to a folder that can be written",
            RuntimeWarning,
            stacklevel=2,
        )
    return dispatcher  # type: ignore[no-any-return]


def leaf(function: Function) -> Function:
    """Compile a function that makes no arrays and keeps none, most of them to be called by compiled functions.

    It leaves out the counting of references to its arguments, 5 ns an array and call: its callers hold them.
    """
    return compiled(function, leaf=True)


@leaf
def copy(numbers: Array, out: Array) -> None:
    """Fill `out` with the first of `numbers`; both have one axis. An assignment of slices is several times slower."""
    for i in range(len(out)):
        out[i] = numbers[i]


def frozen(array: Array) -> Array:
    """Return a read-only view: to Numba a read-only array is of another type, and would be compiled for once more."""
    view = array.view()
    view.setflags(write=False)
    return view


def flat(array: Array) -> Array:
    """Return `array`, which is C-contiguous, as a read-only view with one axis."""
    view = array.reshape(-1)
    view.setflags(write=False)
    return view
