"""How hard shapes10 is, the data set that the project draws itself: the report's CNN on all of it, and on a tenth.

Run as ``python experiments/drawn_data.py``; the table of docs/data.md is made from its results.
"""

from __future__ import annotations

from backends import measure

from fastscratch.config import TrainConfig

EXPERIMENT = "drawn_data"
RUNS = {
    "all": TrainConfig(data="shapes10", epochs=4),
    "tenth": TrainConfig(data="shapes10", epochs=20, subsample=0.1),
}
"""name of a run -> how it trains."""


def main() -> None:
    """Make the runs that are missing."""
    for name, config in RUNS.items():
        measure(f"{EXPERIMENT}/{name}-seed-{config.seed}", config)


if __name__ == "__main__":
    main()
