"""Schedules: the learning rate over time.

A schedule is a function ``lr_at(t)`` and a counter t. It sets ``optimizer.lr`` to ``lr_at(0)`` when it is made, and to
the next value at every `Schedule.step`. Its `interval` says what is counted: call `step` after every epoch, or after
every step of the optimizer.

Unlike PyTorch's recursive formulas, each rate is computed from t alone, so that no rounding adds up and t is all the
state there is. A rate that somebody else sets on the optimizer lasts until the next `step`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal

from .nn.checks import check_number, check_size
from .optim import Optimizer


class Schedule(ABC):
    """Base of the schedules. A subclass writes `_rate`, a function of t and of `base_lr`.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set; the one it has now is the base of the schedule.

    Attributes
    ----------
    interval : {"epoch", "step"}
        What t counts.
    base_lr : float
        The optimizer's learning rate when the schedule was made.

    Raises
    ------
    TypeError, ValueError
        If `optimizer` is none, or a setting of the subclass is of the wrong kind or out of range.
    """

    interval: ClassVar[Literal["epoch", "step"]]

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"a schedule takes an Optimizer, got {type(optimizer).__name__}: {optimizer!r}")
        self.optimizer = optimizer
        self.base_lr = optimizer.lr
        self._t = 0
        optimizer.lr = self._rate(0)

    def step(self) -> None:
        """Go on to the next t, and set the optimizer's learning rate; raises as `lr_at`."""
        self.optimizer.lr = self.lr_at(self._t + 1)
        self._t += 1

    def lr_at(self, t: int) -> float:
        """Return the learning rate at epoch or step `t`, counted from 0; nothing is set.

        Raises
        ------
        ValueError
            If `t` is negative, or the rate too large for a float.
        """
        if t < 0:
            raise ValueError(f"t is at least 0, got {t}")
        try:
            rate = self._rate(t)
        except OverflowError:
            rate = math.inf
        if rate == math.inf:
            raise ValueError(f"the learning rate of {type(self).__name__} is too large for a float at t = {t}")
        return rate

    @abstractmethod
    def _rate(self, t: int) -> float:
        """Return the learning rate at `t`, which is at least 0."""

    def state_dict(self) -> dict[str, float]:
        """Return ``t`` and ``base_lr``; the other settings are not in it."""
        return {"t": self._t, "base_lr": self.base_lr}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, and set the optimizer's learning rate.

        Raises
        ------
        TypeError
            If a value is no number.
        ValueError
            If keys are missing or unknown, or a number is out of range; nothing is changed then.
        """
        if set(state) != {"t", "base_lr"}:
            raise ValueError(f"the state of {type(self).__name__} is ['base_lr', 't'], got {sorted(state)}")
        t = check_size("t", state["t"], at_least=0)
        before, self.base_lr = self.base_lr, check_number("base_lr", state["base_lr"], at_least=0.0)
        try:
            self.optimizer.lr = self.lr_at(t)
        except ValueError:
            self.base_lr = before
            raise
        self._t = t

    def __repr__(self) -> str:
        return f"{type(self).__name__}(t={self._t}, lr={self.optimizer.lr:g})"


class ConstantLR(Schedule):
    """The optimizer's own learning rate at every epoch.

    Parameters
    ----------
    optimizer : Optimizer
        See `Schedule`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or out of range.
    """

    interval = "epoch"

    def _rate(self, t: int) -> float:
        return self.base_lr


class StepLR(Schedule):
    """The learning rate times `gamma` every `step_size` epochs: ``lr(t) = base γ^⌊t / step_size⌋``.

    Parameters
    ----------
    optimizer : Optimizer
        See `Schedule`.
    step_size : int
        Epochs between two decays, at least 1.
    gamma : float
        Factor γ of a decay, above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or out of range.
    """

    interval = "epoch"

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = check_size("step_size", step_size)
        self.gamma = check_number("gamma", gamma, above=0.0)
        super().__init__(optimizer)

    def _rate(self, t: int) -> float:
        return self.base_lr * self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    """The learning rate times `gamma` at each milestone: ``lr(t) = base γ^(number of milestones up to t)``.

    Parameters
    ----------
    optimizer : Optimizer
        See `Schedule`.
    milestones : sequence of int
        Epochs of the decays, at least 1, increasing; epoch t, counted from 0, is the first with the lower rate.
    gamma : float
        Factor γ of a decay, above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or out of range.
    """

    interval = "epoch"

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = tuple(check_size("a milestone", milestone) for milestone in milestones)
        if not self.milestones or any(later <= earlier for earlier, later in pairwise(self.milestones)):
            raise ValueError(f"milestones must be one or more increasing epochs, got {list(self.milestones)}")
        self.gamma = check_number("gamma", gamma, above=0.0)
        super().__init__(optimizer)

    def _rate(self, t: int) -> float:
        return self.base_lr * self.gamma ** bisect_right(self.milestones, t)


class CosineLR(Schedule):
    """A linear rise to the optimizer's learning rate, then half a cosine down to `final_lr`.

    Parameters
    ----------
    optimizer : Optimizer
        See `Schedule`.
    total_steps : int
        Steps T until `final_lr` is reached; it stays there afterwards.
    warmup_steps : int
        Steps W of the rise, from 0 to T - 1. While Adam's means are still of few gradients, small steps are safer.
    final_lr : float
        At least 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or out of range.

    Notes
    -----
    ::

        lr(t) = base (t + 1) / (W + 1)                                   t < W
        lr(t) = final + (base - final) (1 + cos(π (t - W) / (T - W))) / 2    W <= t <= T

    The rise starts above 0, where a step would be wasted, and meets the cosine at ``lr(W) = base``. Loshchilov and
    Hutter, "SGDR: stochastic gradient descent with warm restarts" (ICLR 2017), without the restarts.
    """

    interval = "step"

    def __init__(
        self, optimizer: Optimizer, total_steps: int, warmup_steps: int = 0, final_lr: float = 0.0
    ) -> None:
        self.total_steps = check_size("total_steps", total_steps)
        self.warmup_steps = check_size("warmup_steps", warmup_steps, at_least=0)
        if self.warmup_steps >= self.total_steps:
            raise ValueError(f"warmup_steps must be below total_steps {total_steps}, got {warmup_steps}")
        self.final_lr = check_number("final_lr", final_lr, at_least=0.0)
        super().__init__(optimizer)

    def _rate(self, t: int) -> float:
        if t < self.warmup_steps:
            return self.base_lr * (t + 1) / (self.warmup_steps + 1)
        return _cosine(
            self.base_lr, self.final_lr, (t - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        )


class OneCycleLR(Schedule):
    """Half a cosine up to a large learning rate, and half a cosine down to almost none.

    The optimizer's own learning rate is not used.

    Parameters
    ----------
    optimizer : Optimizer
        See `Schedule`.
    max_lr : float
        The peak, above 0.
    total_steps : int
        Steps T; the last one, ``t = T - 1``, has the lowest rate, which stays afterwards (PyTorch raises there).
    pct_start : float in [0, 1)
        Share of the steps until the peak.
    div_factor : float
        The first rate is ``max_lr / div_factor``; at least 1.
    final_div_factor : float
        The last rate is the first one divided by this; at least 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or out of range.

    Notes
    -----
    The peak is at ``t = pct_start T - 1``. As PyTorch's class with ``anneal_strategy="cos"``; momentum is not cycled.
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates" (2018),
    where both ways are straight lines.
    """

    interval = "step"

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        self.max_lr = check_number("max_lr", max_lr, above=0.0)
        self.total_steps = check_size("total_steps", total_steps)
        self.pct_start = check_number("pct_start", pct_start, at_least=0.0, below=1.0)
        self.div_factor = check_number("div_factor", div_factor, at_least=1.0)
        self.final_div_factor = check_number("final_div_factor", final_div_factor, at_least=1.0)
        super().__init__(optimizer)

    def _rate(self, t: int) -> float:
        first = self.max_lr / self.div_factor
        peak, end = self.pct_start * self.total_steps - 1.0, self.total_steps - 1.0
        if t <= peak and peak > 0.0:
            return _cosine(first, self.max_lr, t / peak)
        return _cosine(self.max_lr, first / self.final_div_factor, (t - peak) / (end - peak))


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": ConstantLR,
    "step": StepLR,
    "multistep": MultiStepLR,
    "cosine": CosineLR,
    "onecycle": OneCycleLR,
}
"""The schedules by the names that the command line takes."""


def _cosine(start: float, end: float, share: float) -> float:
    """Return `start` for share 0, `end` for share 1 and above, and half a cosine between."""
    return end + (start - end) * (1.0 + math.cos(math.pi * min(share, 1.0))) / 2.0
