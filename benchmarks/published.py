"""Which results files count for the pages, and what a page says of where its numbers are from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from record import RESULTS, is_complete, load

Result = Mapping[str, Any]


def newest(section: str, folder: Path = RESULTS) -> list[Result]:
    """Return for each kind of machine its newest results file that has the section, the newest of all last.

    One that was stopped counts only where there is none that was not.
    """
    chosen: dict[tuple[Any, ...], Result] = {}

    def rank(result: Result) -> tuple[bool, str]:
        return is_complete(result["sections"][section]), _begun(result, section)

    for result in map(load, sorted(folder.glob("*.json"))):
        part = result["sections"].get(section)
        if part and part["rows"] and not part["settings"].get("quick") and not part["settings"].get("part"):
            machine = tuple(result["machine"][key] for key in ("cpu", "isa", "cores"))
            if machine not in chosen or rank(chosen[machine]) <= rank(result):
                chosen[machine] = result
    return sorted(chosen.values(), key=lambda result: _begun(result, section))


def _begun(result: Result, section: str) -> str:
    """Return when a section was begun; in older files the day is all that is known."""
    at: str = result["sections"][section].get("at", result["machine"]["date"])
    return at


def rows_of(result: Result, section: str) -> list[dict[str, Any]]:
    """Return what was measured, a row a case."""
    rows: list[dict[str, Any]] = result["sections"][section]["rows"]
    return rows


def source(result: Result, section: str) -> str:
    """Return the line below a table: on what machine, with which versions, at which commit, how busy."""
    part = result["sections"][section]
    machine = part.get("machine", result["machine"])
    built = {"torch": f" (built for CUDA {machine['torch_cuda']})"} if machine.get("torch_cuda") else {}
    versions = ", ".join(
        f"{name} {machine['versions'][key]}{built.get(key, '')}"
        for name, key in (("PyTorch", "torch"), ("NumPy", "numpy"), ("Numba", "numba"))
        if machine["versions"].get(key)
    )
    parts = [*part.get("earlier", []), part]
    words = [word for word in ("before", "during", "after") if f"load_{word}" in part]
    busy = _listed([_largest([one[f"load_{word}"] for one in parts]) for word in words])
    when = _listed(words) + ("" if is_complete(part) else " (it was stopped before its end)")
    among = f" (the largest of {len(parts)} parts)" if len(parts) > 1 else ""
    failed = "".join(f"Not measured: {failure}.\n" for failure in part["failures"])
    return (
        f"\n{machine['cpu']}, {machine['isa'] or 'no compiled kernels'}, {machine['cores']} cores; {versions}; "
        f"{machine['date']}, commit `{machine['commit']}`{_changes(machine)}; "
        f"in use by others {when}: {busy}{among}.\n{failed}"
    )


def _largest(loads: Sequence[Mapping[str, Any] | None]) -> str:
    """Return the largest share of the machine that others used, unknown where one of them is."""
    shares = [load["busy"] if load else None for load in loads]
    known = [share for share in shares if share is not None]
    return f"{100 * max(known):.0f} %" if len(known) == len(shares) else "unknown"


def _listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _changes(machine: Mapping[str, Any]) -> str:
    """Return how many files were not as in the commit; older results have their number alone."""
    changed = machine.get("changed")
    count = machine.get("changed_files", 0) if changed is None else len(changed)
    return f" with {count} changed file{'s' * (count > 1)}" if count else ""
