"""Results of runs that never took place: for tables, figures and pages, which only read what is written."""

import hashlib
import math

import improved
import numpy as np
import outcome
import reported
import samples
import speed_run
import timings
from gradient_noise import BATCH_SIZES
from job import TORCH
from store import FREE, path_of, write

from fastscratch.config import TrainConfig

MADE = {
    "cpu": "Abacus", "cores": 2, "platform": "Linux", "python": "3.11", "commit": "abc123456", "threads": 2,
    "versions": {"fastscratch": "0.1.0", "numpy": "2.0.0", "numba": None, "torch": "2.2.0"},
}  # fmt: skip


def result(job):
    """Return a result of the shape that a run gives, different for each run and the same each time."""
    config = {name: value for name, value in job.config.to_mapping().items() if name not in FREE}
    head = {"format": outcome.FORMAT, "engine": job.engine, "config": config, "made": dict(MADE)}
    if job.measure is not None:
        return head | {"found": FOUND[job.measure.__module__](job)}
    rng = np.random.default_rng(list(hashlib.sha256(job.name.encode()).digest()))
    # A network that learns the faster the larger the rate, up to 1e-3, and overfits in time.
    pace = min(job.config.lr, 1e-6 / job.config.lr) * 1e3 if job.config.lr > 1e-3 else job.config.lr * 1e3
    at = np.arange(1, job.config.epochs + 1)
    train_loss = 2.3 * np.exp(-pace * at / 10) + 0.01 * rng.random(len(at))
    valid_loss = train_loss + 0.002 * at * pace * rng.uniform(0.9, 1.1) + 0.1
    train_accuracy, valid_accuracy = np.exp(-train_loss), np.exp(-valid_loss)
    batches = math.ceil(400 / job.config.batch_size)
    spread = 2 / job.config.batch_size * pace + 0.01
    losses = (train_loss[:, None] + spread * rng.standard_normal((len(at), batches))).ravel().tolist()
    hard = 0.2 + 0.7 * pace  # the share of the accuracy that cat and deer have; all classes have it whole on average
    final = {
        part: {
            "images": count,
            "fingerprint": f"{part}-{count}",
            "loss": float(loss),
            "accuracy": float(accuracy),
            "class_accuracy": {
                name: float(accuracy) * (hard if name in ("cat", "deer") else (10 - 2 * hard) / 8)
                for name in reported.CLASSES
            },
        }
        for part, count, loss, accuracy in (
            ("train", round(50_000 * job.config.subsample), train_loss[-1], train_accuracy[-1]),
            ("valid", round(10_000 * job.config.subsample), valid_loss[-1], valid_accuracy[-1]),
            ("test", 10_000, valid_loss[-1] + 0.01, valid_accuracy[-1] - 0.01),
        )
    }
    best = int(valid_loss.argmin())
    return head | {
        "history": {
            "train_loss": train_loss.tolist(), "train_accuracy": train_accuracy.tolist(),
            "valid_loss": valid_loss.tolist(), "valid_accuracy": valid_accuracy.tolist(),
            "lr": [job.config.lr] * len(at), "seconds": [1.0] * len(at), "images": [400] * len(at),
        },
        "final": final,
        "best": {"epoch": best + 1, "test": final["test"] | {"loss": float(valid_loss[best]), "accuracy": 0.7}}
        if job.config.validation else None,
        "weights": hashlib.sha256(job.name.encode()).hexdigest()[:16],
        "batches": outcome.batch_losses(losses, batches),
    }  # fmt: skip


def _agreement(job):
    here = [2.3 - 0.01 * batch for batch in range(100)]
    return {
        "float32": here, "float32-torch": [loss + 1e-4 for loss in here],
        "float64": here, "float64-torch": [loss + 1e-13 for loss in here],
    }  # fmt: skip


def _noise(job):
    return {
        "rows": [
            {"epoch": epoch, "batch_size": size, "batches": 256, "signal": 0.5, "noise": 8.0 * (1 + epoch) / size}
            for epoch in (0, 1, 10)
            for size in BATCH_SIZES
        ]
    }


def _sweep(job):
    rates = np.geomspace(1e-6, 1.0, 200)
    return {"lr": rates.tolist(), "loss": (2.3 - np.exp(-((np.log10(rates) + 3) ** 2))).tolist()}


def _samples(job):
    images = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    return {name: samples.encoded(samples.laid_out(images)) for name in samples.SHOWN}


FOUND = {"agreement": _agreement, "gradient_noise": _noise, "range_sweep": _sweep, "samples": _samples}


def make_all(plan, results, only=None):
    """Write a result for every run of a plan."""
    for job in plan.ordered():
        if only is None or job.experiment in only:
            write(path_of(results, job.name), result(job))


def timing():
    """Return what `timing.py` would have written for batches of all sizes, and for the other networks."""
    configs = [(TrainConfig(batch_size=size), size) for size in reported.SECONDS] + [(improved.RECIPE, 1000)]
    speed = speed_run.EXPERIMENT
    configs += [(speed.config(setting), 10_000) for setting in speed.settings]
    rows = [
        {"engine": engine, "work": timings.work_of(config), "seconds_per_step": [base + cost / 1e4] * 3}
        for engine, base in (("fastscratch", 0.001), (TORCH, 0.005))
        for config, cost in configs
    ]
    return {"format": outcome.FORMAT, "data": "cifar10", "share": 1.0, "rows": rows, "made": dict(MADE)}
