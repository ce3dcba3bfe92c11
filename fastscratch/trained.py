"""A trained network, taken from a run's folder: what it needs to judge images, and nothing else."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastscratch import losses, models
from fastscratch.config import TrainConfig, read_run_config
from fastscratch.data import ImageDataset, Normalization
from fastscratch.nn import Module
from fastscratch.training import CheckpointError, Evaluation, evaluation, read_model
from fastscratch.training.checkpoint import file_of
from fastscratch.training.rundata import RunData


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network with its weights and what belongs to it.

    Attributes
    ----------
    config : TrainConfig
        That of its run.
    model : Module
        In evaluation mode.
    classes : tuple of str
        Names of the K classes.
    image_shape : (H, W, C)
        Of the images that it takes.
    normalization : Normalization
        That of its training.
    data : RunData
        The images that it was trained on and validated with.
    """

    config: TrainConfig
    model: Module
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    normalization: Normalization
    data: RunData

    def evaluate(self, images: ImageDataset) -> Evaluation:
        """Measure loss, accuracy and confusion matrix.

        Raises
        ------
        TypeError
            If the images are no data set.
        ValueError
            If the images are of another size or have other classes.
        """
        if not isinstance(images, ImageDataset):
            raise TypeError(f"evaluate takes an ImageDataset (from_arrays makes one), got {type(images).__name__}")
        if images.image_shape != self.image_shape:
            raise ValueError(
                f"the network takes images of {_by(self.image_shape)}, {images.name} has {_by(images.image_shape)}"
            )
        if images.classes != self.classes:
            raise ValueError(
                f"the network tells apart {', '.join(self.classes)}; {images.name} has {', '.join(images.classes)}"
            )
        criterion = losses.LOSSES[self.config.loss](label_smoothing=self.config.label_smoothing)
        return evaluation.evaluate(self.model, criterion, images, self.normalization)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the probability of every class for every image.

        Parameters
        ----------
        images : ndarray of shape (N, H, W, C), uint8
            At least one, of the shape `image_shape`.

        Returns
        -------
        probabilities : ndarray of shape (N, K)
            Rows sum to 1.

        Raises
        ------
        TypeError
            If the images are no array of uint8.
        ValueError
            If the images are of another shape.
        """
        if isinstance(images, np.ndarray) and images.shape[1:] != self.image_shape:
            raise ValueError(f"the network takes images of {_by(self.image_shape)}, got an array of {images.shape}")
        return evaluation.predict(self.model, images, self.normalization)


def load(path: str | os.PathLike[str]) -> Trained:
    """Take a trained network from a run.

    Parameters
    ----------
    path : path-like
        The folder of the run, or a checkpoint file in it.

    Raises
    ------
    FileNotFoundError
        If there is no run.
    ValueError
        If its config or its checkpoint cannot be read, or the two do not belong together.
    """
    path = Path(os.path.expanduser(path))
    config = read_run_config(path.parent if path.is_file() else path)
    saved = read_model(path)
    model = models.of_config(config, saved.image_shape, len(saved.classes))
    try:
        model.load_state_dict(saved.weights)
    except ValueError as error:
        raise CheckpointError(f"checkpoint {file_of(path)} does not fit the model {config.model}: {error}") from error
    return Trained(config, model.eval(), saved.classes, saved.image_shape, saved.normalization, saved.data)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
