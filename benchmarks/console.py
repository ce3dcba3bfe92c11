"""Command lines of the benchmarks: a dataclass is the options, a mistake is one line and exit code 2."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from contest import EngineError

from fastscratch.cli.parsing import parse
from fastscratch_kernels import BackendUnavailableError, available_cores, backends

T = TypeVar("T")
USER_ERROR = 2
BACKENDS = ("cython", "numba", "numpy")


def main(options: type[T], run: Callable[[T], int | None], argv: Sequence[str] | None = None) -> int:
    """Read the options, run, and return the exit code."""
    prog = Path(sys.argv[0]).name
    try:
        return run(parse(options, sys.argv[1:] if argv is None else argv, prog=prog)) or 0
    except SystemExit as stop:  # after the help was printed
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        print(f"{prog}: stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, EngineError, BackendUnavailableError, ModuleNotFoundError) as error:
        print(f"{prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, text_columns: int = 1) -> None:
    """Print a table as wide as it needs to be; a terminal wraps what a script must be able to read.

    Parameters
    ----------
    heads : sequence of str
    rows : iterable of sequence
        Cells, written by ``str``.
    text_columns : int
        So many columns, from the left, are aligned left; the others right.
    """
    cells = [list(map(str, row)) for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(
            cell.ljust(width) if place < text_columns else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip())  # fmt: skip


def need(*packages: str) -> None:
    """Raise ModuleNotFoundError where what is compared with is not installed: before anything is measured."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        how = "`make test` installs PyTorch, and so does pip install '.[torch]' in the checkout"
        raise ModuleNotFoundError(f"this compares with {' and '.join(missing)}, which cannot be imported: {how}")


def tell(text: str) -> None:
    """Say on the standard error stream what is being measured."""
    print(f"... {text}", file=sys.stderr, flush=True)


def thread_count(threads: int | None) -> int:
    """Return a number of threads as an option gave it; none is every core that this process may use."""
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    return available_cores() if threads is None else threads


def whole_numbers(what: str, words: str) -> list[int]:
    """Return the numbers, each at least 1, in a comma-separated list."""
    try:
        numbers = [int(word) for word in words.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise ValueError(f"{what} must be whole numbers of at least 1, got {words!r}")
    return numbers


def chosen(what: str, words: str, known: Sequence[str]) -> list[str]:
    """Return the names in a comma-separated list, or refuse what is not known."""
    names = [word.strip() for word in words.split(",") if word.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"{what} must be some of {', '.join(known)}, got {words!r}")
    return names


def chosen_one(what: str, word: str, known: Sequence[str]) -> str:
    """Return the one name that was given, or refuse it."""
    if word not in known:
        raise ValueError(f"{what} must be one of {', '.join(known)}, got {word!r}")
    return word


def chosen_backends(words: str) -> list[str]:
    """Return the backends in a comma-separated list that can be used here; of the others, say why not.

    Raises
    ------
    BackendUnavailableError
        If none of them can.
    """
    why = {name: backends()[name] for name in chosen("backends", words, BACKENDS)}
    missing = [f"{name}: {reason}" for name, reason in why.items() if reason is not None]
    if len(missing) == len(why):
        raise BackendUnavailableError("; ".join(missing))
    for text in missing:
        tell(f"without {text}")
    return [name for name, reason in why.items() if reason is None]
