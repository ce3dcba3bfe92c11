"""Training runs whose results are kept: each setting and seed once, gone on with after a stop, never done again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import fastscratch
from fastscratch import run
from fastscratch.config import CONFIG_FILE, TrainConfig
from fastscratch.training import ProgressBar
from fastscratch.training.atomic import write_atomically

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
WORK = HERE.parent / "runs" / "experiments"


def result_file(experiment: str, name: str) -> Path:
    """Return where the result of a run is kept."""
    return RESULTS / experiment / f"{name}.json"


def train_once(experiment: str, name: str, config: TrainConfig) -> dict[str, Any]:
    """Return the result of a run: from its file, else by training, from the last checkpoint if there is one.

    Parameters
    ----------
    experiment : str
        Folder below ``results``.
    name : str
        Name of the run within it; another setting or seed needs another name.
    config : TrainConfig
        What is trained. `out` and `resume` are set here.

    Returns
    -------
    dict
        ``config``, ``history`` (one row an epoch), ``metrics`` (as in a run's ``metrics.json``), ``version``.
    """
    path = result_file(experiment, name)
    if path.exists():
        result: dict[str, Any] = json.loads(path.read_text())
        return result
    folder = WORK / experiment / name
    where = {"resume": str(folder)} if (folder / CONFIG_FILE).exists() else {"out": str(folder)}
    print(f"{experiment}/{name}", flush=True)
    started = run.start(dataclasses.replace(config, **where), callbacks=[ProgressBar()])
    started.fit()
    metrics = started.write_results()
    result = {
        "config": started.config.fixed_fields(),
        "history": started.trainer.history.rows,
        "metrics": metrics,
        "version": fastscratch.__version__,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(result, indent=1) + "\n").encode())
    return result


def load_results(experiment: str) -> dict[str, dict[str, Any]]:
    """Return the results of all finished runs of an experiment, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((RESULTS / experiment).glob("*.json"))}
