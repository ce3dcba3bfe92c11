"""``fastscratch doctor``: what this installation has and lacks, and whether its kernels compute what they should."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from fastscratch.cli.parsing import parse

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Look at this installation; exit code 0 if all is well, 1 if something is wrong.

    Attributes
    ----------
    verify : bool
        Instead, run every kernel op on every backend and compare it with float64 and with PyTorch.
    warm_up : bool
        Instead, compile all Numba kernels ahead.
    """

    verify: bool = False
    warm_up: bool = False


def run(argv: Sequence[str], prog: str) -> int:
    """Do what the options say, in a sensible order."""
    options = parse(Options, argv, prog=prog)
    if options.warm_up:
        print_warm_up()
    if options.verify:
        return print_verification()
    return 0 if options.warm_up else print_findings()


def print_findings() -> int:
    """Print what was found, trouble marked."""
    from fastscratch.cli.tables import show
    from fastscratch.doctor import examine

    findings = examine()
    show(("", "what", "found"), [("!" if one.trouble else "", one.topic, one.text) for one in findings], text_columns=3)
    troubles = [one for one in findings if one.trouble]
    print()
    for one in troubles:
        print(f"trouble: {one.topic}: {one.text}")
    if not troubles:
        print("all is well")
    return 1 if troubles else 0


def print_warm_up() -> None:
    """Compile the Numba kernels, and say where they lie."""
    from fastscratch.op_cases import every_call
    from fastscratch.warm_up import warm_up
    from fastscratch_kernels import numba_cache

    calls = list(every_call())
    done = len(list(_watched(warm_up(calls), len(calls), "compiling Numba kernels")))
    folder = numba_cache()
    where = "nothing is kept: no folder for it can be written, or the compiler is off" if folder is None else folder
    print(f"Numba kernels are compiled: {done} calls in float32 and float64; cache: {where}")


def print_verification() -> int:
    """Print the largest errors as a table, and every miss."""
    from fastscratch import verify
    from fastscratch.cli.tables import show
    from fastscratch.op_cases import every_call
    from fastscratch_kernels import backends

    try:
        from fastscratch.interop.torch_ops import OPS as torch_ops
    except ModuleNotFoundError:
        torch_ops = {}
    here = [name for name, reason in backends().items() if reason is None]
    calls = list(every_call())
    batches = _watched(verify.verify(calls, here, torch_ops), len(calls), "verifying kernels")
    rows = [row for batch in batches for row in batch]

    def cells(row: verify.Row) -> tuple[str, ...]:
        return (
            row.op,
            row.output,
            row.algorithm,
            row.backend,
            f"{row.ulps:.1f}",
            f"{row.error:.1e}",
            "-" if row.torch_error is None else f"{row.torch_error:.1e}",
            f"{row.limit:.1e}",
            "ok" if row.ok else "MISS",
        )

    heads = ("op", "output", "algorithm", "backend", "ulps", "error", "PyTorch", "limit", "verdict")
    show(heads, [cells(row) for row in verify.worst(rows)], text_columns=4, least_width=110)
    print("\nfloat32; of all shapes and outputs the one nearest to its limit")
    print("ulps: the distance from the numpy backend, in last places of the largest value")
    print("error: the distance from float64, over the largest value; PyTorch: its own error there")
    print(f"limit: {verify.limits(with_torch=bool(torch_ops))}")
    if torch_ops:
        print(f"limit of PyTorch itself: the same, with {verify.AT_RANDOM} for its error")
    for name, reason in backends().items():
        if reason is not None:
            print(f"not verified: {name}: {reason}")
    print()
    misses = [row for row in rows if not row.ok]
    for row in misses:
        than = "" if row.torch_error is None else f", PyTorch's {row.torch_error:.1e}"
        print(
            f"miss: {row.op} ({row.algorithm}, {row.backend}) of {row.shape}: "
            f"error of {row.output} {row.error:.1e}, limit {row.limit:.1e}{than}"
        )
    print(f"{len(misses)} of {len(rows)} outputs miss" if misses else f"all {len(rows)} outputs are right")
    return 1 if misses else 0


def _watched(items: Iterable[T], count: int, what: str) -> Iterator[T]:
    """Yield `items` and show on a terminal how many of them are done."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:  # a bar that is switched off still ends a line in Rich before 14.3
        yield from items
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(what, total=count)
        for item in items:
            progress.advance(task)
            yield item
