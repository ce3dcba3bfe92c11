"""The tables of README and docs are those that the results files give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import report
import tables  # report.py made experiments/ known

ROOT = Path(__file__).resolve().parents[1]


def run_tables(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "experiments" / "tables.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_no_page_differs_from_the_results():
    done = run_tables("--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_mistake_in_an_option_changes_nothing():
    done = run_tables("--chekc")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tables.py: unknown option --chekc; did you mean --check?\n"


def test_every_mark_is_known_and_every_result_is_shown():
    pages = [ROOT / "README.md", ROOT / "kernels" / "README.md", *(ROOT / "docs").glob("*.md")]
    blocks = [block for page in pages for block in page.read_text().split("<!-- table: ")[1:]]
    contents = {block.split(" -->")[0]: block.split("<!-- end -->")[0] for block in blocks}
    assert set(contents) == {*tables.TABLES, *report.TABLES}
    assert all("|---|" in contents[name] for name in tables.TABLES)
