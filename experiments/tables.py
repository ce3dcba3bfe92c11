"""Fill the tables in README.md and docs/ from the results files; no figure there is typed by hand.

A table stands between two marks, ``<!-- table: NAME -->`` and ``<!-- end -->``.

    python experiments/tables.py           # fill them
    python experiments/tables.py --check   # exit 1 where a page differs from the results
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import provenance
import subsampled as first
from exhibits import classes
from findings import Findings
from measures import TEST_ACCURACY
from options import main
from plan import Plan, Scope
from store import RESULTS
from tabular import table

ROOT = Path(__file__).resolve().parents[1]
FIRST = 4
"""Epochs from the start of a run that a page shows."""

PAGES = [ROOT / "README.md", ROOT / "kernels" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

def load(experiment: str) -> list[dict[str, Any]]:
    """Return the results of an experiment's runs, in the order of their names."""
    return [json.loads(path.read_text()) for path in sorted((RESULTS / experiment).glob("*.json"))]


def subsampled() -> str:
    """Return the class-wise table of the report's first experiment, beside the report's own."""
    findings = Findings(first.EXPERIMENT, Plan(Scope()), RESULTS)
    data = provenance.describe(findings.by_seed("tenth").values())
    return classes("tenth", "")(findings).markdown() + "".join(f"{sentence}\n" for sentence in data)


def backends() -> str:
    """Return what one epoch on all images gives on each backend."""
    results = load("backends")
    rows = []
    for backend in ("numpy", "numba", "cython"):
        runs = [result for result in results if result["metrics"]["backend"] == backend]
        accuracy = [result["metrics"]["valid"]["accuracy"] for result in runs]
        by_seed = ", ".join(f"{100 * value:.1f}" for value in accuracy)
        rows.append([backend, by_seed, TEST_ACCURACY.text(accuracy)])
    metrics, seeds = results[0]["metrics"], {result["config"]["seed"] for result in results}
    data, test = metrics["train"], metrics["valid"]
    note = (
        f"\n{data['data']}, {data['images']:,} training images (fingerprint `{data['fingerprint']}`), "
        f"{test['images']:,} test images (`{test['fingerprint']}`); "
        f"mean ± standard deviation of {len(seeds)} seeds; {metrics['machine']['cpu']}, "
        f"{metrics['threads']} threads, NumPy {metrics['machine']['numpy']}.\n"
    )
    return table(["backend", "test accuracy of each seed, %", "mean"], rows) + note


def drawn_data() -> str:
    """Return what the report's CNN reaches on shapes10 in its first epochs and in the last."""
    rows = []
    for result in load("drawn_data"):
        history, images = result["history"], result["metrics"]["train"]["images"]
        for row in history:
            if row["epoch"] <= FIRST or row is history[-1]:
                shares = (f"{100 * row[name]:.1f} %" for name in ("train_accuracy", "valid_accuracy"))
                rows.append([f"{images:,}", str(row["epoch"]), *shares])
    return table(["training images", "epochs", "training accuracy", "test accuracy"], rows)


Tables = Mapping[str, Callable[[], str]]
TABLES: Tables = {"subsampled": subsampled, "backends": backends, "drawn-data": drawn_data}


def filled(text: str, tables: Tables) -> str:
    """Return a page with those of its tables made anew that `tables` knows."""
    return MARK.sub(lambda match: f"{match[1]}{tables[match[2]]()}{match[3]}" if match[2] in tables else match[0], text)


@dataclasses.dataclass(frozen=True)
class Options:
    """Fill the pages' tables from the results files.

    Attributes
    ----------
    check : bool
        Change nothing; exit with 1 where a page differs from the results.
    """

    check: bool = False


def fill(tables: Tables, check: bool) -> int:
    """Fill the pages' tables that `tables` knows, or compare them; return the exit code."""
    stale = [page for page in PAGES if filled(page.read_text(), tables) != page.read_text()]
    for page in stale:
        if check:
            print(f"{page.relative_to(ROOT)} differs from the results; run `make tables`")
        else:
            page.write_text(filled(page.read_text(), tables))
            print(f"filled {page.relative_to(ROOT)}")
    return int(check and bool(stale))


def run(options: Options) -> int:
    """Fill or compare the tables of runs."""
    return fill(TABLES, options.check)


if __name__ == "__main__":
    sys.exit(main(Options, run))
