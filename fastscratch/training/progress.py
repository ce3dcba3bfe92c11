"""Show a run while it runs: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from fastscratch.training.callbacks import Callback
from fastscratch.training.history import Row

if TYPE_CHECKING:
    from fastscratch.training.trainer import Trainer


@dataclass(frozen=True)
class Status:
    """Where an epoch stands.

    Attributes
    ----------
    epoch, epochs, batch, batches : int
        Which one, from 1, of how many.
    loss, accuracy : float
        Running means of the epoch.
    speed : float
        Images a second, in this epoch.
    left : float
        Seconds to the end of the fit, estimated.
    """

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float
    accuracy: float
    speed: float
    left: float

    def numbers(self) -> str:
        """Return loss, accuracy, speed and the time left, in words."""
        minutes, seconds = divmod(round(self.left), 60)
        hours, minutes = divmod(minutes, 60)
        return (
            f"loss {self.loss:.4f}, accuracy {100 * self.accuracy:.1f} %, {self.speed:,.0f} images/s, "
            f"{hours}:{minutes:02}:{seconds:02} left"
        )


class Display(Protocol):
    """Where a `ProgressBar` shows things."""

    interval: float
    """Seconds between two updates."""

    def update(self, status: Status) -> None:
        """Show how far the epoch is."""

    def say(self, line: str) -> None:
        """Leave a line that stays."""

    def close(self) -> None:
        """Leave the terminal as it was found."""


class ProgressBar(Callback):
    """Show loss, accuracy, images a second and the time left.

    On a terminal a bar is redrawn five times a second; one line an epoch stays. Elsewhere (a file, a pipe, a
    notebook) there is that line an epoch, and a line every ten seconds within long ones.

    Parameters
    ----------
    file : text stream, optional
        Where to write; by default what `sys.stdout` is when `fit` starts.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self.file = file
        self._display: Display | None = None
        self._evaluation_seconds = 0.0
        self._started = self._last_batch = self._due = 0.0
        self._images_before = 0

    def on_fit_start(self, trainer: Trainer) -> None:
        """Open the display."""
        file = self.file or sys.stdout
        is_terminal = file.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
        self._display = LiveBar(file) if is_terminal else PlainLines(file)
        self._evaluation_seconds = 0.0

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Start the epoch's clock."""
        self._started = self._last_batch = time.perf_counter()
        self._images_before = trainer.state.images
        self._due = self._started + (self._display.interval if self._display else 0.0)

    def on_batch_end(self, trainer: Trainer, loss: float, lr: float, epoch: int, batch: int) -> None:
        """Update the display, if it is time."""
        now = self._last_batch = time.perf_counter()
        if now < self._due or self._display is None:
            return
        self._due = now + self._display.interval
        state = trainer.state
        speed = (state.images - self._images_before) / (now - self._started)
        images_left = (trainer.epochs - state.epoch) * trainer.images_per_epoch - state.images
        evaluations = (trainer.epochs - state.epoch) * self._evaluation_seconds
        self._display.update(
            Status(
                epoch,
                trainer.epochs,
                batch,
                trainer.batches_per_epoch,
                state.loss_sum / state.images,
                state.correct / state.images,
                speed,
                images_left / speed + evaluations,
            )
        )

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """Leave the epoch's line."""
        self._evaluation_seconds = time.perf_counter() - self._last_batch
        if self._display is not None:
            self._display.say(epoch_line(row, trainer.epochs))

    def on_fit_end(self, trainer: Trainer) -> None:
        """Say why the run stopped early, if it did, and close the display."""
        if self._display is not None:
            if trainer.stop_reason is not None:
                self._display.say(f"stopped after epoch {trainer.state.epoch}: {trainer.stop_reason}")
            self._display.close()
            self._display = None


def epoch_line(row: Row, epochs: int) -> str:
    """Return an epoch's row in one line.

    Parameters
    ----------
    row : dict
        Of a `History`.
    epochs : int
        How many the run has.

    Returns
    -------
    str
        Such as ``epoch 1/20: train 1.5234, 44.9 %; valid 1.3012, 53.2 %; lr 0.0003; 10.2 s, 4,902 images/s``.
    """
    values: dict[str, Any] = dict(row)
    valid = ""
    if values["valid_loss"] is not None:
        valid = f"valid {values['valid_loss']:.4f}, {100 * values['valid_accuracy']:.1f} %; "
    speed = values["images"] / max(values["seconds"], 1e-9)
    return (
        f"epoch {values['epoch']}/{epochs}: train {values['train_loss']:.4f}, {100 * values['train_accuracy']:.1f} %; "
        f"{valid}lr {values['lr']:.3g}; {values['seconds']:.1f} s, {speed:,.0f} images/s"
    )


class PlainLines:
    """A display that writes whole lines.

    Parameters
    ----------
    file : text stream
        Where to write.
    """

    interval = 10.0

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def update(self, status: Status) -> None:
        """Write how far the epoch is."""
        self.say(f"epoch {status.epoch}/{status.epochs}, batch {status.batch}/{status.batches}: {status.numbers()}")

    def say(self, line: str) -> None:
        """Write a line."""
        print(line, file=self._file, flush=True)

    def close(self) -> None:
        """Leave everything as it is."""


class LiveBar:
    """A display that redraws a bar at the terminal's last line.

    Parameters
    ----------
    file : text stream
        A terminal.
    """

    interval = 0.2

    def __init__(self, file: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        # Redrawn by hand: rich's own thread would take the interpreter's lock from the training loop.
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[numbers]}"),
            console=Console(file=file),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", visible=False, epoch=0, epochs=0, numbers="")
        self._progress.start()

    def update(self, status: Status) -> None:
        """Redraw the bar."""
        self._progress.update(
            self._task,
            completed=status.batch,
            total=status.batches,
            epoch=status.epoch,
            epochs=status.epochs,
            numbers=status.numbers(),
            visible=True,
            refresh=True,
        )

    def say(self, line: str) -> None:
        """Write a line above the bar, and hide the bar until its next update."""
        self._progress.update(self._task, visible=False)
        self._progress.console.print(line, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Remove the bar and give the cursor back."""
        self._progress.stop()
