"""Options and results of the pytest-benchmark runs in this folder.

``pytest benchmarks/bench_ops.py`` prints a table for each shape: who takes how long. With ``--benchmark-disable`` each
case runs once, as a test.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from contest import HANDICAPS

for name in HANDICAPS:
    os.environ.pop(name, None)  # before BLAS is loaded, which reads them then

from record import Section, machine, section  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add this folder's options."""
    group = parser.getgroup("fastscratch benchmarks")
    group.addoption("--results", default="", help="results file; by default benchmarks/results/CPU-DATE-COMMIT.json")
    group.addoption("--quick", action="store_true", help="one image a batch, one thread: only see that it works")


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Let pytest-benchmark's own files say what ours say."""
    machine_info["fastscratch"] = machine()


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Iterator[Section | None]:
    """Return the section of the results file, None where nothing is timed."""
    if request.config.getoption("--benchmark-disable"):
        yield None
        return
    config = request.config
    quick = config.getoption("--quick")
    some = bool(config.option.keyword) or any("::" in argument for argument in config.args)
    with section("ops", {"quick": quick, "part": quick or some}, config.getoption("--results")) as opened:
        yield opened
