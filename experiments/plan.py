"""All runs of all experiments, in the order of what they tell, each with an estimate of its time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import agreement
import augmentation
import batch_size
import epochs
import improved
import learning_rate
import losses
import schedulers
import speed_run
import subsampled
from design import Experiment, Setting
from job import ENGINES, FASTSCRATCH, TORCH, Job

EXPERIMENTS = tuple(
    module.EXPERIMENT
    for module in (
        *(agreement, subsampled, learning_rate, schedulers, epochs, batch_size, losses, augmentation),
        *(improved, speed_run),
    )
)
"""In the order of the report."""


@dataclasses.dataclass(frozen=True)
class Scope:
    """How much of everything is done.

    Attributes
    ----------
    data : str
        Data set.
    share : float
        Of the images that a setting would take, how many it does.
    epochs : int or None
        At most so many.
    seeds : int or None
        So many of each setting, instead of as many as it asks for.
    """

    data: str = "cifar10"
    share: float = 1.0
    epochs: int | None = None
    seeds: int | None = None

    def job(self, experiment: Experiment, setting: Setting, engine: str, seed: int) -> Job:
        """Return a run within this scope."""
        config = experiment.config(setting, data=self.data, seed=seed)
        epochs = config.epochs if self.epochs is None else min(config.epochs, self.epochs)
        config = dataclasses.replace(config, subsample=config.subsample * self.share, epochs=epochs)
        return Job(experiment.name, setting.name, engine, config, self.share, setting.measure)

    def seeds_of(self, setting: Setting, engine: str) -> range:
        """Return the seeds of a setting on an engine."""
        planned = setting.seeds if engine == FASTSCRATCH else setting.twins
        if self.seeds is None or not planned:
            return range(planned)
        return range(self.seeds if engine == FASTSCRATCH else min(planned, self.seeds))


class Plan:
    """The runs of some experiments.

    Settings of two experiments that are the same training are one run, which belongs to the first of them.

    Parameters
    ----------
    scope : Scope
    experiments : sequence of Experiment
    """

    def __init__(self, scope: Scope, experiments: Sequence[Experiment] = EXPERIMENTS) -> None:
        self.scope = scope
        self.experiments = experiments
        self._owners: dict[Any, tuple[Experiment, Setting]] = {}
        for experiment in experiments:
            for setting in experiment.settings:
                self._owners.setdefault(self._work(experiment, setting), (experiment, setting))

    def _work(self, experiment: Experiment, setting: Setting) -> Any:
        """Return what settings share that are the same work."""
        return self.scope.job(experiment, setting, FASTSCRATCH, 0).config, setting.measure

    def find(self, experiment: Experiment, setting: Setting, engine: str, seed: int) -> Job:
        """Return the run of a setting, which may belong to another experiment."""
        return self.scope.job(*self._owners[self._work(experiment, setting)], engine, seed)

    def jobs_of(self, experiment: Experiment) -> Iterator[Job]:
        """Return the runs that an experiment looks at, also those that belong to another one."""
        for setting in experiment.settings:
            for engine in ENGINES:
                for seed in self.scope.seeds_of(setting, engine):
                    yield self.find(experiment, setting, engine, seed)

    def ordered(self, only: Iterable[str] = (), engines: Iterable[str] = ENGINES) -> list[Job]:
        """Return each run once: a seed of everything first, fastscratch before PyTorch, then the next seed.

        Parameters
        ----------
        only : iterable of str
            Names of experiments; none are all.
        engines : iterable of str
            Whose runs.

        Raises
        ------
        ValueError
            If a name is unknown.
        """
        only, engines = list(only), list(engines)
        known = [experiment.name for experiment in self.experiments]
        for what, names, allowed in (("experiment", only, known), ("engine", engines, ENGINES)):
            if unknown := [name for name in names if name not in allowed]:
                raise ValueError(f"unknown {what} {', '.join(unknown)}; known: {', '.join(allowed)}")
        wanted = [one for one in self.experiments if not only or one.name in only]
        jobs = dict.fromkeys(job for one in wanted for job in self.jobs_of(one) if job.engine in engines)
        return sorted(jobs, key=lambda job: (job.config.seed, ENGINES.index(job.engine)))  # else as declared


def describe(jobs: Sequence[Job]) -> str:
    """Return a line for each run with its estimated minutes, and their sum."""
    lines = [f"{job.seconds / 60:6.1f}  {job.name}" for job in jobs]
    epochs = sum(job.config.epochs for job in jobs)
    hours = {engine: sum(job.seconds for job in jobs if job.engine == engine) / 3600 for engine in ENGINES}
    total = f"{len(jobs)} runs, {epochs:,} epochs"
    each = f"{hours[FASTSCRATCH]:.1f} h of two cores here, {hours[TORCH]:.1f} h of one core in PyTorch"
    return "\n".join(["minutes  run", *lines, f"{total}: about {each}"])
