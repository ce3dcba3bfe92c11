"""The same runs on PyTorch: the same network from the same weights, on the same batches at the same learning rates.

Forward and backward pass, the loss and the optimizer are PyTorch's own; batches, schedule and evaluation are shared.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import outcome
import torch
from job import Job
from numpy.typing import NDArray
from runner import loader_of, test_images, whole
from torch import Tensor
from torch_steps import loss_of, torch_step

from fastscratch import models, run
from fastscratch.config import TrainConfig
from fastscratch.data import ImageDataset, Normalization
from fastscratch.interop.torch import images_to_torch, state_dict_from_torch, to_torch
from fastscratch.training import Evaluation, History, checkpoint, confusion_matrix
from fastscratch.training.progress import epoch_line
from fastscratch.training.state import Position

EVALUATED_AT_ONCE = 250
MODEL, OPTIMIZER, LOSSES = "model.", "optimizer.", "batch_losses"


class Twin:
    """A training run on PyTorch, whose state is kept after every epoch.

    Parameters
    ----------
    config : TrainConfig
        With the optimizer "adam".
    folder : Path
        Where the state is kept; if there is one already, the run goes on from it.
    data : pair of ImageDataset
        The whole data set.

    Raises
    ------
    ValueError
        For another optimizer, or a state that is another run's.
    """

    def __init__(self, config: TrainConfig, folder: Path, data: tuple[ImageDataset, ImageDataset]) -> None:
        if config.optimizer != "adam" or config.weight_decay:
            raise ValueError(f"the twin trains by plain adam only, got {config.optimizer}, decay {config.weight_decay}")
        torch.set_num_threads(config.threads or 1)
        self.config, self.file = config, folder / checkpoint.FILE_NAME
        self.train_data, self.valid_data = run.load_data(config, data)
        self.normalization = Normalization.from_images(self.train_data.images)
        self.loader = loader_of(config, self.train_data, self.normalization)
        self.original = models.of_config(
            config, self.train_data.image_shape, self.train_data.num_classes
        )
        # This optimizer takes no step: the schedule sets its rate, and PyTorch's follows.
        self.rates = run.make_optimizer(config, self.original)
        self.schedule = run.make_schedule(config, self.rates, len(self.loader))
        self.model = to_torch(self.original)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=config.lr)
        self.history, self.position = History(), Position()
        if self.file.exists():
            self._take_up()

    def fit(self) -> None:
        """Train to the last epoch."""
        while self.position.epoch < self.config.epochs:
            self._train_epoch()
            row = self.position.row(self.evaluate(self.valid_data))
            if self.schedule.interval == "epoch":
                self.schedule.step()
            self.position.next_epoch()
            self.history.append(row)
            self._save()
            print(epoch_line(row, self.config.epochs), flush=True)

    def _train_epoch(self) -> None:
        self.model.train()
        started = time.perf_counter()
        with contextlib.closing(self.loader.epoch(self.position.epoch)) as batches:
            for images, labels in batches:
                rate = self.rates.lr
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                loss, logits = torch_step(self.config, self.model, self.optimizer, images, labels)
                if self.schedule.interval == "step":
                    self.schedule.step()
                right = int((logits.argmax(1).numpy() == labels).sum())
                self.position.lr = rate
                self.position.add_batch(loss, right, len(labels))
                self.history.batch_losses.append(loss)
        self.position.seconds = time.perf_counter() - started

    @torch.inference_mode()
    def evaluate(self, dataset: ImageDataset) -> Evaluation:
        """Measure loss and confusion matrix in evaluation mode, as `Trainer.evaluate` does."""
        self.model.eval()
        total = 0.0
        confusion = np.zeros((dataset.num_classes, dataset.num_classes), np.int64)
        for start in range(0, len(dataset), EVALUATED_AT_ONCE):
            part = slice(start, start + EVALUATED_AT_ONCE)
            labels = dataset.labels[part]
            logits = self.model(images_to_torch(self.normalization.apply(dataset.images[part])))
            total += loss_of(self.config, logits, torch.from_numpy(labels)).item() * len(labels)
            confusion += confusion_matrix(labels, logits.argmax(1).numpy(), dataset.num_classes)
        return Evaluation(total / len(dataset), confusion)

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return the weights in this project's layout."""
        return state_dict_from_torch(self.model.state_dict(), self.original)

    def _save(self) -> None:
        arrays = {MODEL + name: tensor.numpy() for name, tensor in self.model.state_dict().items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            arrays |= {f"{OPTIMIZER}{number}.{name}": tensor.numpy() for name, tensor in state.items()}
        arrays[LOSSES] = np.array(self.history.batch_losses)
        arrays["generator"] = torch.get_rng_state().numpy()
        meta = {
            "config": self.config.fixed_fields(),
            "history": self.history.rows,
            "step": self.position.step,
            "schedule": self.schedule.state_dict(),
        }
        checkpoint.save(self.file, arrays, meta, keep_previous=False)

    def _take_up(self) -> None:
        arrays, meta = checkpoint.load(self.file)
        if meta["config"] != self.config.fixed_fields():
            raise ValueError(f"{self.file} is the state of another run; remove it")
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self.model.load_state_dict(
            {name.removeprefix(MODEL): tensor for name, tensor in tensors.items() if name.startswith(MODEL)}
        )
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith(OPTIMIZER):
                _, number, key = name.split(".")
                state.setdefault(int(number), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        torch.set_rng_state(tensors["generator"])
        self.schedule.load_state_dict(meta["schedule"])
        for row in meta["history"]:
            self.history.append(row)
        self.history.batch_losses = arrays[LOSSES].tolist()
        self.position = Position(epoch=len(self.history), step=meta["step"])


def run_job(job: Job, folder: Path) -> dict[str, Any]:
    """Do a run, and return its result: train and test, or whatever is measured in its place."""
    if job.measure is not None:
        found = job.measure(job)
        return outcome.finding(job, found, outcome.made_by(torch.get_num_threads()))
    twin = Twin(job.config, folder, whole(job.config.data))
    twin.fit()
    test = test_images(job)
    parts = {"train": twin.train_data, "valid": twin.valid_data, "test": test}
    final = {name: outcome.measured(twin.evaluate(part), part) for name, part in parts.items()}
    made = outcome.made_by(torch.get_num_threads())
    return outcome.result(job, twin.history, final, best=None, weights=twin.weights(), made=made)
