"""What the command lines of this folder have in common: which data, how much of it, where the results are."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import store
from plan import Plan, Scope
from runner import whole

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from console import chosen, main  # noqa: E402  # a mistake is one line and exit code 2 there, too

__all__ = ["ROOT", "Scoped", "chosen", "main"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scoped:
    """Which runs are meant.

    Attributes
    ----------
    data : str
        Data set, as `fastscratch train` takes it.
    share : float
        Share of the images of each run that is used.
    epochs : int or None
        Epochs of each run at most.
    seeds : int or None
        Seeds of each setting, instead of as many as the plan has.
    results : str
        Folder of the results.
    """

    data: str = "cifar10"
    share: float = 1.0
    epochs: int | None = None
    seeds: int | None = None
    results: str = str(store.RESULTS)

    def plan(self) -> Plan:
        """Return the plan of these runs.

        Raises
        ------
        ValueError
            If a number is out of range.
        """
        for name in ("seeds", "epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}")
        name = whole("auto")[0].name if self.data == "auto" else self.data
        return Plan(Scope(name, self.share, self.epochs, self.seeds))
