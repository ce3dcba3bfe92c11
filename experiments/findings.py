"""The results of an experiment, as far as they are there."""

from __future__ import annotations

from pathlib import Path

import store
from design import Experiment
from job import ENGINES, FASTSCRATCH
from plan import Plan
from store import NotRun, Result


class Findings:
    """Reads results by the names of settings.

    Parameters
    ----------
    experiment : Experiment
        Whose settings are meant.
    plan : Plan
        It says where the results of a setting are, which may belong to another experiment.
    folder : Path
        Of all results.

    Raises
    ------
    ValueError
        From every method, if a result is one of another config than the plan's.
    """

    def __init__(self, experiment: Experiment, plan: Plan, folder: Path) -> None:
        self.experiment, self.plan, self.folder = experiment, plan, folder
        self._read: dict[tuple[str, str], dict[int, Result]] = {}

    def by_seed(self, setting: str, engine: str = FASTSCRATCH) -> dict[int, Result]:
        """Return the results of a setting, by seed; an empty dictionary where there are none yet."""
        key = setting, engine
        if key not in self._read:
            found = {}
            wanted = self.experiment.setting(setting)
            for seed in self.plan.scope.seeds_of(wanted, engine):
                job = self.plan.find(self.experiment, wanted, engine, seed)
                path = store.path_of(self.folder, job.name)
                if path.exists():
                    found[seed] = store.read(path)
                    store.check_same(path, found[seed], job.config)
            self._read[key] = found
        return self._read[key]

    def of(self, setting: str, engine: str = FASTSCRATCH) -> dict[int, Result]:
        """Return the results of a setting, by seed.

        Raises
        ------
        NotRun
            If there are none yet.
        """
        results = self.by_seed(setting, engine)
        if not results:
            raise NotRun(f"{self.experiment.name}/{setting} has not been run")
        return results

    def first(self, setting: str, engine: str = FASTSCRATCH) -> Result:
        """Return the result of the first seed; NotRun if there is none yet."""
        return next(iter(self.of(setting, engine).values()))

    def all(self) -> list[Result]:
        """Return every result of the experiment."""
        names = [setting.name for setting in self.experiment.settings]
        return [result for name in names for engine in ENGINES for result in self.by_seed(name, engine).values()]
