"""From words on the command line to a dataclass, by tyro; every mistake becomes one line."""

from __future__ import annotations

import contextlib
import difflib
import io
import re
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from fastscratch.config import describe_type, field_types

T = TypeVar("T")

METAVARS = {int: "INT", float: "NUMBER", str: "NAME"}


class UsageError(ValueError):
    """A command line that cannot be understood; its message is one line."""


def parse(cls: type[T], argv: Sequence[str], *, prog: str, default: T | None = None) -> T:
    """Fill a dataclass from command-line words.

    Parameters
    ----------
    cls : dataclass type
        Its fields are the options; those marked ``tyro.conf.Positional`` are arguments without a name.
    argv : sequence of str
        The words after the command's name.
    prog : str
        The command as typed, for the help text.
    default : instance of `cls`, optional
        Values of options that are not given; without it the fields' own defaults.

    Raises
    ------
    UsageError
        For an unknown option, a value of the wrong type, a missing value or argument.
    SystemExit
        With code 0, after ``--help`` has been printed.
    """
    _check_option_names(cls, argv, prog)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(
                cls,
                args=argv,
                prog=prog,
                default=tyro.MISSING_NONPROP if default is None else default,
                registry=_registry(),
                config=(tyro.conf.PositionalMetavarFromFieldName,),
            )
    except SystemExit as stop:
        if stop.code:
            raise UsageError(one_line(errors.getvalue())) from None
        raise


def _check_option_names(cls: type, argv: Sequence[str], prog: str) -> None:
    """Raise `UsageError` at the first ``--word`` that is not an option, with the nearest one that is."""
    known = {"help"}
    for field, hint in field_types(cls).items():
        name = field.replace("_", "-")
        known |= {name, f"no-{name}"} if hint is bool else {name}
    for word in argv:
        if word == "--":
            return  # what follows are arguments, whatever they look like
        name = word[2:].split("=")[0].replace("_", "-")
        if word.startswith("--") and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean --{close[0]}?" if close else f"{prog} --help lists them all"
            raise UsageError(f"unknown option --{name}; {hint}")


def _registry() -> ConstructorRegistry:
    """Rules that read numbers, texts and lists of numbers with this project's own words in errors and help."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def simple_types(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        hint: Any = info.type
        if typing.get_origin(hint) is tuple:
            item = typing.get_args(hint)[0]
            return _specification(hint, METAVARS[item], "*", lambda words: tuple(_read(w, item) for w in words))
        if isinstance(hint, types.UnionType) or hint in METAVARS:
            inner = hint if hint in METAVARS else typing.get_args(hint)[0]
            return _specification(hint, METAVARS[inner], 1, lambda words: _read(words[0], hint))
        return None

    return registry


def _specification(hint: Any, metavar: str, nargs: Any, read: Any) -> PrimitiveConstructorSpec[Any]:
    def show(value: Any) -> list[str]:
        if isinstance(value, tuple):
            return [str(entry) for entry in value]
        return ["none" if value is None else str(value)]

    return PrimitiveConstructorSpec(
        nargs=nargs,
        metavar=metavar if nargs == 1 else f"[{metavar} ...]",
        instance_from_str=read,
        is_instance=lambda value: True,
        str_from_instance=show,
    )


def _read(word: str, hint: Any) -> Any:
    """One word as a value of type `hint`; ``none`` where the type admits None."""
    options = typing.get_args(hint) or (hint,)
    if type(None) in options and word.lower() == "none":
        return None
    try:
        return options[0](word)
    except ValueError:
        raise ValueError(f"must be {describe_type(hint)}, got {word!r}") from None


def one_line(text: str) -> str:
    r"""Return what a message in a box says first, as one line.

    A box has a title, in its border or, where the terminal knows no borders, above a rule; then the message; then,
    below another rule, advice.

    Examples
    --------
    >>> one_line("╭─ Value error ─╮\n│ must be     │\n│ positive    │\n│ ─────────── │\n│ see help    │\n╰───╯")
    'must be positive'
    >>> one_line("Value error\n-----------\n  must be\n  positive\n  --------\n  see help")
    'must be positive'
    """
    sections: list[list[str]] = [[]]
    for line in text.splitlines():
        words = line.strip("│ \t")
        if words and set(words) <= set("─-"):
            sections.append([])
        elif words and words[0] not in "╭╰":
            sections[-1].append(words)
    has_title = "╭" not in text and len(sections) > 1
    joined = " ".join(" ".join(sections[1 if has_title else 0]).split())
    joined = re.sub(r"^Error parsing (\S+):", r"\1", joined)
    joined = re.sub(r"^Missing value for argument '(\S+)'\. Expected .*", r"\1 needs a value", joined)
    return re.sub(r"^Missing from [^:]*:", "missing", joined)
