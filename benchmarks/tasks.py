"""What an engine is asked to do again and again while the clock runs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from networks import batch_indices

LEARNING_RATE = 3e-4

STEP_RATE = 1e-6
"""Of an optimizer's step alone, which is taken thousands of times with one gradient: values hardly move."""

SGD = {"momentum": 0.9, "nesterov": True, "decay": 5e-4}
"""The options of `sgd_step`, all of which cost something."""


@dataclass
class Task:
    """One unit of work.

    Attributes
    ----------
    call : callable
        Does it once. What it returns is kept alive until the next call, as a program would.
    result : callable
        Does it once and returns what came out as arrays in this project's layout: what engines are compared by.
    reset : callable
        Goes back to the first weights and the first batch, so that every round does the same work.
    """

    call: Callable[[], Any]
    result: Callable[[], list[np.ndarray]]
    reset: Callable[[], None] = lambda: None

    def time(self, calls: int, wake: float | None = 0.0) -> float:
        """Return the mean seconds of so many calls from the start.

        Calls before them, `wake` seconds long and one at least, wake threads, caches and the processor's clock; None
        leaves them out.
        """
        if wake is not None:
            self.reset()
            until = time.perf_counter() + wake
            self.call()
            while time.perf_counter() < until:
                self.call()
        self.reset()
        started = time.perf_counter()
        for _ in range(calls):
            kept = self.call()
        seconds = time.perf_counter() - started
        del kept
        return seconds / calls


class Batches:
    """The same batches for every engine, over and over."""

    def __init__(self, count: int, batch: int) -> None:
        self._indices = batch_indices(count, batch)
        self.rewind()

    def rewind(self) -> None:
        """Start again with the first batch."""
        self._next: Iterator[np.ndarray] = itertools.cycle(self._indices)

    def take(self) -> np.ndarray:
        """Return which images the next batch takes."""
        return next(self._next)
