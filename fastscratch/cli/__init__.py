"""The command line: ``fastscratch train | evaluate | predict | data | doctor | profile``.

One module a command: an ``Options`` dataclass, which tyro turns into options and help, and a function ``run``. What a
user can do wrong ends as one line on the standard error stream and exit code 2; a bug keeps its traceback.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence

from fastscratch.config import did_you_mean
from fastscratch_kernels import BackendUnavailableError

COMMANDS = {
    "train": "Train a network; without options, the report's CNN on all images.",
    "evaluate": "Measure the network of a run on images.",
    "predict": "Tell what the network of a run sees in picture files.",
    "data": "List the data sets: where they are and what they hold.",
    "doctor": "Look at this installation: libraries, kernels, threads, caches.",
    "profile": "Time every layer's forward and backward pass.",
}

USER_ERROR = 2

TOO_MUCH = {
    MemoryError: "not enough memory",
    OverflowError: "a number is too large",
    RecursionError: "something is nested too deeply",
}
"""Exceptions that are a user's mistakes, too, and what happened."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after the program's name; by default those the process was started with.

    Returns
    -------
    code : int
        0 when all went well, 1 when `doctor` found trouble, 2 after a user's mistake, 130 after Ctrl-C, 143 after
        SIGTERM, 141 when the reader of the output has gone.
    """
    _open_closed_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    command = words[0] if words and words[0] in COMMANDS else ""
    prog = f"fastscratch {command}".strip()
    try:
        if not command:
            return _without_command(words)
        with _told_on_stdout():
            code = int(importlib.import_module(f"fastscratch.cli.{command}").run(words[1:], prog))
            sys.stdout.flush()  # here, where a reader that has gone is no error
            return code
    except SystemExit as stop:  # tyro, after it has printed the help
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt as stop:  # TrainingInterrupted is one, and knows its signal and its checkpoint
        number = signal.Signals(getattr(stop, "signal", signal.SIGINT))
        checkpoint = getattr(stop, "path", None)
        how = f"; go on with: fastscratch train --resume {shlex.quote(str(checkpoint.parent))}" if checkpoint else ""
        _complain(prog, f"stopped by {number.name}{how}")
        return 128 + number
    except BrokenPipeError:  # whoever read the output has gone; nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a process that SIGPIPE ended
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        _complain(prog, told)
        return USER_ERROR
    except (ValueError, TypeError, BackendUnavailableError) as error:
        _complain(prog, str(error))
        return USER_ERROR
    except tuple(TOO_MUCH) as error:
        what = next(what for kind, what in TOO_MUCH.items() if isinstance(error, kind))
        _complain(prog, f"{what}: {error}" if str(error) else what)
        return USER_ERROR


def _open_closed_streams() -> None:
    """Give a process that was started without standard output or error one that goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open as long as the process


@contextlib.contextmanager
def _told_on_stdout() -> Iterator[None]:
    """Print what the package logs, such as which data set "auto" took, among the other lines of the command."""
    logger, handler = logging.getLogger("fastscratch"), logging.StreamHandler(sys.stdout)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _without_command(words: list[str]) -> int:
    if not words:
        raise ValueError(f"a command is missing: {', '.join(COMMANDS)}; fastscratch --help tells more")
    if words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] == "--version":
        from fastscratch import __version__

        print(f"fastscratch {__version__}")
        return 0
    kind = "option" if words[0].startswith("-") else "command"
    raise ValueError(f"unknown {kind} {words[0]!r}{did_you_mean(words[0], COMMANDS)}")


def _help() -> str:
    lines = [f"  {name:<10} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: fastscratch COMMAND [OPTIONS]",
            "",
            "Convolutional networks from scratch, trained on a CPU.",
            "",
            "commands:",
            *lines,
            "",
            "fastscratch COMMAND --help lists the options of a command; fastscratch --version tells the version.",
        ]
    )


def _complain(prog: str, message: str) -> None:
    print(f"{prog}: {' '.join(message.split())}", file=sys.stderr)
