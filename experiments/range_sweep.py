"""One epoch in which the learning rate rises from far too small to far too large, after Smith.

Smith, "Cyclical learning rates for training neural networks" (WACV 2017), section 3.3; here the rate rises by a
constant factor, not by a constant amount, so that each power of ten gets as many steps.
"""

from __future__ import annotations

from typing import Any

from job import Job
from runner import prepare

from fastscratch.optim import Optimizer
from fastscratch.schedules import Schedule
from fastscratch.training import NonFiniteLossError

LOWEST, HIGHEST = 1e-6, 1.0


class Rise(Schedule):
    """From the optimizer's learning rate to `highest`, by the same factor at every step.

    Parameters
    ----------
    optimizer : Optimizer
        See `Schedule`.
    highest : float
        The rate of the last step.
    steps : int
        How many there are.
    """

    interval = "step"

    def __init__(self, optimizer: Optimizer, highest: float, steps: int) -> None:
        self.highest = highest
        self.last = max(1, steps - 1)
        super().__init__(optimizer)

    def _rate(self, t: int) -> float:
        return float(self.base_lr * (self.highest / self.base_lr) ** (t / self.last))


def measure(job: Job) -> dict[str, Any]:
    """Train for one epoch and return the rate and the loss of every step; it ends where the loss is not finite."""
    trainer, train = prepare(job.config)
    steps = -(-len(train) // trainer.batch_size)
    trainer.schedule = Rise(trainer.optimizer, HIGHEST, steps)
    try:
        trainer.fit(train, epochs=1)
    except NonFiniteLossError as error:
        print(f"ended early: {error}", flush=True)
    losses = trainer.history.batch_losses
    rates = [trainer.schedule.lr_at(step) for step in range(len(losses))]
    return {"lr": [_short(rate) for rate in rates], "loss": [_short(loss) for loss in losses]}


def _short(value: float) -> float:
    return float(f"{value:.5g}")
