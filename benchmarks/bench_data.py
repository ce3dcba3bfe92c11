"""The loader: images a second, with and without augmentation, beside torchvision's.

    python benchmarks/bench_data.py

A call is an epoch of random 8-bit images in batches: shuffled, augmented, normalized to float32. fastscratch transforms
whole batches, in a thread of its own where there is something to augment. A DataLoader does so, here or in worker
processes, where nothing is random; augmented images are transformed one by one, for torchvision draws once a call.
Beside it stands PyTorch without torchvision, gathering, mirroring and shifting whole batches by index.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from console import chosen, main, need, table, tell, thread_count
from contest import QUICK, Contestant, Pace, as_row, compete, fastscratch_contestant, ratio, started
from record import section, settings_of

AUGMENTATIONS = ("none", "flip-crop", "report")
INDEXED = ("none", "flip-crop")
"""What `batches_torch.py` does, which neither rotates nor blurs."""
BY_INDEX = "torch, batches by index"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the loaders of both engines.

    Attributes
    ----------
    augmentations : str
        Which, by comma: none, flip-crop, report.
    batch : int
        Images a batch.
    images : int
        Images of the data set.
    threads : int or None
        Threads of both, and worker processes of the DataLoader; none takes every core this process may use.
    rounds : int
        Rounds; the median counts.
    seconds : float
        What a round of each loader should take; it takes at least an epoch.
    out : str
        Results file; by default benchmarks/results/CPU-DATE-COMMIT.json.
    quick : bool
        Only see that it works.
    """

    augmentations: str = ",".join(AUGMENTATIONS)
    batch: int = 128
    images: int = 5_120
    threads: int | None = None
    rounds: int = 5
    seconds: float = 1.0
    out: str = ""
    quick: bool = False


def run(options: Options) -> int:
    """Measure, print and write."""
    names = chosen("augmentations", options.augmentations, AUGMENTATIONS)
    threads = thread_count(options.threads)
    if not 1 <= options.batch <= options.images:
        raise ValueError(f"batch must be from 1 to the number of images, {options.images}, got {options.batch}")
    pace = QUICK if options.quick else Pace(options.rounds, options.seconds)
    images = min(options.images, 2 * options.batch) if options.quick else options.images
    contestants = [
        _torch("torch, in the process", 0),
        _torch(f"torch, workers: {threads}", threads),
        _torch(BY_INDEX, None),
        fastscratch_contestant("auto"),
    ]
    need("torch", "torchvision")
    with section("data", settings_of(options) | {"threads": threads}, options.out) as results:
        lines: list[tuple[Any, ...]] = []
        with started(contestants, threads) as processes:
            for name in names:
                tell(f"augmentation {name}")
                task = {"kind": "loading", "augment": name, "batch": options.batch, "count": images}
                some = [one for one in processes if one.contestant.name != BY_INDEX or name in INDEXED]
                measured = compete(some, task, pace, own_calls=True)
                row = as_row(measured)
                served = images // options.batch * options.batch
                what = {"augmentation": name, "batch": options.batch, "images": served, "threads": threads}
                results.add(what | row)
                for engine, mine in measured.items():
                    times = ratio(mine, measured[row["best_torch"]])[0]
                    lines.append((name, engine, f"{served / mine.median:,.0f}", f"{times:.2f}"))
        table(("augmentation", "engine", "images/s", "PyTorch's time / its"), lines, text_columns=2)
    return 0


def _torch(name: str, workers: int | None) -> Contestant:
    return Contestant(name, {"engine": "torch", "layout": "contiguous", "workers": workers})


if __name__ == "__main__":
    sys.exit(main(Options, run))
