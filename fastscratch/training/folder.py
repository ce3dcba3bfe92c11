"""The folder of a run's checkpoint: whose it is, when it is written, what is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fastscratch.nn.checks import check_size
from fastscratch.training import checkpoint
from fastscratch.training.checkpoint import CheckpointError

if TYPE_CHECKING:
    from fastscratch.training.trainer import Trainer


class CheckpointFolder:
    """Where a trainer keeps its checkpoint, and how often it writes one.

    Parameters
    ----------
    folder : path-like or None
        None writes nothing, ever.
    every : int or None
        Steps between checkpoints within an epoch.

    Attributes
    ----------
    file : Path or None
        The checkpoint.
    resumed_from : Path or None
        The checkpoint that the run was taken up from.

    Raises
    ------
    TypeError, ValueError
        If `every` is no int of at least 1, or there is no folder for it.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, every: int | None) -> None:
        if every is not None:
            check_size("checkpoint_every", every)
            if folder is None:
                raise ValueError(f"checkpoint_every={every} needs a folder: pass checkpoint")
        self.file = None if folder is None else Path(folder) / checkpoint.FILE_NAME
        self.resumed_from: Path | None = None
        self._every = every
        self._is_ours = False
        self._written: tuple[int, int] | None = None

    def take_up(self, file: Path) -> None:
        """Note that the run goes on from `file`; a checkpoint in the same folder may then be replaced."""
        self.resumed_from = file.resolve()
        self._is_ours = self.file is not None and self.file.resolve().parent == self.resumed_from.parent

    def check_free(self) -> None:
        """Raise CheckpointError if the folder holds the checkpoint of another run."""
        if self.file is not None and self.file.exists() and not self._is_ours:
            raise CheckpointError(f"{self.file} belongs to another run: resume from it, or choose another folder")

    def open(self, trainer: Trainer) -> None:
        """Write the first checkpoint of a fit, which shows at once whether the folder, which is free, can be written.

        Raises
        ------
        CheckpointError
            If it cannot be written.
        """
        if self.file is None:
            return
        # After a resume, what is replaced may be the very state that is written, or a damaged file: neither should
        # push the sound one before it out of its place.
        keep_previous = self.file.resolve() != self.resumed_from and checkpoint.is_sound(self.file)
        self._save(trainer, self.file, keep_previous)
        self._is_ours = True

    def write(self, trainer: Trainer) -> None:
        """Write a checkpoint, keeping the one before."""
        if self.file is not None:
            self._save(trainer, self.file, keep_previous=True)

    def _save(self, trainer: Trainer, file: Path, keep_previous: bool) -> None:
        """Write a checkpoint; one of the same place in the run is replaced without being kept."""
        place = trainer.state.epoch, trainer.state.batch
        trainer.save(file, keep_previous=keep_previous and place != self._written)
        self._written = place

    def write_if_due(self, trainer: Trainer) -> None:
        """Write a checkpoint if this step is one of those after which there shall be one."""
        if self._every is not None and trainer.state.step % self._every == 0:
            self.write(trainer)
