"""The files in which results are kept: one a run, small, and laid out so that a person can read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fastscratch.config import PLACES, TrainConfig
from fastscratch.training.atomic import write_atomically

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

# Of a config, what does not decide the result.
FREE = (*PLACES, "backend", "threads", "checkpoint_every")


def path_of(results: Path, name: str) -> Path:
    """Return the file of a run called `name`, such as ``learning_rate/1e-3-seed-0``."""
    return results / f"{name}.json"


def write(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result in one step; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (to_text(result) + "\n").encode())


def read(path: Path) -> dict[str, Any]:
    """Return a result as `write` was given it."""
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def to_text(value: Any, indent: str = "") -> str:
    """Return JSON in which only what holds further lists and mappings is spread over lines."""
    if any(isinstance(item, Mapping | list) for item in items(value)):
        inner = indent + " "
        if isinstance(value, Mapping):
            lines = [f"{inner}{json.dumps(key)}: {to_text(item, inner)}" for key, item in value.items()]
        else:
            lines = [inner + to_text(item, inner) for item in value]
        left, right = "{}" if isinstance(value, Mapping) else "[]"
        return f"{left}\n" + ",\n".join(lines) + f"\n{indent}{right}"
    return json.dumps(value, allow_nan=False)


def items(value: Any) -> Iterable[Any]:
    """Return what is inside a list or a mapping; nothing is inside anything else."""
    return value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()


def check_same(path: Path, result: Mapping[str, Any], config: TrainConfig) -> None:
    """Make sure that a stored result is that of a config.

    Fields that the project did not have yet when the result was made count as their defaults.

    Raises
    ------
    ValueError
        If a field differs that decides the result; all of them are named.
    """
    stored = TrainConfig.from_mapping(result["config"], source=str(path)).to_mapping()
    asked = config.to_mapping()
    differences = [
        f"{name} is {stored[name]} there, {asked[name]} here"
        for name in asked
        if name not in FREE and stored[name] != asked[name]
    ]
    if differences:
        raise ValueError(f"{path} is the result of another run: {'; '.join(differences)}; move it away")
