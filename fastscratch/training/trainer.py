"""The training loop: epochs of forward, backward and step, with everything that a long run needs around them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastscratch import nn
from fastscratch.data.dataset import ImageDataset
from fastscratch.data.loader import Loader
from fastscratch.data.normalization import Normalization
from fastscratch.losses import Loss
from fastscratch.nn.checks import check_size
from fastscratch.nn.module import model_dtype
from fastscratch.optim import Optimizer
from fastscratch.training import evaluation, state
from fastscratch.training.adapting import adapt
from fastscratch.training.callbacks import Callback, tell_of_epoch, told_of_fit
from fastscratch.training.checkpoint import file_of, save
from fastscratch.training.checks import check_batches, check_data, check_parts, plain_config
from fastscratch.training.folder import CheckpointFolder
from fastscratch.training.history import History
from fastscratch.training.metrics import Evaluation
from fastscratch.training.nonfinite import NonFiniteLossError, find_origin
from fastscratch.training.rundata import RunData
from fastscratch.training.signals import SignalWatch, TrainingInterrupted

if TYPE_CHECKING:
    from fastscratch.data.augment import Transform
    from fastscratch.schedules import Schedule


class Trainer:
    """Train a network on images, evaluate it, keep its state safe.

    Parameters
    ----------
    model : Module
        Takes (N, H, W, C), returns scores of shape (N, K).
    criterion : Loss
        What is made small.
    optimizer : Optimizer
        Over the model's parameters.
    schedule : Schedule, optional
        Over the same optimizer; stepped after every batch or every epoch, as its `interval` says.
    batch_size : int
        Images a step.
    seed : int
        Of the order of the images and of their augmentation.
    augment : Transform, optional
        Random changes to training images, from `fastscratch.data.augment`.
    normalization : Normalization, optional
        What turns uint8 images into inputs; by default measured on the training images when `fit` starts.
    eval_batch_size : int
        Images at a time in evaluation.
    callbacks : iterable of Callback
        What else happens, in this order.
    checkpoint : path-like, optional
        Folder for ``checkpoint.safetensors``, written when `fit` starts, after every epoch, and when a signal comes.
    checkpoint_every : int, optional
        Steps between further checkpoints.
    config : mapping, optional
        Anything that JSON can hold. A checkpoint keeps it, and a run is resumed with an equal one, or with none.
    prefetch : bool, optional
        Prepare batches in a background thread; None does so where `augment` changes anything. The results are the same.

    Attributes
    ----------
    history, state : History, Position
        What was measured so far, and where the run stands.
    checkpoint : CheckpointFolder
        Where the state is kept; its `file` is None without a folder.
    epochs, batches_per_epoch, images_per_epoch, validates : int, int, int, bool
        Of the `fit` under way, or the last one; it validates where it was given validation data.
    stop_reason : str or None
        Why `stop` was called.
    own_normalization : Normalization or None
        The one that was passed.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or `config` holds what JSON cannot.
    ValueError
        If a number is out of range, or the optimizer's parameters, or the schedule's optimizer, are others.

    Examples
    --------
    >>> import numpy as np
    >>> import fastscratch as fs
    >>> from fastscratch import losses, nn, optim
    >>> from fastscratch.data import ImageDataset
    >>> rng = np.random.default_rng(0)
    >>> train = ImageDataset.from_arrays(rng.integers(0, 256, (40, 8, 8, 3), np.uint8), rng.integers(0, 2, 40))
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2), seed=0)
    >>> trainer = fs.Trainer(model, losses.CrossEntropyLoss(), optim.Adam(model.parameters()), batch_size=10)
    >>> history = trainer.fit(train, epochs=3)
    >>> history["epoch"]
    [1, 2, 3]
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: Loss,
        optimizer: Optimizer,
        *,
        schedule: Schedule | None = None,
        batch_size: int = 32,
        seed: int = 0,
        augment: Transform | None = None,
        normalization: Normalization | None = None,
        eval_batch_size: int = 250,
        callbacks: Iterable[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        config: Mapping[str, Any] | None = None,
        prefetch: bool | None = None,
    ) -> None:
        check_size("batch_size", batch_size)
        check_size("seed", seed, at_least=0)
        check_size("eval_batch_size", eval_batch_size)
        self.callbacks = list(callbacks)
        check_parts(model, criterion, optimizer, schedule, augment, normalization, self.callbacks)

        self.model = model
        self.criterion = criterion
        self.optimizer = optimizer
        self.schedule = schedule
        self.batch_size = int(batch_size)
        self.seed = int(seed)
        self.augment = augment
        self.normalization = self.own_normalization = normalization
        self.eval_batch_size = int(eval_batch_size)
        self.checkpoint = CheckpointFolder(checkpoint, checkpoint_every)
        self.config = None if config is None else plain_config(config)
        self.prefetch = prefetch
        self.initial_lr = optimizer.lr

        self.history = History()
        self.state = state.Position()
        self.epochs = self.batches_per_epoch = self.images_per_epoch = 0
        self.validates = False
        self.stop_reason: str | None = None
        self._data: RunData | None = None
        self._signals = SignalWatch()

    # -- training ------------------------------------------------------------------------------------------------

    def fit(self, train: ImageDataset, valid: ImageDataset | None = None, epochs: int = 20) -> History:
        """Train until the run has `epochs` epochs.

        Parameters
        ----------
        train : ImageDataset
            What is trained on.
        valid : ImageDataset, optional
            What the network is evaluated on after every epoch; of the same classes and image shape.
        epochs : int
            How many epochs the run has in all: those that are missing after a `resume` or a `fit` are trained.

        Returns
        -------
        History
            Of all epochs, also those before a resume.

        Raises
        ------
        ValueError
            If the data does not fit the model or is not the run's, or lacks what a callback or a layer asks for.
        CheckpointError, FileExistsError
            If a checkpoint cannot be written, or the folder, or a callback's file, is that of another run.
        NonFiniteLossError
            If a loss or a weight becomes infinite or NaN: no further step is taken, no checkpoint written.
        TrainingInterrupted
            After Ctrl-C or SIGTERM, with a checkpoint of the batch under way. A second one is a KeyboardInterrupt.
        """
        check_size("epochs", epochs)
        self.checkpoint.check_free()
        normalization = self._take_data(train, valid)
        loader = Loader(
            train,
            self.batch_size,
            seed=self.seed,
            augment=self.augment,
            normalization=normalization,
            dtype=model_dtype(self.model),
            prefetch=self.prefetch,
        )
        self.epochs, self.batches_per_epoch, self.images_per_epoch = int(epochs), len(loader), len(train)
        self.validates, self.stop_reason = valid is not None, None
        with SignalWatch() as self._signals, evaluation.mode(self.model, training=True), told_of_fit(self):
            adapt(self.model, train, normalization)
            self.checkpoint.open(self)  # after the callbacks, which may refuse: a folder without a run stays one
            while self.state.epoch < self.epochs and self.stop_reason is None:
                self._train_epoch(loader)
                self._finish_epoch(valid)
        self._end_if_signalled(written=True)  # one that came while callbacks began or ended
        return self.history

    def stop(self, reason: str) -> None:
        """End the `fit` under way after its current epoch; for callbacks. Users are shown the `reason`."""
        self.stop_reason = reason

    def _train_epoch(self, loader: Loader) -> None:
        """Train on what is left of the epoch under way."""
        for callback in self.callbacks:
            callback.on_epoch_start(self)
        position = self.state
        started = time.perf_counter() - position.seconds
        with closing(loader.epoch(position.epoch, position.batch)) as batches:
            for images, labels in batches:
                loss = self._step(images, labels)
                position.seconds = time.perf_counter() - started
                for callback in self.callbacks:
                    callback.on_batch_end(self, loss, position.lr, position.epoch + 1, position.batch)
                self.checkpoint.write_if_due(self)
                self._end_if_signalled()

    def _step(self, images: NDArray[Any], labels: NDArray[np.int64]) -> float:
        """Train on one batch and move the position behind it; return the loss."""
        position = self.state
        with np.errstate(over="ignore", invalid="ignore"):  # said in better words by the error below
            logits = self.model.forward(images)
            loss = float(self.criterion.forward(logits, labels))
            if not math.isfinite(loss):
                raise self._not_finite(f"the loss is {loss}", find_origin(self.model, images))
            self.model.backward(self.criterion.backward(), input_grad=False)
        position.lr = self.optimizer.lr
        self.optimizer.step()
        if self.schedule is not None and self.schedule.interval == "step":
            self.schedule.step()
        position.add_batch(loss, int(np.count_nonzero(logits.argmax(axis=1) == labels)), len(labels))
        self.history.batch_losses.append(loss)
        return loss

    def _finish_epoch(self, valid: ImageDataset | None) -> None:
        """Evaluate, write the row, move the position to the next epoch, keep the state."""
        position = self.state
        measured = None if valid is None else self.evaluate(valid, self._after_validation_batch)
        row = position.row(measured)
        if self.schedule is not None and self.schedule.interval == "epoch":
            self.schedule.step()
        position.next_epoch()
        self.history.append(row)
        try:
            tell_of_epoch(self, row)
        finally:  # a callback that fails costs no epoch
            self._check_finite()
            self.checkpoint.write(self)
        self._end_if_signalled(written=True)

    def _after_validation_batch(self, loss: float, images: NDArray[Any]) -> None:
        if not math.isfinite(loss):
            raise self._not_finite(f"the validation loss is {loss}", find_origin(self.model, images))
        self._end_if_signalled()

    def _not_finite(self, what: str, origin: str) -> NonFiniteLossError:
        position = self.state
        return NonFiniteLossError(
            f"{what} in epoch {position.epoch + 1}, after {position.batch} of its {self.batches_per_epoch} batches "
            f"(step {position.step}), learning rate {self.optimizer.lr:.6g}: {origin}"
        )

    # -- keeping the state ---------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, keep_previous: bool = True) -> None:
        """Write a checkpoint of the whole state.

        Parameters
        ----------
        path : path-like
            The file; folders above it are made where they are missing.
        keep_previous : bool
            Keep the file that is replaced as ``<stem>.previous.safetensors``.

        Raises
        ------
        CheckpointError
            If it cannot be written; the old file is then intact.
        NonFiniteLossError
            If a weight is infinite or NaN; nothing is written.
        ValueError
            If there was no `fit` or `resume` yet.
        """
        if self._data is None:
            raise ValueError("there is no run to save yet: fit or resume first")
        self._check_finite()
        arrays, meta = state.gather(self, self._known_normalization(), self._data)
        save(path, arrays, meta, keep_previous=keep_previous)

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Take up the run of a checkpoint, so that `fit` goes on with the bits it would have had undisturbed.

        Parameters
        ----------
        path : path-like
            A checkpoint file, or the folder of a run.

        Raises
        ------
        CheckpointError
            If the file cannot be read, or belongs to a run with other settings or another config: each difference is
            named. That the data is the same is checked when `fit` gets it.

        Notes
        -----
        The trainer must be made as that of the run was, on the same kernels. Free are the number of epochs (unless the
        schedule depends on it), threads (but on NumPy), the checkpoint folder and its rhythm, prefetching, callbacks.
        """
        self.normalization, self._data = state.restore(self, path)
        self.checkpoint.take_up(file_of(path))

    def _check_finite(self) -> None:
        if bad := state.not_finite(self.model.state_dict()):
            raise self._not_finite("the network is not finite", f"{', '.join(bad)} after the step")

    def _take_data(self, train: ImageDataset, valid: ImageDataset | None) -> Normalization:
        """Check the data of a `fit`, and that it is the run's; return its normalization."""
        check_data(self.model, train, valid)
        check_batches(self.model, train, self.batch_size)
        data = RunData.of(train, valid)
        whose = "checkpoint" if self.checkpoint.resumed_from else "the fit before"
        has_begun = self.state.step > 0 or self.checkpoint.resumed_from  # else a refused fit may get other data
        if has_begun and self._data is not None and (faults := self._data.differences(data, whose)):
            raise ValueError(f"the data is not that of the run: {'; '.join(faults)}")
        self._data = data
        if not has_begun:
            self.normalization = self.own_normalization or Normalization.from_images(train.images)
        return self._known_normalization()

    def _end_if_signalled(self, written: bool = False) -> None:
        """Raise TrainingInterrupted if a signal has come, with a checkpoint of where the run stands."""
        if self._signals.received is None:
            return
        if not written:
            self.checkpoint.write(self)
        raise TrainingInterrupted(self._signals.received, self.checkpoint.file)

    # -- using the network ---------------------------------------------------------------------------------------

    def evaluate(
        self, dataset: ImageDataset, after_batch: Callable[[float, NDArray[Any]], None] | None = None
    ) -> Evaluation:
        """Measure loss, accuracy and confusion matrix in eval mode.

        Parameters
        ----------
        dataset : ImageDataset
            Images of the size the model takes, labels below K.
        after_batch : callable, optional
            Called after every batch with its loss and its normalized images; may raise to end the evaluation.

        Raises
        ------
        ValueError
            If the data does not fit the model, or there is no normalization yet.
        """
        return evaluation.evaluate(
            self.model,
            self.criterion,
            dataset,
            self._known_normalization(),
            batch_size=self.eval_batch_size,
            after_batch=after_batch,
        )

    def predict(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the probability of every class for every image, in eval mode.

        Parameters
        ----------
        images : ndarray of shape (N, H, W, C), uint8
            At least one image of the size the model takes.

        Returns
        -------
        ndarray of shape (N, K), of the model's dtype
            Rows sum to 1.

        Raises
        ------
        TypeError
            If the images are not uint8.
        ValueError
            If the shape does not fit, or there is no normalization yet.
        """
        return evaluation.predict(self.model, images, self._known_normalization(), batch_size=self.eval_batch_size)

    def _known_normalization(self) -> Normalization:
        if self.normalization is None:
            raise ValueError("no normalization yet: fit or resume first, or pass normalization to the trainer")
        return self.normalization
