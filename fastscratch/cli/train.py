"""``fastscratch train``: train a network and write the folder of the run."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscratch.cli.parsing import UsageError, parse
from fastscratch.config import TrainConfig, field_types, read_config, read_run_config

if TYPE_CHECKING:
    from fastscratch.run import Run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(TrainConfig):
    """Train a network; without options, the report's CNN on all images of the data set.

    Attributes
    ----------
    config : str or None
        File with options: a TOML file, or the config.json of a run; options given here win.
    """

    config: str | None = None


def read_options(argv: Sequence[str], prog: str) -> TrainConfig:
    """Join the options given with those of a config file or of the run to resume.

    Raises
    ------
    UsageError
        For words that cannot be understood.
    TypeError, ValueError, OSError
        For a file that holds something else.
    """
    given = parse(Options, argv, prog=prog)
    if given.resume is not None and given.config is not None:
        raise UsageError("give --resume or --config, not both: a resumed run has a config of its own")
    if given.resume is not None:
        base = dataclasses.replace(read_run_config(Path(os.path.expanduser(given.resume))), resume=given.resume)
    elif given.config is not None:
        base = TrainConfig.from_mapping(read_config(given.config), source=given.config)
    else:
        base = TrainConfig()
    names = field_types(TrainConfig)
    default = Options(config=given.config, **{name: getattr(base, name) for name in names})
    options = parse(Options, argv, prog=prog, default=default)
    return TrainConfig(**{name: getattr(options, name) for name in names})


def run(argv: Sequence[str], prog: str) -> int:
    """Train as the words say; print what is done, a table at the end, and where the files are."""
    config = read_options(argv, prog)

    from fastscratch.run import start
    from fastscratch.training import ProgressBar, TrainingInterrupted

    started = start(config, callbacks=[ProgressBar()])
    print_header(started)
    started.fit()
    try:
        metrics = started.write_results()
    except KeyboardInterrupt as stop:  # all is trained, and --resume would measure it
        raise TrainingInterrupted(signal.SIGINT, started.trainer.checkpoint.file) from stop
    print_results(started, metrics)
    return 0


def print_header(run: Run) -> None:
    """Say in a few lines what is about to be trained, on what, and where it is kept."""
    from fastscratch_kernels import active_backend, get_num_threads

    config, model = run.config, run.trainer.model
    h, w, c = run.train.image_shape
    held = "of the training set" if config.validation else "of the test set"
    parameters = sum(parameter.size for parameter in model.parameters())
    lines = {
        "data": f"{run.train.name}: {len(run.train):,} images of {h} x {w} x {c} in {run.train.num_classes} classes "
        f"(fingerprint {run.train.fingerprint})",
        "validation": f"{len(run.valid):,} images {held} (fingerprint {run.valid.fingerprint})",
        "model": f"{config.model}, {parameters:,} parameters",
        "kernels": f"{active_backend()}, threads: {get_num_threads()}",
        "folder": str(run.folder),
    }
    at = run.trainer.state
    if config.resume is not None:
        within = f" and {at.batch} batches" if at.batch else ""
        lines["resumed"] = f"after {at.epoch} of {config.epochs} epochs{within}" if at.step else "from the beginning"
    for name, text in lines.items():
        print(f"{name + ':':<12}{text}", flush=True)


def print_results(run: Run, metrics: dict[str, Any]) -> None:
    """Print the accuracy of each class and name the files."""
    from fastscratch.cli.tables import percent, show

    train, valid = metrics["train"], metrics["valid"]
    rows = [
        (name, percent(train["class_accuracy"][name]), percent(valid["class_accuracy"][name]))
        for name in metrics["classes"]
    ]
    rows.append(("all", percent(train["accuracy"]), percent(valid["accuracy"])))
    print()
    show(("class", "train accuracy", "validation accuracy"), rows)
    files = ", ".join(sorted(path.name for path in run.folder.iterdir() if path.is_file()))
    print(f"\n{run.folder}: {files}")
