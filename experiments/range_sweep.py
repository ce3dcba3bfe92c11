"""One epoch in which the learning rate rises from far too small to far too large, after Smith.

Smith, "Cyclical learning rates for training neural networks" (WACV 2017), section 3.3; here the rate rises by a
constant factor, not by a constant amount, so that each power of ten gets as many steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from job import Job
from matplotlib.figure import Figure
from runner import prepare

from fastscratch.optim import Optimizer
from fastscratch.report.figures import BLUE, GREY, SKY, blank, frame, moving_average
from fastscratch.schedules import Schedule
from fastscratch.training import NonFiniteLossError

if TYPE_CHECKING:
    from findings import Findings

LOWEST, HIGHEST = 1e-6, 1.0
MARKED = (1e-6, 1e-3, 5e-3)
"""The report's rates."""


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


def draw(findings: Findings) -> Figure:
    """Draw the loss over the rate: each batch light, a moving average strong, the report's rates marked."""
    found = findings.first("sweep")["found"]
    rates, losses = np.array(found["lr"]), np.array(found["loss"])
    figure = blank(7.5, 4.2)
    axes = figure.subplots()
    axes.plot(rates, losses, color=SKY, alpha=0.5, linewidth=0.5, label="each batch")
    smooth = moving_average(losses, max(1, len(losses) // 40))
    axes.plot(rates, smooth, color=BLUE, linewidth=1.8, label="moving average")
    axes.set_xscale("log")
    axes.set_ylim(0.9 * smooth.min(), 1.25 * smooth[0])  # beyond it nothing is learnt
    for rate in MARKED:
        axes.axvline(rate, color=GREY, linewidth=1.0, linestyle=":")
        axes.text(rate, axes.get_ylim()[1], f" {rate:g}", color=GREY, fontsize=8, va="top")
    frame(axes, "Learning rate", "Training loss (nats per image)")
    axes.legend(frameon=False, fontsize=9, loc="lower left")
    return figure
