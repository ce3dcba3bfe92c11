"""One side of a comparison: this project, on one of its backends."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from loading import NORMALIZATION, exhaust, moments, random_levels
from networks import CLASSES, IMAGE_SHAPE, NETWORKS, random_images
from rungs import Rung, build
from shapes import AnyShape, Conv, Dense, Flat, Norm, Patches, inputs
from tasks import LEARNING_RATE, SGD, STEP_RATE, Batches, Task

import fastscratch_kernels as kernels
from fastscratch import losses, models, optim
from fastscratch.data import ImageDataset, Loader
from fastscratch.data.augment import AUGMENTATIONS
from fastscratch_kernels import _registry


class FastscratchEngine:
    """One backend.

    Parameters
    ----------
    backend : {"numpy", "numba", "cython"}
    precision : str
        "" for the default, "fast" for kernels that round more.
    """

    def __init__(self, backend: str, precision: str = "") -> None:
        kernels.use_backend(backend)
        if precision:
            kernels.use_precision(precision)

    def training(self, network: str, batch: int, count: int) -> Task:
        """Return training steps: gather a batch, forward, loss, backward, Adam."""
        model = NETWORKS[network]().train()
        criterion, optimizer = losses.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=LEARNING_RATE)
        images, labels = random_images(count)
        batches = Batches(count, batch)
        first = model.state_dict(), optimizer.state_dict()

        def step() -> float:
            chosen = batches.take()
            loss = criterion.forward(model.forward(np.take(images, chosen, axis=0)), np.take(labels, chosen))
            model.backward(criterion.backward(), input_grad=False)
            optimizer.step()
            return loss

        def reset() -> None:
            model.load_state_dict(first[0])
            optimizer.load_state_dict(first[1])
            batches.rewind()

        return Task(step, lambda: [np.array(step())], reset)

    def training_without_kernels(self, network: str, batch: int, count: int) -> Task:
        """Return training steps whose kernels do nothing, from here on in this process: the Python around them."""
        task = self.training(network, batch, count)
        task.call()  # an optimizer steps when gradients are there
        name = kernels.selected_backend()
        for op in _registry.KERNELS:
            column, _ = _registry.find(op)
            _registry._functions[op, name] = column, _nothing
        return Task(task.call, task.result)

    def inference(self, network: str, batch: int, count: int) -> Task:
        """Return forward passes in evaluation mode: gather a batch, forward."""
        model = NETWORKS[network]().eval()
        images, _ = random_images(count)
        batches = Batches(count, batch)

        def step() -> np.ndarray:
            return model.forward(np.take(images, batches.take(), axis=0))

        return Task(step, lambda: [step()], batches.rewind)

    def loading(self, augment: str, batch: int, count: int) -> Task:
        """Return epochs of the loader: batches of 8-bit images, augmented and normalized."""
        images, labels = random_levels(count)
        dataset = ImageDataset.from_arrays(images, labels)
        loader = Loader(dataset, batch, augment=AUGMENTATIONS[augment](), normalization=NORMALIZATION, drop_last=True)
        epochs = itertools.count()
        result = lambda: [] if augment != "none" else moments(loader.epoch(0))  # noqa: E731
        return Task(lambda: exhaust(loader.epoch(next(epochs))), result)

    def learner(self, model: str, seed: int, images: np.ndarray | None = None) -> Learner:
        """Return a network that learns from batches, and that was shown `images` before where some are given."""
        return Learner(model, seed, images)

    def op(self, shape: AnyShape, batch: int, dtype: str = "float32", backward: bool = False) -> Task:
        """Return one op alone, with arrays made anew by each call as layers do it."""
        arrays = inputs(shape, batch, dtype)
        call = _backward(shape, arrays) if backward else _forward(shape, arrays)

        def result() -> list[np.ndarray]:
            out = call()
            arrays = [array for array in out if array is not None] if isinstance(out, tuple) else [out]
            return [array.copy() for array in arrays] if isinstance(shape, Flat) else arrays  # steps are taken in place

        return Task(call, result)

    def rung(self, shape: Conv, batch: int, rung: dict[str, Any]) -> Task:
        """Return forward and backward of one convolution or block on a rung of the ladder."""
        call = build(shape, Rung(**rung), batch)
        return Task(call, call)


def _nothing(*arguments: Any, **options: Any) -> None:
    pass


class Learner:
    """A network, its loss and Adam."""

    def __init__(self, model: str, seed: int, images: np.ndarray | None = None) -> None:
        self._model = models.build(model, IMAGE_SHAPE, CLASSES, seed=seed)
        if images is not None:
            self._model.adapt(images)
        self._criterion = losses.CrossEntropyLoss()
        self._optimizer = optim.Adam(self._model.parameters(), lr=0)

    def train(self, images: np.ndarray, labels: np.ndarray, lr: float) -> None:
        """Take one step on normalized images (N, H, W, C)."""
        self._model.train()
        self._optimizer.lr = lr
        self._criterion.forward(self._model.forward(images), labels)
        self._model.backward(self._criterion.backward(), input_grad=False)
        self._optimizer.step()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the class of each image."""
        self._model.eval()
        classes: np.ndarray = self._model.forward(images).argmax(axis=1)
        return classes


def _flat(shape: Flat, arrays: dict[str, np.ndarray], backward: bool) -> Any:
    x = arrays["x"]
    others: dict[str, Any] = {name: array for name, array in arrays.items() if name != "x"}
    if shape.op == "log_softmax":
        log_p = kernels.log_softmax(x)
        if backward:
            return lambda: kernels.cross_entropy_backward(log_p, arrays["q"])
        return lambda: kernels.log_softmax(x)
    if shape.op == "relu":
        y = kernels.relu(x)
        return (lambda: kernels.relu_backward(arrays["dy"], y)) if backward else lambda: kernels.relu(x)
    if shape.op == "sgd_step":
        how: dict[str, Any] = SGD | {"out": x, "out_velocity": arrays["velocity"]}
        return lambda: kernels.sgd_step(x, **others, lr=STEP_RATE, **how)
    if shape.op == "adam_step":
        how = {"out": x, "out_m": arrays["m"], "out_v": arrays["v"]}
        return lambda: kernels.adam_step(x, **others, lr=STEP_RATE, **how)
    function = getattr(kernels, shape.op)
    return lambda: function(x, **others)


def _forward(shape: AnyShape, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(shape, Flat):
        return _flat(shape, arrays, backward=False)
    x = arrays["x"]
    if isinstance(shape, Conv):
        function, w, b, how = getattr(kernels, shape.op), arrays["w"], arrays["b"], shape.windows
        if shape.pool:
            return lambda: function(x, w, b, **how)[0]
        return lambda: function(x, w, b, **how)
    if isinstance(shape, Dense):
        return lambda: kernels.linear(x, arrays["w"], arrays["b"])
    if isinstance(shape, Patches):
        conv = shape.conv
        return lambda: kernels.im2col(x, conv.kernel, stride=conv.stride, padding=conv.padding)
    if isinstance(shape, Norm):
        return lambda: kernels.batchnorm2d(x, *kernels.channel_moments(x), arrays["w"], arrays["b"], relu=True)
    if shape.op == "maxpool2d":
        return lambda: kernels.maxpool2d(x, shape.kernel)[0]
    return lambda: kernels.avgpool2d(x, shape.kernel)


def _backward(shape: AnyShape, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(shape, Flat):
        return _flat(shape, arrays, backward=True)
    x, dy = arrays["x"], arrays["dy"]
    if isinstance(shape, Conv):
        w, how, input_grad = arrays["w"], shape.windows, not shape.first
        if shape.pool:
            _, places = kernels.conv2d_relu_maxpool2d(x, w, arrays["b"], **how)
            return lambda: kernels.conv2d_relu_maxpool2d_backward(dy, places, x, w, input_grad=input_grad, **how)
        return lambda: kernels.conv2d_backward(dy, x, w, input_grad=input_grad, **how)
    if isinstance(shape, Dense):
        return lambda: kernels.linear_backward(dy, x, arrays["w"])
    if isinstance(shape, Patches):
        conv = shape.conv
        return lambda: kernels.col2im(dy, x.shape, conv.kernel, stride=conv.stride, padding=conv.padding)
    if isinstance(shape, Norm):
        moments = kernels.channel_moments(x)
        return lambda: kernels.batchnorm2d_backward(dy, x, *moments, arrays["w"], arrays["b"], relu=True)
    if shape.op == "maxpool2d":
        _, places = kernels.maxpool2d(x, shape.kernel)
        return lambda: kernels.maxpool2d_backward(dy, places, x.shape, shape.kernel)
    return lambda: kernels.avgpool2d_backward(dy, x.shape, shape.kernel)
