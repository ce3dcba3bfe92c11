"""Fill the tables in README.md and docs/ from the results files; no figure there is typed by hand.

A table stands between two marks, ``<!-- table: NAME -->`` and ``<!-- end -->``.

    python experiments/tables.py           # fill them
    python experiments/tables.py --check   # exit 1 where a page differs from the results
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGES = [ROOT / "README.md", ROOT / "kernels" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

# The report's table of the same experiment, in percent.
REPORT = {
    "airplane": (87.18, 67.82),
    "automobile": (89.41, 60.00),
    "bird": (60.79, 40.74),
    "cat": (51.95, 27.10),
    "deer": (83.04, 50.53),
    "dog": (90.75, 62.11),
    "frog": (77.30, 52.00),
    "horse": (53.16, 31.37),
    "ship": (83.44, 60.78),
    "truck": (78.86, 49.04),
}


def load(experiment: str, names: str = "*") -> list[dict[str, Any]]:
    """Return the results of an experiment's runs, in the order of their names."""
    return [json.loads(path.read_text()) for path in sorted((HERE / "results" / experiment).glob(f"{names}.json"))]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, numbers to the right."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return mean and standard deviation of some fractions, in percent."""
    if not values:
        return "not run yet"
    mean = f"{100 * statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {100 * statistics.stdev(values):.{digits}f} %" if len(values) > 1 else f"{mean} %"


def describe(train: Mapping[str, Any], test: Mapping[str, Any], data: str, seeds: int, machine: str) -> str:
    """Return the line below a table: on which data, with how many seeds, on what machine."""
    return (
        f"\n{data}, {train['images']:,} training images (fingerprint `{train['fingerprint']}`), "
        f"{test['images']:,} test images (`{test['fingerprint']}`); "
        f"mean ± standard deviation of {seeds} seeds; {machine}.\n"
    )


def subsampled() -> str:
    """Return the class-wise table of the report's first experiment, beside the report's own."""
    results = load("subsampled", "tenth-seed-?")
    finals = [result["final"] for result in results]
    rows = []
    for name, (report_train, report_valid) in REPORT.items():
        parts = [[final[part]["class_accuracy"][name] for final in finals] for part in ("train", "valid")]
        rows.append([name, f"{report_train:.1f} %", spread(parts[0]), f"{report_valid:.1f} %", spread(parts[1])])
    means = [statistics.fmean(column) / 100 for column in zip(*REPORT.values(), strict=True)]
    all_ = [[final[part]["accuracy"] for final in finals] for part in ("train", "valid")]
    rows.append(["**all**", f"{spread(means[:1])}", spread(all_[0]), f"{spread(means[1:])}", spread(all_[1])])
    head = ["class", "train, report", "train, here", "validation, report", "validation, here"]
    if not results:
        return table(head, rows)
    made, first = results[0]["made"], finals[0]
    machine = f"{made['cpu']}, {made['threads']} threads, NumPy {made['versions']['numpy']}"
    return table(head, rows) + describe(
        first["train"], first["valid"], results[0]["config"]["data"], len(results), machine
    )


def backends() -> str:
    """Return what one epoch on all images gives on each backend."""
    results = load("backends")
    rows = []
    for backend in ("numpy", "numba", "cython"):
        runs = [result for result in results if result["metrics"]["backend"] == backend]
        accuracy = [result["metrics"]["valid"]["accuracy"] for result in runs]
        by_seed = ", ".join(f"{100 * value:.1f}" for value in accuracy)
        rows.append([backend, by_seed, spread(accuracy)])
    metrics, seeds = results[0]["metrics"], {result["config"]["seed"] for result in results}
    machine = f"{metrics['machine']['cpu']}, {metrics['threads']} threads, NumPy {metrics['machine']['numpy']}"
    below = describe(metrics["train"], metrics["valid"], metrics["train"]["data"], len(seeds), machine)
    return table(["backend", "test accuracy of each seed, %", "mean"], rows) + below


Tables = Mapping[str, Callable[[], str]]
TABLES: Tables = {"subsampled": subsampled, "backends": backends}


def filled(text: str, tables: Tables) -> str:
    """Return a page with those of its tables made anew that `tables` knows."""
    return MARK.sub(lambda match: f"{match[1]}{tables[match[2]]()}{match[3]}" if match[2] in tables else match[0], text)


def fill(tables: Tables, argv: Sequence[str]) -> int:
    """Fill the pages' tables that `tables` knows, or with ``--check`` compare them; return the exit code."""
    stale = [page for page in PAGES if filled(page.read_text(), tables) != page.read_text()]
    for page in stale:
        if "--check" in argv:
            print(f"{page.relative_to(ROOT)} differs from the results; run `make tables`")
        else:
            page.write_text(filled(page.read_text(), tables))
            print(f"filled {page.relative_to(ROOT)}")
    return int("--check" in argv and bool(stale))


if __name__ == "__main__":
    sys.exit(fill(TABLES, sys.argv[1:]))
