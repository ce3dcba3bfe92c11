"""Run what is missing of the experiments.

    python experiments/study.py                            # all that is missing, on CIFAR-10
    python experiments/study.py --list                     # what there is to do, and how long it takes
    python experiments/study.py --only learning_rate --seeds 1
    python experiments/study.py --engines torch            # a second process may run beside the first

A stop (Ctrl-C, SIGTERM, a power cut) costs the epoch under way at most, or a measurement: the same command goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import store
from job import ENGINES, FASTSCRATCH, TORCH, Job
from options import ROOT, Scoped, chosen, main
from plan import describe

from fastscratch.training import NonFiniteLossError

WORK = ROOT / "runs" / "experiments"
LOCK_FILE = "lock"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Scoped):
    """Run what is missing of the experiments.

    Attributes
    ----------
    only : str
        Experiments, by comma; all by default.
    engines : str
        fastscratch, torch, or both by comma.
    threads : int or None
        Threads; None takes every core for fastscratch, and one thread for PyTorch, whose bits depend on it.
    work : str
        Folder of the runs under way.
    list : bool
        Only list the runs that are missing, with estimates of their time.
    """

    only: str = ""
    engines: str = ",".join(ENGINES)
    threads: int | None = None
    work: str = str(WORK)
    list: bool = False


def run(options: Options) -> int:
    """Do what is missing, and return 1 if a run failed."""
    if options.threads is not None and options.threads < 1:
        raise ValueError(f"threads must be at least 1, got {options.threads}")
    plan = options.plan()
    only = chosen("only", options.only, [one.name for one in plan.experiments]) if options.only else []
    jobs = plan.ordered(only, usable(chosen("engines", options.engines, ENGINES)))
    results, work = Path(options.results), Path(options.work)
    missing = [job for job in jobs if not is_done(job, results)]
    if options.list:
        print(describe(missing))
        return 0
    print(f"{len(jobs)} runs, {len(jobs) - len(missing)} of them done")
    if missing:
        check_images([job for job in plan.ordered() if is_done(job, results)], results)
    return int(bool(do(missing, results, work, options.threads)))


def usable(engines: list[str]) -> list[str]:
    """Return the engines that can be used here: where PyTorch is missing, it is told, and the other one goes on."""
    if TORCH in engines and len(engines) > 1 and importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: its runs are left out", file=sys.stderr)
        return [engine for engine in engines if engine != TORCH]
    return engines


def check_images(done: Sequence[Job], results: Path) -> None:
    """Make sure that results were made on the images that are here: the official CIFAR-10 is not a copy of it.

    Raises
    ------
    ValueError
        If a result names another fingerprint of the test images.
    """
    from runner import test_images

    for job in done:
        path = store.path_of(results, job.name)
        final = store.read(path).get("final")  # measurements look at training images alone
        if final and final["test"]["fingerprint"] != (here := test_images(job).fingerprint):
            raise ValueError(
                f"{path} was made on test images with fingerprint {final['test']['fingerprint']}, here it is {here}; "
                "keep results of other images in a folder of their own (--results)"
            )


def is_done(job: Job, results: Path) -> bool:
    """Return whether there is a result; raise ValueError if it is one of other settings."""
    path = store.path_of(results, job.name)
    if not path.exists():
        return False
    store.check_same(path, store.read(path), job.config)
    return True


def do(jobs: Sequence[Job], results: Path, work: Path, threads: int | None = None) -> list[str]:
    """Do runs one after the other, each unless another process has it.

    Parameters
    ----------
    jobs : sequence of Job
        What is missing.
    results, work : Path
        Folders of results, and of the runs under way.
    threads : int, optional
        As in `Options`.

    Returns
    -------
    list of str
        Those that failed, with the reasons; the others are done nevertheless.
    """
    failures: list[str] = []
    clock = Clock(jobs)
    for number, job in enumerate(jobs, start=1):
        path, folder = store.path_of(results, job.name), work / job.name
        with claimed(folder) as is_ours:
            if is_ours and not path.exists():  # another process may have finished it since the list was made
                print(f"\n[{number}/{len(jobs)}] {job.name}, {clock.left()}", flush=True)
                try:
                    result = perform(job, folder, threads)
                except (NonFiniteLossError, ValueError) as error:  # such as what is left of a run with other settings
                    failures.append(f"{job.name}: {error}")
                    print(f"failed: {failures[-1]}", file=sys.stderr)
                else:
                    store.write(path, result)
                    shutil.rmtree(folder)
                clock.finish(job)
            else:
                clock.skip(job)
    return failures


def perform(job: Job, folder: Path, threads: int | None = None) -> dict[str, Any]:
    """Do one run in a folder, from where it stands there, and return its result."""
    if job.engine == FASTSCRATCH:
        import runner as engine
    else:
        importlib.import_module("fastscratch.interop.torch")  # says how to get PyTorch where it is missing
        import twin as engine  # type: ignore[no-redef]
    return engine.run_job(dataclasses.replace(job, config=dataclasses.replace(job.config, threads=threads)), folder)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Keep other processes from a run; tell whether it is this one's. A process that is killed lets go of it.

    Where the system has no such locks (Windows), every run is this one's: one process at a time there.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        yield True
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_FILE, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


class Clock:
    """Tells how much time is left, from the plan's estimates and from how long runs took."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._left = list(jobs)
        self._estimated = self._taken = 0.0
        self._since = time.monotonic()

    def finish(self, job: Job) -> None:
        """Count a run as done, and its time."""
        self._taken += time.monotonic() - self._since
        self._estimated += job.seconds
        self.skip(job)

    def skip(self, job: Job) -> None:
        """Count a run as done by somebody else."""
        self._left.remove(job)
        self._since = time.monotonic()

    def left(self) -> str:
        """Return the time left for all runs, in words."""
        pace = self._taken / self._estimated if self._estimated else 1.0
        minutes = round(pace * sum(job.seconds for job in self._left) / 60)
        return f"about {minutes // 60}:{minutes % 60:02} hours left for all"


if __name__ == "__main__":
    sys.exit(main(Options, run))
