"""Options and results of the pytest-benchmark runs in this folder.

``pytest benchmarks/bench_ops.py`` prints a table for each shape: who takes how long. With ``--benchmark-disable`` each
case runs once, as a test.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import pytest
from contest import HANDICAPS

for name in HANDICAPS:
    os.environ.pop(name, None)  # before BLAS is loaded, which reads them then

# Before this project's kernels, which would have PyTorch run on their OpenMP library, whose threads they let wait less.
if importlib.util.find_spec("torch"):
    import torch  # noqa: F401

from record import Section, machine, section  # noqa: E402

DESELECTED: pytest.StashKey[int] = pytest.StashKey()
OPENED: pytest.StashKey[Section] = pytest.StashKey()


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
    some = config.stash.get(DESELECTED, 0) > 0 or any("::" in argument for argument in config.args)
    with section("ops", {"quick": quick, "part": quick or some}, config.getoption("--results")) as opened:
        config.stash[OPENED] = opened
        yield opened
        session = request.session
        opened.is_stopped = bool(session.exitstatus or session.shouldstop or session.shouldfail)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note that not everything is measured."""
    if items:
        stash = items[0].config.stash
        stash[DESELECTED] = stash.get(DESELECTED, 0) + len(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep in the results file what could not be measured, and why."""
    report = yield
    opened = item.config.stash.get(OPENED, None)
    if report.failed and opened is not None:
        opened.failures.append(f"{item.name}: {str(report.longrepr).strip().splitlines()[-1]}")
    return report
