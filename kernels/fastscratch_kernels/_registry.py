"""Which function computes which op on which backend: a table, and the choice of a column.

The table is data. Nothing is imported before it is asked for, so that a NumPy run never waits for a compiler.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import TracebackType

from ._openmp import short_waits

BACKENDS = ("numpy", "numba", "cython")
AUTO_ORDER = ("cython", "numba", "numpy")


def _columns(name: str, *backends: str) -> dict[str, str]:
    return {backend: f"{name}_{backend}" for backend in backends}


KERNELS: dict[str, dict[str, str]] = {
    "im2col": _columns("im2col", "numpy", "numba", "cython"),
    "col2im": _columns("im2col", "numpy", "numba", "cython"),
    "conv2d": _columns("conv2d", "numpy", "numba", "cython"),
    "conv2d_backward": _columns("conv2d", "numpy", "numba", "cython"),
    "maxpool2d": _columns("maxpool2d", "numpy", "numba", "cython"),
    "maxpool2d_backward": _columns("maxpool2d", "numpy", "numba", "cython"),
    "avgpool2d": _columns("avgpool2d", "numpy", "numba", "cython"),
    "avgpool2d_backward": _columns("avgpool2d", "numpy", "numba", "cython"),
    "conv2d_relu_maxpool2d": _columns("conv2d_relu_maxpool2d", "numpy", "numba", "cython"),
    "conv2d_relu_maxpool2d_backward": _columns("conv2d_relu_maxpool2d", "numpy", "numba", "cython"),
    "channel_moments": _columns("batchnorm2d", "numpy", "numba", "cython"),
    "batchnorm2d": _columns("batchnorm2d", "numpy", "numba", "cython"),
    "batchnorm2d_backward": _columns("batchnorm2d", "numpy", "numba", "cython"),
    "relu": _columns("relu", "numpy", "numba", "cython"),
    "relu_backward": _columns("relu", "numpy", "numba", "cython"),
    "sgd_step": _columns("optimizer_step", "numpy", "numba", "cython"),
    "adam_step": _columns("optimizer_step", "numpy", "numba", "cython"),
    "log_softmax": _columns("softmax", "numpy", "numba", "cython"),
    "cross_entropy_backward": _columns("softmax", "numpy", "numba", "cython"),
    "look_up_levels": _columns("look_up_levels", "numpy", "numba", "cython"),
    "crop_images": _columns("crop_images", "numpy", "numba", "cython"),
}
"""op -> backend -> module of this package that holds a function with the op's name."""

CURE = {
    "numba": "pip install numba",
    "cython": "reinstall fastscratch where a C compiler is found",
}


class BackendUnavailableError(RuntimeError):
    """A backend was asked for by name and cannot be had; the message says why and what to do."""


_functions: dict[tuple[str, str], tuple[str, Callable[..., None]]] = {}
_reasons: dict[str, str | None] = {}
_selected: str | None = None


def _check_op(op: str) -> None:
    if op not in KERNELS:
        raise ValueError(f"op must be one of {', '.join(KERNELS)}, got {op!r}")


def _check_name(name: str, source: str = "backend") -> str:
    allowed = ("auto", *BACKENDS)
    if name not in allowed:
        raise ValueError(f"{source} must be one of {', '.join(allowed)}, got {name!r}")
    return name


def _unavailable_reason(backend: str) -> str | None:
    """Import the backend's kernels once; return None, or in one line why that cannot be done."""
    if backend not in _reasons:
        modules = sorted({row[backend] for row in KERNELS.values() if backend in row})
        reason = None if modules else "this version has no kernels of that backend"
        for module in modules:
            try:
                with short_waits():
                    importlib.import_module(f"{__package__}.{module}")
            except ImportError as error:
                reason = f"{error} (cure: {CURE[backend]})" if backend in CURE else str(error)
                break
        _reasons[backend] = reason
    return _reasons[backend]


def backends() -> dict[str, str | None]:
    """Return every backend with None where it works here, else the reason why it does not.

    Returns
    -------
    dict of str to (str or None)
        Keys "numpy", "numba", "cython".
    """
    return {name: _unavailable_reason(name) for name in BACKENDS}


def available(op: str) -> tuple[str, ...]:
    """Return the backends that can compute `op` here, the reference first.

    Raises
    ------
    ValueError
        If there is no such op.
    """
    _check_op(op)
    return tuple(name for name in BACKENDS if name in KERNELS[op] and _unavailable_reason(name) is None)


def _require(name: str) -> None:
    if name != "auto" and (reason := _unavailable_reason(name)) is not None:
        raise BackendUnavailableError(f"backend {name!r} is not available: {reason}")


def selected_backend() -> str:
    """Return the name in force: what `use_backend` set, else FASTSCRATCH_BACKEND, else "auto".

    Raises
    ------
    ValueError
        If the environment variable names no backend.
    BackendUnavailableError
        If it names one that cannot be had.
    """
    global _selected
    if _selected is None:
        name = _check_name(os.environ.get("FASTSCRATCH_BACKEND", "auto"), "FASTSCRATCH_BACKEND")
        _require(name)
        _selected = name
    return _selected


def active_backend(op: str = "conv2d") -> str:
    """Return the backend that computes `op` now; where "auto" is in force, the one that it takes.

    Raises
    ------
    ValueError
        If there is no such op.
    BackendUnavailableError
        If the backend in force has no kernel for `op`.
    """
    return _column(op, selected_backend())


def _column(op: str, name: str) -> str:
    """Return the backend that computes `op` where `name` is asked for."""
    _check_op(op)
    # One after the other, so that no backend is imported which is not needed.
    for candidate in AUTO_ORDER if name == "auto" else (name,):
        if candidate in KERNELS[op] and _unavailable_reason(candidate) is None:
            return candidate
    raise BackendUnavailableError(
        f"backend {name!r} has no kernel for {op!r}; these have: {', '.join(available(op))}"
    )


def find(op: str, backend: str | None = None) -> tuple[str, Callable[..., None]]:
    """Return the name of the backend that computes `op`, and its raw function: what `kernel` returns.

    Parameters and exceptions are those of `kernel`.
    """
    name = selected_backend() if backend is None else _check_name(backend)
    found = _functions.get((op, name))
    if found is None:
        _require(name)
        column = _column(op, name)
        module = importlib.import_module(f"{__package__}.{KERNELS[op][column]}")
        found = _functions[op, name] = column, getattr(module, op)
    return found


def kernel(op: str, backend: str | None = None) -> Callable[..., None]:
    """Return the raw function for `op`: it fills its caller's `out` and checks nothing.

    Parameters
    ----------
    op : str
        A key of `KERNELS`.
    backend : str, optional
        "auto" or the name of a backend; None takes the one in force.

    Raises
    ------
    ValueError
        If there is no such op or backend.
    BackendUnavailableError
        If the backend asked for cannot be had, or has no kernel for `op`.
    """
    return find(op, backend)[1]


class use_backend:
    """Choose the backend of all kernels, for the process.

    ``use_backend("numba")`` holds from here on; ``with use_backend("numba"): ...`` until the end of the block.

    Parameters
    ----------
    name : {"auto", "numpy", "numba", "cython"}
        "auto" takes for each op the fastest one that works here: Cython, else Numba, else NumPy.

    Raises
    ------
    ValueError
        If there is no such backend.
    BackendUnavailableError
        If it cannot be had here. Nothing changes then.

    Notes
    -----
    The choice is the process's, as the number of threads is: it holds in every thread.
    """

    def __init__(self, name: str) -> None:
        global _selected
        _check_name(name)
        _require(name)
        self._previous = _selected
        _selected = name

    def __enter__(self) -> use_backend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _selected
        _selected = self._previous
