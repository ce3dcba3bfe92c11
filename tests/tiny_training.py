"""A run of a second: a network with everything that has state, on 60 images. As a program it survives being killed.

    python tests/tiny_training.py FOLDER EPOCHS CHECKPOINT_EVERY

goes on from FOLDER's checkpoint where there is one, and says "training" when it does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from fastscratch import losses, nn, optim, schedules
from fastscratch.data.augment import AUGMENTATIONS
from fastscratch.data.dataset import ImageDataset
from fastscratch.training import Callback, EarlyStopping, JsonLines, Trainer
from fastscratch.training.state import gather

BATCHES = 9  # of an epoch: 8 of 7 images and one of 4


def make_data(count=60, seed=0):
    """Return noise in three classes, each with a brighter channel of its own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.integers(0, 200, (count, 8, 8, 3))
    images[np.arange(count), :, :, labels] += 40
    return ImageDataset.from_arrays(images.astype(np.uint8), labels, ["red", "green", "blue"])


def make_trainer(
    *, lr=1e-2, schedule="cosine", augment="flip-crop", model=None, dtype=np.float32, criterion=None, **options
):
    """Return a trainer with batch norm, dropout, Adam, augmentation and a schedule; `options` are the Trainer's."""
    if model is None:
        layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.3)]
        model = nn.Sequential(*layers, nn.Linear(36, 3), seed=1).astype(dtype)
    optimizer = optim.Adam(model.parameters(), lr=lr)
    plans = {
        "cosine": lambda: schedules.CosineLR(optimizer, total_steps=4 * BATCHES, warmup_steps=3),
        "step": lambda: schedules.StepLR(optimizer, step_size=1, gamma=0.7),
        None: lambda: None,
    }
    options = {"batch_size": 7, "seed": 3, "augment": AUGMENTATIONS[augment](), **options}
    criterion = criterion or losses.CrossEntropyLoss()
    return Trainer(model, criterion, optimizer, schedule=plans[schedule](), **options)


def state_of(trainer):
    """Return all that a checkpoint holds, as bytes and text that can be compared; times are left out."""
    arrays, meta = gather(trainer, trainer.normalization, trainer._data)
    meta["position"] = {**meta["position"], "seconds": None}
    meta["history"] = [{**row, "seconds": None} for row in meta["history"]]
    return {name: array.tobytes() for name, array in arrays.items()} | {"meta": json.dumps(meta, sort_keys=True)}


class StopAfter(Callback):
    """Raise KeyboardInterrupt after some steps, as a crash would: nothing is saved."""

    def __init__(self, steps):
        self.steps = steps

    def on_batch_end(self, trainer, loss, lr, epoch, batch):
        if trainer.state.step == self.steps:
            raise KeyboardInterrupt


class SayTraining(Callback):
    """Tell the parent process that the first batch is done."""

    def on_batch_end(self, trainer, loss, lr, epoch, batch):
        if trainer.state.batch == batch and not getattr(self, "said", False):
            self.said = True
            print("training", flush=True)


def main(folder, epochs, every):
    folder = Path(folder)
    callbacks = [EarlyStopping(patience=1000), JsonLines(folder / "history.jsonl"), SayTraining()]
    trainer = make_trainer(checkpoint=folder, checkpoint_every=int(every), callbacks=callbacks)
    if trainer.checkpoint.file.exists():
        trainer.resume(folder)
    trainer.fit(make_data(), make_data(20, seed=1), epochs=int(epochs))


if __name__ == "__main__":
    main(*sys.argv[1:])
