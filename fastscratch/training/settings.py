"""What a trainer was made of, as plain values: what must be the same when a run is taken up again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import fastscratch_kernels
from fastscratch.nn.module import model_dtype

if TYPE_CHECKING:
    from fastscratch.nn import Module
    from fastscratch.training.trainer import Trainer


ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
PLAIN_REPR: Any = object.__repr__


def describe_settings(trainer: Trainer) -> dict[str, Any]:
    """Describe everything outside a run's state that its bits depend on.

    Returns
    -------
    dict
        Plain values: ``batch_size``, ``eval_batch_size``, ``seed``, ``augment``, ``lr`` (the schedule's base, or
        without one that of the optimizer when the trainer was made), ``criterion``, ``optimizer`` and ``schedule``
        with their options, the names of the optimizer's parameters where those are not the model's in their order,
        ``backend``, ``precision``, ``dtype``, each layer as ``model.<name>``, the rates of parameters that have one of
        their own, and on the NumPy backend ``threads``: BLAS adds up in another order where it has more of them.

    Notes
    -----
    Not in here, because a resumed run may have them otherwise: the number of epochs (a schedule that depends on it
    has its steps among its own options), where and how often checkpoints are written, prefetching, the number of
    threads of compiled kernels, and the callbacks (one that the checkpoint does not know starts anew).
    """
    backend = fastscratch_kernels.active_backend()
    return {
        "batch_size": trainer.batch_size,
        "eval_batch_size": trainer.eval_batch_size,
        "seed": trainer.seed,
        "augment": describe(trainer.augment),
        "lr": trainer.initial_lr if trainer.schedule is None else trainer.schedule.base_lr,
        "criterion": describe(trainer.criterion),
        **_with_options("optimizer", trainer.optimizer),
        **_other_parameters(trainer),
        **({"schedule": None} if trainer.schedule is None else _with_options("schedule", trainer.schedule)),
        "backend": backend,
        **({"threads": fastscratch_kernels.get_num_threads()} if backend == "numpy" else {}),
        "precision": fastscratch_kernels.selected_precision(),
        "dtype": str(model_dtype(trainer.model)),
        **_layers(trainer.model),
        **{
            f"model.{name}.lr_scale": parameter.lr_scale
            for name, parameter in trainer.model.named_parameters()
            if parameter.lr_scale != 1
        },
    }


def describe(value: Any) -> str | None:
    """Return a text that is the same in every process: a name where there is one, else the repr without addresses."""
    if value is None:
        return None
    named = type(value) if type(value).__repr__ is PLAIN_REPR else value
    if hasattr(named, "__qualname__"):
        return f"{named.__module__}.{named.__qualname__}"
    return ADDRESS.sub("", repr(value))


def _with_options(role: str, value: Any) -> dict[str, Any]:
    """Return the class of an optimizer or a schedule, and its public attributes that are numbers or tuples of them."""
    options = {
        f"{role}.{name}": list(option) if isinstance(option, tuple) else option
        for name, option in vars(value).items()
        if not name.startswith("_") and name != "base_lr" and _is_number(option)  # base_lr: see lr
    }
    return {role: type(value).__name__, **options}


def _other_parameters(trainer: Trainer) -> dict[str, Any]:
    """Return what the optimizer holds, where that is not all of the model in its order: so its arrays are laid out."""
    names = [parameter.name for parameter in trainer.optimizer.parameters]
    usual = [parameter.name for parameter in trainer.model.parameters()]
    return {} if names == usual else {"optimizer.parameters": names}


def _is_number(value: Any) -> bool:
    return all(_is_number(item) for item in value) if isinstance(value, tuple) else isinstance(value, int | float)


def _layers(model: Module) -> dict[str, Any]:
    """Return the class of every container and the repr, which holds the options, of every layer."""
    return {
        f"model.{name}" if name else "model": _container(module) if module.children() else describe(module)
        for name, module in model.modules()
    }


def _container(module: Module) -> str:
    options = ", ".join(f"{name}={value}" for name, value in module.options().items())
    return type(module).__name__ + (f"({options})" if options else "")
