"""Make a single run again, and compare every number of it but times, bit for bit.

python experiments/recheck.py learning_rate/1e-3-seed-0
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import store
import tyro
from options import Scoped, main
from study import check_images, perform

IGNORED = {("history", "seconds"), ("made",), ("config",)}
"""What two runs of the same training may differ in; their settings have been compared, fields of today included."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Scoped):
    """Make a single run again, and compare every number of it but times, bit for bit.

    Attributes
    ----------
    name : str
        The run, as below the folder of results: learning_rate/1e-3-seed-0.
    """

    name: Annotated[str, tyro.conf.Positional]


def run(options: Options) -> int:
    """Make the run again; return 1 if a number differs."""
    plan = options.plan()
    jobs = {job.name: job for job in plan.ordered()}
    path = store.path_of(Path(options.results), options.name)
    if options.name not in jobs:
        close = difflib.get_close_matches(options.name, jobs, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "a run is named as its file below the folder of results"
        raise ValueError(f"unknown run {options.name!r}; {hint}")
    if not path.exists():
        raise ValueError(f"{options.name} has not been run: there is no {path}")
    job, kept = jobs[options.name], store.read(path)
    store.check_same(path, kept, job.config)
    check_images([job], Path(options.results))
    config = dataclasses.replace(job.config, backend=kept["made"].get("backend", job.config.backend))
    with tempfile.TemporaryDirectory() as folder:
        again = perform(dataclasses.replace(job, config=config), Path(folder) / "run", kept["made"]["threads"])
    found = list(differences(kept, again))
    if not found:
        print(f"{job.name}: every number has the same bits")
        return 0
    print(f"{job.name}: {len(found)} numbers differ, the first of them:")
    print("\n".join(found[:10]))
    for what, then, now in changes(kept["made"], again["made"]):
        print(f"{what}: {then} then, {now} now")
    return 1


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield what bits may depend on, where it has changed since a run was made: what, then, now."""
    for key in ("cpu", "isa", "platform", "commit"):
        if then.get(key) != now.get(key):
            yield key, then.get(key), now.get(key)
    for name, version in then["versions"].items():
        if version != now["versions"].get(name):
            yield name, version, now["versions"].get(name)


def differences(kept: Any, again: Any, place: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a line for each number or word that is not the same in two results."""
    if place in IGNORED:
        return
    pairs: Mapping[str, Any] | None = None
    if isinstance(kept, Mapping) and isinstance(again, Mapping):
        pairs = {str(key): (kept.get(key), again.get(key)) for key in {**kept, **again}}
    elif isinstance(kept, list) and isinstance(again, list) and len(kept) == len(again):
        pairs = {str(number): pair for number, pair in enumerate(zip(kept, again, strict=True))}
    if pairs is not None:
        for key, (one, other) in pairs.items():
            yield from differences(one, other, (*place, key))
    elif kept != again:
        yield f"  {'.'.join(place)}: {kept} then, {again} now"


if __name__ == "__main__":
    sys.exit(main(Options, run))
