"""Measure how long a training step takes in every setting, on both engines, for some seconds each.

    python experiments/timing.py          # leave the machine alone meanwhile, some ten minutes

Each measurement is a process of its own; engines take turns, round after round, with the same number of threads.
Batches are prepared and augmented in the background as in a run, evaluation is not part of it. `write_up.py`
extrapolates from the steps to whole runs. What was stopped goes on where it was, at the same commit.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import outcome
import store
import timings
from job import ENGINES, FASTSCRATCH, TORCH
from options import Scoped, main
from runner import gradients, loader_of, prepare

from fastscratch.config import TrainConfig
from fastscratch.training import Trainer
from fastscratch.training.evaluation import mode
from fastscratch_kernels import available_cores

WARM_UP = 10
"""Steps before the clock runs: buffers are made, caches filled."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Scoped):
    """Measure how long a training step takes in every setting, on both engines.

    Attributes
    ----------
    threads : int or None
        Of each engine; None takes every core this process may use.
    rounds : int
        How often everything is measured.
    seconds : float
        How long each time.
    one : str
        Measure one thing, described in JSON, and print it in JSON; the script calls itself so.
    """

    threads: int | None = None
    rounds: int = 3
    seconds: float = 4.0
    one: str = ""


def run(options: Options) -> int:
    """Measure everything and write the file."""
    if options.one:
        print(json.dumps(seconds_per_step(**json.loads(options.one))))
        return 0
    for name in ("rounds", "seconds", "threads"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise ValueError(f"{name} must be above 0, got {value}")
    threads = options.threads or available_cores()
    path = timings.file_of(Path(options.results))
    begun = path.with_suffix(".begun.json")
    result = taken_up(begun, options, threads)
    for number, row in itertools.product(range(options.rounds), result["rows"]):
        if number < len(row["seconds_per_step"]):
            continue
        print(f"round {number + 1} of {options.rounds}: {row['engine']}, {row['work']}", flush=True)
        what = {"engine": row["engine"], "work": row["work"], "data": options.data, "share": options.share}
        what |= {"seconds": options.seconds, "threads": threads}
        row["seconds_per_step"].append(measured_apart(what))
        store.write(begun, result)
    store.write(path, result)
    begun.unlink()
    print(f"results: {path}")
    return 0


def taken_up(begun: Path, options: Options, threads: int) -> store.Result:
    """Return a result that has no times yet, or those of a measurement of the same things that was stopped."""
    rows = [{"engine": engine, "work": work, "seconds_per_step": []} for engine, work in wanted(options)]
    scope = {"data": options.data, "share": options.share, "seconds": options.seconds}
    new: store.Result = {"format": outcome.FORMAT, **scope, "rows": rows, "made": outcome.made_by(threads)}
    if begun.exists():
        old = store.read(begun)
        times = [row["seconds_per_step"] for row in old["rows"]]
        if old | {"rows": [row | {"seconds_per_step": []} for row in old["rows"]]} == new:
            for row, found in zip(rows, times, strict=True):
                row["seconds_per_step"] = found
    return new


def wanted(options: Options) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each work that some training run of the plan does, with its engine, the engines in turn."""
    seen: set[tuple[str, str]] = set()
    plan = options.plan()
    for experiment in plan.experiments:
        for setting in experiment.settings:
            for engine in ENGINES:
                if setting.measure is None and (setting.seeds if engine == FASTSCRATCH else setting.twins):
                    work = timings.work_of(experiment.config(setting))
                    if (key := (engine, json.dumps(work))) not in seen:
                        seen.add(key)
                        yield engine, work


def measured_apart(what: dict[str, Any]) -> float:
    """Measure in a process of its own.

    Raises
    ------
    ValueError
        With what that process said, if it could not.
    """
    command = [sys.executable, __file__, "--one", json.dumps(what)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{what['engine']}, {what['work']}: {done.stderr.strip() or done.stdout.strip()}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def seconds_per_step(
    engine: str, work: dict[str, Any], data: str, share: float, seconds: float, threads: int
) -> float:
    """Return the mean time of a step, loading included, over about so many seconds."""
    config = TrainConfig(data=data, subsample=share, threads=threads, **work).validate()
    trainer, train = prepare(config)
    step = torch_steps(config, trainer) if engine == TORCH else own_steps(trainer)
    loader = loader_of(config, train, trainer.normalization, drop_last=True)
    batches = itertools.chain.from_iterable(map(loader.epoch, itertools.count()))
    with mode(trainer.model, training=True):
        for images, labels in itertools.islice(batches, WARM_UP):
            step(images, labels)
        started, steps, taken = time.perf_counter(), 0, 0.0
        while taken < seconds:
            step(*next(batches))
            steps, taken = steps + 1, time.perf_counter() - started
    return taken / steps


def own_steps(trainer: Trainer) -> Callable[[Any, Any], object]:
    """Return what takes a step on fastscratch."""

    def step(images: Any, labels: Any) -> None:
        gradients(trainer, images, labels)
        trainer.optimizer.step()

    return step


def torch_steps(config: TrainConfig, trainer: Trainer) -> Callable[[Any, Any], object]:
    """Return what takes a step on PyTorch: as the twin does, with Adam in one kernel and denormals counting as zero."""
    import torch
    from torch_steps import torch_step

    from fastscratch.interop.torch import to_torch

    torch.set_flush_denormal(True)  # before any thread is made, so that all of them have it
    torch.set_num_threads(config.threads or 1)
    model = to_torch(trainer.model)
    adam = torch.optim.Adam(model.parameters(), lr=config.lr, fused=True)
    return lambda images, labels: torch_step(config, model, adam, images, labels)


if __name__ == "__main__":
    sys.exit(main(Options, run))
