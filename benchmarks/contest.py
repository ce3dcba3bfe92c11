"""Several engines do the same work in turn, each in a process of its own.

Every process is started before the clock runs and waits without computing while another one works. A round lets each
do the same number of calls from the same weights on the same batches; who begins moves on by one from round to round.
So a drift of the machine meets all of them alike, and only ratios within a round are compared.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MOST_CALLS = 20_000
TOLERANCE = 2e-3
"""How far numbers of two engines may lie apart, relative to the root mean square of their array."""

TOLERANCES = {"": TOLERANCE, "fast": 5 * TOLERANCE}
"""The same for the losses of first steps, by precision."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "FASTSCRATCH_NUM_THREADS")
# With these set for another processor, BLAS may run at half its speed.
HANDICAPS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
# glibc gives large freed blocks back to the system at once, and takes them again page by page; so it keeps them.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}

LONG = 1.0
"""Seconds of a call in which what it costs to wake threads and caches is lost."""

AWAKE = 0.1
"""Seconds after which calls are as fast as they will be."""


class EngineError(RuntimeError):
    """An engine could not do what it was asked to, or came to another result than the others."""


@dataclass(frozen=True)
class Contestant:
    """One engine with its settings.

    Attributes
    ----------
    name : str
        As tables have it.
    settings : mapping
        The worker's first line.
    variables : mapping
        Environment variables of its process alone.
    task : mapping
        What it is told beside the others' task.
    """

    name: str
    settings: Mapping[str, Any]
    variables: Mapping[str, str] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_torch(self) -> bool:
        """Whether this is PyTorch."""
        return bool(self.settings["engine"] == "torch")


def torch_contestants(compiled: bool = False) -> list[Contestant]:
    """Return PyTorch in both layouts, with `compiled` also through torch.compile."""
    ways = [(layout, False) for layout in ("contiguous", "channels_last")]
    ways += [(layout, True) for layout, _ in ways] if compiled else []
    return [
        Contestant(
            f"torch {layout}{' compiled' if through else ''}",
            {"engine": "torch", "layout": layout, "compiled": through},
        )
        for layout, through in ways
    ]


def fastscratch_contestant(backend: str, precision: str = "") -> Contestant:
    """Return one backend of this project."""
    settings = {"engine": "fastscratch", "backend": backend, "precision": precision}
    return Contestant(f"{backend} {precision}".strip(), settings)


@dataclass
class Measured:
    """What one contestant did.

    Attributes
    ----------
    seconds : list of float
        Mean seconds of a call in each round.
    first_seconds : float or None
        The first call, with whatever is compiled or allocated then; None where nothing was called to compare.
    imported, peak : float
        Resident memory in MiB after the engine's own imports, and at its highest.
    import_seconds : float
        Of the engine alone: PyTorch's without this project, from which its process takes weights.
    """

    seconds: list[float] = field(default_factory=list)
    first_seconds: float | None = None
    imported: float = math.nan
    peak: float = math.nan
    import_seconds: float = math.nan

    @property
    def median(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.seconds)


def environment(threads: int, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of a process that is measured: so many threads, and no advice for another processor."""
    kept = {name: value for name, value in os.environ.items() if name not in HANDICAPS}
    return kept | thread_variables(threads) | dict(extra or {})


def thread_variables(threads: int) -> dict[str, str]:
    """Return the variables that give every library so many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


class Process:
    """A worker and the pipes to it."""

    def __init__(self, contestant: Contestant, threads: int, extra: Mapping[str, str] | None = None) -> None:
        self.contestant = contestant
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(threads, {**(extra or {}), **contestant.variables}),
        )
        self.send(**contestant.settings)  # the reply to which says that all is imported

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send one request and wait for its reply."""
        self.send(**request)
        return self.receive()

    def send(self, **request: Any) -> None:
        """Send one request, whose reply `receive` waits for."""
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):  # what became of the process is told by `receive`
            pipe.write(json.dumps(request) + "\n")
            pipe.flush()

    def receive(self) -> dict[str, Any]:
        """Wait for the reply to the last request.

        Raises
        ------
        EngineError
            If the worker could not do it, or is no more.
        """
        pipe = self._process.stdout
        assert pipe is not None
        line = pipe.readline()
        if not line:
            raise EngineError(f"{self.contestant.name}: the process ended with code {self._process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise EngineError(f"{self.contestant.name}: {reply['error']}")
        return reply

    def close(self) -> None:
        """Let the process end."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()


@contextlib.contextmanager
def started(
    contestants: Sequence[Contestant], threads: int, extra: Mapping[str, str] | None = None
) -> Iterator[list[Process]]:
    """Start a process for each contestant, with `extra` variables, and end all of them in the end.

    They import what they need side by side, which takes longer than most rows' rounds.
    """
    with contextlib.ExitStack() as stack:
        processes = []
        for contestant in contestants:
            process = Process(contestant, threads, extra)
            stack.callback(process.close)
            processes.append(process)
        for process in processes:
            process.receive()
        yield processes


@dataclass(frozen=True)
class Pace:
    """How long is measured.

    Attributes
    ----------
    rounds : int
        At least 1; a median of fewer than 5 is no result, and tables name their number.
    seconds : float
        What a round of the first contestant should take, about.
    budget : float
        A contestant that has computed for so many seconds takes no part in further rounds.
    wake : float
        For how long a contestant does the task before its clock runs, once at least: after others had their turn, small
        steps take up to a third longer for the first tenth of a second, and layers of some threads alone up to
        several times as long.
    """

    rounds: int = 7
    seconds: float = 0.6
    budget: float = 40.0
    wake: float = AWAKE

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds must be at least 1, got {self.rounds}")
        if not (self.seconds > 0 and self.budget > 0):
            raise ValueError(f"seconds and budget must be positive, got {self.seconds} and {self.budget}")


QUICK = Pace(rounds=2, seconds=0.02, budget=2.0, wake=0.0)
"""Enough to see that everything works; its times say nothing."""


def compete(
    processes: Sequence[Process],
    task: Mapping[str, Any],
    pace: Pace,
    *,
    tolerance: float = TOLERANCE,
    calls: int | None = None,
    own_calls: bool = False,
) -> dict[str, Measured]:
    """Let the processes do the same task in turn.

    Parameters
    ----------
    processes : sequence of Process
        The first sets the number of calls of a round.
    task : mapping
        What ``prepare`` takes.
    pace : Pace
    tolerance : float
        How far numbers may lie apart, relative to the root mean square of the first one's array.
    calls : int, optional
        Calls of a round; by default so many that the first contestant takes ``pace.seconds``.
    own_calls : bool
        Whether each contestant gets so many calls that it takes ``pace.seconds``: for calls that are all alike.

    Returns
    -------
    dict
        Name of the contestant to what was measured.

    Raises
    ------
    EngineError
        If a worker fails, or comes to another result than the first.
    """
    measured = {process.contestant.name: Measured() for process in processes}
    checks = []
    for process in processes:
        reply = process.ask(do="prepare", **task, **process.contestant.task)
        measured[process.contestant.name].first_seconds = reply["first_seconds"]
        checks.append(reply["check"])
    for process, check in zip(processes, checks, strict=True):
        _compare(process.contestant.name, check, processes[0].contestant.name, checks[0], tolerance)

    once = {process.contestant.name: math.nan for process in processes}
    for process in processes if own_calls else processes[:1]:
        once[process.contestant.name] = process.ask(do="time", calls=1)["seconds"]
    first = once[processes[0].contestant.name]
    for turn in range(pace.rounds):
        for place in range(len(processes)):
            process = processes[(turn + place) % len(processes)]
            mine = measured[process.contestant.name]
            expected = once[process.contestant.name] if own_calls else first
            count = calls or min(MOST_CALLS, math.ceil(pace.seconds / expected))
            if sum(mine.seconds) * count < pace.budget:
                is_short = (mine.seconds[-1] if mine.seconds else expected) < LONG
                wake = pace.wake if is_short else None
                mine.seconds.append(process.ask(do="time", calls=count, wake=wake)["seconds"])
    for process in processes:
        mine, memory = measured[process.contestant.name], process.ask(do="memory")
        mine.imported, mine.peak, mine.import_seconds = (memory[k] for k in ("imported", "peak", "import_seconds"))
    return measured


def compete_anew(
    contestants: Sequence[Contestant],
    threads: int,
    task: Mapping[str, Any],
    pace: Pace,
    starts: int,
    *,
    extra: Mapping[str, str] | None = None,
    tolerance: float = TOLERANCE,
    examine: Callable[[Process], None] = lambda process: None,
) -> Iterator[dict[str, Measured]]:
    """Yield what contestants did, for each of so many starts of all their processes.

    Where arrays lie differs from process to process, and steps take a tenth or two longer in an unlucky one. Who is
    started first moves on by one. Everyone takes part in all rounds, whatever the budget, so that rounds stay side by
    side. `extra` are variables of all processes; `examine` sees each of them before it works.
    """
    pace = dataclasses.replace(pace, budget=math.inf)
    for turn in range(starts):
        first = turn % len(contestants)
        with started([*contestants[first:], *contestants[:first]], threads, extra) as processes:
            for process in processes:
                examine(process)
            found = compete(processes, task, pace, tolerance=tolerance)
        yield {one.name: found[one.name] for one in contestants}


def merged(starts: Iterable[Mapping[str, Measured]]) -> dict[str, Measured]:
    """Return the rounds of all starts behind each other, and the highest peaks; the rest is that of the first start."""
    whole: dict[str, Measured] = {}
    for start in starts:
        for name, one in start.items():
            mine = whole.setdefault(name, one)
            if mine is not one:
                mine.seconds += one.seconds
                mine.peak = max(mine.peak, one.peak)
    return whole


def _compare(name: str, got: list[list[float]], reference: str, wanted: list[list[float]], tolerance: float) -> None:
    """Raise EngineError unless all arrays agree number by number; each is what `worker.summary` makes of it."""
    for values, others in zip(got, wanted, strict=True):
        size = others[0]
        for a, b in zip(values, others, strict=True):
            if not abs(a - b) <= tolerance * size:
                far = f"{a:.6g} and {b:.6g} where the root mean square is {size:.6g}"
                raise EngineError(f"{name} and {reference} come to different results: {far}")


def ratio(ours: Measured, theirs: Measured) -> tuple[float, float, float]:
    """Return how many times as long `theirs` takes as `ours`: median, least and most over the rounds of both."""
    both = [b / a for a, b in zip(ours.seconds, theirs.seconds, strict=False)]
    return statistics.median(both), min(both), max(both)


def as_row(measured: Mapping[str, Measured]) -> dict[str, Any]:
    """Return the numbers of a row for a results file: every round of everyone, and PyTorch's time over theirs."""
    best = best_torch(measured)
    return {
        "best_torch": best,
        "engines": {name: dataclasses.asdict(one) for name, one in measured.items()},
        "ratios": {
            name: dict(zip(("median", "least", "most"), ratio(one, measured[best]), strict=True))
            for name, one in measured.items()
        },
    }


def best_torch(measured: Mapping[str, Measured]) -> str:
    """Return the name of the fastest PyTorch."""
    names = [name for name in measured if name.startswith("torch")]
    return min(names, key=lambda name: measured[name].median)


def faster_torch(threads: int, task: Mapping[str, Any], pace: Pace) -> Contestant:
    """Return PyTorch in the layout in which it does a task in less time here, by a short measurement."""
    contestants = torch_contestants()
    with started(contestants, threads) as processes:
        best = best_torch(compete(processes, task, pace))
    return next(one for one in contestants if one.name == best)
