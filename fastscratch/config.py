"""Everything a training run can be told, as one dataclass; its checks, and its files.

`TrainConfig` is the only schema: the command line's options, the keys of a TOML file and a run's ``config.json`` are
its fields. Nothing here imports a layer or a data set before `TrainConfig.validate` needs the known names.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import math
import numbers
import os
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CONFIG_FILE = "config.json"

# Where a run is stored and how it is executed: not part of what is computed, so not written to its config.
PLACES = frozenset({"out", "resume"})

# What a resumed run may set anew: `backend` to another name of the same kernels, `epochs` as `fixed_fields` says.
FREE_AT_RESUME = PLACES | {"epochs", "backend", "threads", "checkpoint_every", "early_stopping"}

# Schedules whose learning rate at a step depends on how many steps there will be.
PLANNED_SCHEDULES = ("cosine", "onecycle")

# field -> (the choice it belongs to, the values of that choice that read it)
BELONGS_TO = {
    "without": ("model", ("improved",)),
    "momentum": ("optimizer", ("sgd",)),
    "nesterov": ("optimizer", ("sgd",)),
    "step_size": ("schedule", ("step",)),
    "gamma": ("schedule", ("step", "multistep")),
    "milestones": ("schedule", ("multistep",)),
    "warmup_epochs": ("schedule", ("cosine",)),
    "final_lr": ("schedule", ("cosine",)),
    "pct_start": ("schedule", ("onecycle",)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The options of a training run; the defaults train the report's network.

    Attributes
    ----------
    data : str
        Data set: auto (cifar10 where it can be had, else shapes10), cifar10, fashion-mnist, shapes10, or a
        folder with train/CLASS/*.png and test/CLASS/*.png.
    subsample : float
        Share of the training and of the test images to use, the same of every class.
    validation : float
        Share of the training images to keep apart and validate on; 0 validates on the test images.
    augment : str
        Random changes to training images: none, report, flip-crop, flip-shift, flip-crop-cutout, hflip, vflip,
        rotation, blur.
    model : str
        Network: baseline (the report's CNN), improved or speedrun.
    without : tuple of str
        Ideas that are left out of the network (model improved): resolution, depth, late-pooling, filter-sizes,
        width, padding, dropout, batch-norm, global-pooling.
    init : str or None
        How weights are drawn: torch, kaiming_uniform, kaiming_normal, xavier_uniform, xavier_normal, dirac,
        zeros; None takes the network's own.
    epochs : int
        Passes over the training images.
    batch_size : int
        Images a step.
    loss : str
        cross-entropy or kl-divergence.
    label_smoothing : float
        Probability taken from the true class and spread over all classes.
    optimizer : str
        adam, adamw or sgd.
    lr : float
        Learning rate; the peak of the schedules cosine and onecycle.
    weight_decay : float or None
        Weight decay; None takes the optimizer's own default.
    momentum : float
        Momentum (optimizer sgd).
    nesterov : bool
        Look ahead as Nesterov does (optimizer sgd with momentum).
    schedule : str
        Learning rate over time: constant, step, multistep, cosine, onecycle.
    step_size : int
        Epochs between two decays (schedule step).
    gamma : float
        Factor of each decay (schedules step and multistep).
    milestones : tuple of int
        Epochs after which the rate decays (schedule multistep).
    warmup_epochs : float
        Epochs of linear rise to the rate, from a first step above zero (schedule cosine).
    final_lr : float
        Learning rate at the end (schedule cosine).
    pct_start : float
        Share of the steps in which the rate rises (schedule onecycle).
    early_stopping : int or None
        Stop after this many epochs without a lower validation loss.
    seed : int
        The seed of every random choice.
    backend : str
        Kernels: auto, cython, numba or numpy.
    precision : str
        Rounding errors of wide 3 x 3 convolutions: standard, or fast, with errors ten times as large.
    threads : int or None
        Threads for all kernels; None takes every core this process may use.
    out : str or None
        Folder of the run; None makes runs/TIME-MODEL-DATA.
    checkpoint_every : int or None
        Steps between two checkpoints; one is written after every epoch in any case.
    resume : str or None
        Folder of a run to go on with, from its last checkpoint and with its config.
    """

    data: str = "auto"
    subsample: float = 1.0
    validation: float = 0.0
    augment: str = "none"
    model: str = "baseline"
    without: tuple[str, ...] = ()
    init: str | None = None
    epochs: int = 20
    batch_size: int = 32
    loss: str = "cross-entropy"
    label_smoothing: float = 0.0
    optimizer: str = "adam"
    lr: float = 3e-4
    weight_decay: float | None = None
    momentum: float = 0.0
    nesterov: bool = False
    schedule: str = "constant"
    step_size: int = 1
    gamma: float = 0.7
    milestones: tuple[int, ...] = ()
    warmup_epochs: float = 0.0
    final_lr: float = 0.0
    pct_start: float = 0.3
    early_stopping: int | None = None
    seed: int = 0
    backend: str = "auto"
    precision: str = "standard"
    threads: int | None = None
    out: str | None = None
    checkpoint_every: int | None = None
    resume: str | None = None

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, source: str = "config") -> TrainConfig:
        """Make a config from names and values, as a file holds them.

        Parameters
        ----------
        values : mapping of str to value
            Field names (``batch_size`` or ``batch-size``) and values of the fields' types; lists stand for
            tuples and whole numbers for floats. Fields that are absent keep their defaults.
        source : str
            What to call the mapping in an error, for example the file's path.

        Raises
        ------
        ValueError
            If a name is unknown or given twice.
        TypeError
            If `values` is not a mapping, or a value is not of its field's type.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"{source}: must hold names and values, got {type(values).__name__}")
        hints = field_types(cls)
        fields: dict[str, Any] = {}
        for key, value in values.items():
            name = str(key).replace("-", "_")
            if name not in hints:
                raise ValueError(f"{source}: unknown key {key!r}{did_you_mean(name, hints)}")
            if name in fields:
                raise ValueError(f"{source}: {name} is given twice")
            fields[name] = convert(value, hints[name], f"{source}: {name}")
        return cls(**fields)

    def to_mapping(self) -> dict[str, Any]:
        """Every field but where the run lies, in a form that JSON and TOML hold and `from_mapping` reads."""
        values = {name: value for name, value in dataclasses.asdict(self).items() if name not in PLACES}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def fixed_fields(self) -> dict[str, Any]:
        """Fields that decide what is computed: a resumed run must have the same."""
        free = FREE_AT_RESUME - ({"epochs"} if self.schedule in PLANNED_SCHEDULES else set())
        return {name: value for name, value in self.to_mapping().items() if name not in free}

    def validate(self) -> TrainConfig:
        """Check every field, and the fields against each other.

        Returns
        -------
        config : TrainConfig
            Itself, with whole numbers made floats where a float is meant.

        Raises
        ------
        TypeError
            If a field is not of its type.
        ValueError
            If a number is out of range, a name is unknown (the message lists the known ones), or two fields
            contradict each other. One line in every case.
        """
        hints = field_types(type(self))
        config = dataclasses.replace(
            self, **{name: convert(getattr(self, name), hint, name) for name, hint in hints.items()}
        )
        _check_ranges(config)
        _check_names(config)
        _check_combinations(config)
        return config


def field_types(cls: type) -> dict[str, Any]:
    """Names and types of a dataclass's fields, in their order."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def describe_type(hint: Any) -> str:
    """Say in words what values a type annotation admits, for errors."""
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "None"}
    if hint in words:
        return words[hint]
    if typing.get_origin(hint) is tuple:
        return "a list of whole numbers" if typing.get_args(hint)[0] is int else "a list"
    return " or ".join(describe_type(option) for option in typing.get_args(hint))


def convert(value: Any, hint: Any, name: str) -> Any:
    """Return `value` as the type `hint` (one of a config's field types), without guessing.

    Whole numbers pass for floats, lists for tuples, NumPy's numbers for Python's; nothing else is converted.

    Raises
    ------
    TypeError
        If the value is not of that type.
    """
    if isinstance(hint, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        inner = next(option for option in options if option is not type(None))
        if not _admits(value, inner):
            raise TypeError(f"{name} must be {describe_type(hint)}, got {value!r}")
        return convert(value, inner, name)
    if not _admits(value, hint):
        raise TypeError(f"{name} must be {describe_type(hint)}, got {value!r}")
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return tuple(convert(entry, item, f"each of {name}") for entry in value)
    return hint(value)


def _admits(value: Any, hint: Any) -> bool:
    if typing.get_origin(hint) is tuple:
        return isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)
    return isinstance(value, hint)


def did_you_mean(word: str, known: typing.Iterable[str]) -> str:
    """End of an error about an unknown word: ``; did you mean 'epochs'?`` or the list of the known words."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _check_ranges(config: TrainConfig) -> None:
    for name in ("epochs", "batch_size", "step_size", "threads", "checkpoint_every", "early_stopping"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if config.seed < 0:
        raise ValueError(f"seed must be at least 0, got {config.seed}")
    for name in ("lr", "gamma"):
        value = getattr(config, name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a positive, finite number, got {value}")
    for name in ("weight_decay", "warmup_epochs", "final_lr"):
        value = getattr(config, name)
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a finite number of at least 0, got {value}")
    if not 0 < config.subsample <= 1:
        raise ValueError(f"subsample must be above 0 and at most 1, got {config.subsample}")
    if not 0 < config.pct_start < 1:
        raise ValueError(f"pct_start must be above 0 and below 1, got {config.pct_start}")
    for name in ("validation", "label_smoothing", "momentum"):
        value = getattr(config, name)
        if not 0 <= value < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, got {value}")


def _check_names(config: TrainConfig) -> None:
    for name, known in known_names().items():
        value = getattr(config, name)
        if value is None or (name == "data" and (set(value) & set("/\\") or Path(os.path.expanduser(value)).is_dir())):
            continue  # data: a folder of images; data.load says what is wrong with it
        if value not in known:
            extra = ", or a folder of images" if name == "data" else ""
            raise ValueError(f"unknown {name} {value!r}; known: {', '.join(known)}{extra}")
    from fastscratch.models import IDEAS

    if unknown := [idea for idea in config.without if idea not in IDEAS]:
        raise ValueError(f"unknown ideas in without: {', '.join(unknown)}; known: {', '.join(IDEAS)}")


def known_names() -> dict[str, tuple[str, ...]]:
    """Return the names that each choice of a config admits, from the registries that hold them."""
    from fastscratch import losses, models, optim, schedules
    from fastscratch.data import DATASETS
    from fastscratch.data.augment import AUGMENTATIONS
    from fastscratch.nn.init import INITIALIZERS

    return {
        "data": ("auto", *DATASETS),
        "augment": tuple(AUGMENTATIONS),
        "model": tuple(models.MODELS),
        "init": tuple(INITIALIZERS),
        "loss": tuple(losses.LOSSES),
        "optimizer": tuple(optim.OPTIMIZERS),
        "schedule": tuple(schedules.SCHEDULES),
        "backend": ("auto", "cython", "numba", "numpy"),
        "precision": ("standard", "fast"),
    }


def _check_combinations(config: TrainConfig) -> None:
    defaults = TrainConfig()
    for name, (choice, readers) in BELONGS_TO.items():
        value, chosen = getattr(config, name), getattr(config, choice)
        if value != getattr(defaults, name) and chosen not in readers:
            raise ValueError(f"{name} belongs to {choice} {' and '.join(readers)}; {choice} is {chosen}")
    if config.nesterov and config.momentum == 0:
        raise ValueError("nesterov needs momentum above 0, got momentum 0.0")
    milestones = config.milestones
    if config.schedule == "multistep" and not milestones:
        raise ValueError("schedule multistep needs milestones, for example 10 15")
    if milestones and (milestones[0] < 1 or any(b <= a for a, b in itertools.pairwise(milestones))):
        raise ValueError(f"milestones must be rising epochs from 1 on, got {list(milestones)}")
    if config.warmup_epochs >= config.epochs:
        raise ValueError(f"warmup_epochs must be below epochs, got {config.warmup_epochs} of {config.epochs}")
    if config.final_lr > config.lr:
        raise ValueError(f"final_lr must not be above lr, got {config.final_lr} and lr {config.lr}")


def read_config(path: str | Path) -> dict[str, Any]:
    """Read names and values from a TOML file, a run's ``config.json``, or a run's folder.

    Raises
    ------
    ValueError
        If the file is not TOML or JSON (by its ending), or cannot be parsed as such.
    OSError
        If it cannot be read.
    """
    path = Path(os.path.expanduser(path))
    path = path / CONFIG_FILE if path.is_dir() else path
    if path.suffix not in (".toml", ".json"):
        raise ValueError(f"{path}: a config must be a .toml or .json file, or the folder of a run")
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise type(error)(f"cannot read config {path}: {error.strerror}") from error
    except ValueError as error:  # TOML's, JSON's and UTF-8's own errors are ValueErrors
        raise ValueError(f"{path}: not valid {path.suffix[1:].upper()}: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: must hold names and values, got a {type(values).__name__}")
    return values


def read_run_config(folder: Path) -> TrainConfig:
    """Read the config of a run.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist or holds no run.
    TypeError, ValueError
        If its ``config.json`` is not one.
    """
    if not folder.is_dir():
        fault = f"it is a file; name its folder, {folder.parent}" if folder.exists() else "no such folder"
        raise FileNotFoundError(f"there is no run {folder}: {fault}")
    if not (folder / CONFIG_FILE).exists():
        raise FileNotFoundError(f"{folder} is not the folder of a run: it holds no {CONFIG_FILE}")
    return TrainConfig.from_mapping(read_config(folder), source=str(folder / CONFIG_FILE)).validate()
