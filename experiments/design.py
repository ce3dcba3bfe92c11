"""What an experiment is: what is fixed, what varies, with how many seeds, on which engines, and what it is to tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from job import Job

from fastscratch.config import TrainConfig

if TYPE_CHECKING:
    from claims import Claim
    from drawing import Picture
    from findings import Findings
    from tabular import Table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One way to train, to be compared with the others of its experiment.

    Attributes
    ----------
    name : str
        Part of the results' file names.
    label : str
        What pages call it; the name, if it is left out.
    changes : mapping
        Fields of `TrainConfig` that differ from what the experiment fixes.
    seeds : int
        How many seeds are trained, 0 to seeds - 1.
    twins : int
        How many of them PyTorch trains, too: from the same weights, on the same batches.
    measure : callable or None
        What is done in place of a training run.
    """

    name: str
    label: str = ""
    changes: Mapping[str, Any]
    seeds: int = 3
    twins: int = 0
    measure: Callable[[Job], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A question, and the runs that answer it.

    Attributes
    ----------
    name : str
        Folder of its results.
    title : str
    fixed : TrainConfig
        What all settings have in common. Data set and seed are set by the plan.
    settings : tuple of Setting
        In the order of what they tell.
    question : str
        What it is about, in a few sentences.
    claims : tuple of Claim
        What it is to decide.
    tables : tuple of callable
        Each makes a table of the findings.
    pictures : tuple of Picture
        What is drawn.

    Raises
    ------
    ValueError
        If two settings share a name, a config makes no sense, or a twin is asked for where images are kept apart for
        validation: the twin keeps no best weights.
    """

    name: str
    title: str
    fixed: TrainConfig
    settings: tuple[Setting, ...]
    question: str = ""
    claims: tuple[Claim, ...] = ()
    tables: tuple[Callable[[Findings], Table], ...] = ()
    pictures: tuple[Picture, ...] = ()

    def __post_init__(self) -> None:
        names = [setting.name for setting in self.settings]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.name}: each setting needs a name of its own, got {', '.join(names)}")
        for setting in self.settings:
            config = self.config(setting).validate()
            if setting.twins and config.validation:
                raise ValueError(f"{self.name}: {setting.name} keeps images apart for validation and cannot have twins")

    def setting(self, name: str) -> Setting:
        """Return the setting called so."""
        return next(setting for setting in self.settings if setting.name == name)

    def config(self, setting: Setting, **more: Any) -> TrainConfig:
        """Return the config of a setting, with further changes."""
        return dataclasses.replace(self.fixed, **{**setting.changes, **more})
