"""The other side of a comparison: PyTorch, given what makes it fast.

Fused Adam, gradients set to None, denormals flushed, ReLU in place, images stored in the layout that the network works
in, `index_select` to gather a batch; ops alone are called below autograd, so that only their own time counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from batches_torch import IndexedBatches, affine, shifted
from loading import exhaust, moments
from networks import CLASSES, IMAGE_SHAPE, NETWORKS, random_images, torch_twin
from shapes import LEVEL_MEAN, LEVEL_STD, AnyShape, Conv, Dense, Flat, Norm, Patches, inputs
from tasks import LEARNING_RATE, SGD, STEP_RATE, Batches, Task

from fastscratch import models
from fastscratch.interop.torch import images_from_torch

aten: Any = torch.ops.aten
EPS = 1e-5
LATE_STEP = 1e9
"""Of Adam: so late that its moments need no correction, which `adam_step` leaves to its caller."""

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class TorchEngine:
    """One way to run PyTorch.

    Parameters
    ----------
    layout : {"contiguous", "channels_last"}
        How images and filters lie in memory.
    compiled : bool
        Whether networks go through `torch.compile`.
    workers : int or None
        Processes of a DataLoader; 0 loads in this one, None without a DataLoader, whole batches by index.
    """

    def __init__(self, layout: str, compiled: bool = False, workers: int | None = 0) -> None:
        torch.set_flush_denormal(True)  # before any thread is made, so that all of them have it
        self.layout, self.compiled, self.workers = layout, compiled, workers

    def about(self) -> dict[str, Any]:
        """Return PyTorch's build and the instructions, libraries and threads that it uses."""
        return {
            "capability": torch.backends.cpu.get_cpu_capability(),
            "onednn": torch.backends.mkldnn.is_available(),
            "build": torch.__config__.show(),
            "parallel": torch.__config__.parallel_info(),
        }

    def training(self, network: str, batch: int, count: int) -> Task:
        """Return training steps: gather a batch, forward, loss, backward, Adam."""
        model, images, labels, indices = self._network(network, count)
        model.train()
        run = torch.compile(model) if self.compiled else model
        criterion = torch.nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
        batches = Batches(count, batch)
        first = {name: tensor.clone() for name, tensor in model.state_dict().items()}

        def step() -> torch.Tensor:
            chosen = indices(batches)
            optimizer.zero_grad(set_to_none=True)
            loss: torch.Tensor = criterion(run(self._gathered(images, chosen)), labels.index_select(0, chosen))
            loss.backward()
            optimizer.step()
            return loss

        def reset() -> None:
            model.load_state_dict(first)
            for state in optimizer.state.values():  # moments begin at 0, in the memory that they have
                for tensor in state.values():
                    tensor.zero_()
            batches.rewind()

        return Task(step, lambda: [step().detach().numpy()], reset)

    def inference(self, network: str, batch: int, count: int) -> Task:
        """Return forward passes in evaluation mode: gather a batch, forward."""
        model, images, _, indices = self._network(network, count)
        model.eval()
        run = torch.compile(model, options={"freezing": True}) if self.compiled else model  # weights become constants
        batches = Batches(count, batch)

        @torch.inference_mode()
        def step() -> torch.Tensor:
            scores: torch.Tensor = run(self._gathered(images, indices(batches)))
            return scores

        return Task(step, lambda: [step().numpy()], batches.rewind)

    def _network(
        self, network: str, count: int
    ) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor, Callable[[Batches], torch.Tensor]]:
        model = torch_twin(NETWORKS[network]()).to(memory_format=FORMATS[self.layout])
        images, labels = random_images(count)
        if self.layout == "contiguous":
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return model, torch.from_numpy(images), torch.from_numpy(labels), lambda b: torch.from_numpy(b.take())

    def _gathered(self, images: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Return a batch (N, C, H, W); of images stored channels last, a view that is channels last too."""
        batch = images.index_select(0, chosen)
        return batch if self.layout == "contiguous" else batch.permute(0, 3, 1, 2)

    def loading(self, augment: str, batch: int, count: int) -> Task:
        """Return epochs of a DataLoader with torchvision's transforms, or of batches by index."""
        if self.workers is None:
            served: Iterable[tuple[torch.Tensor, torch.Tensor]] = IndexedBatches(augment, batch, count)
        else:
            from loading_torch import loader

            served = loader(augment, batch, count, self.workers)

        def result() -> list[np.ndarray]:
            return [] if augment != "none" else moments((images.numpy(), labels) for images, labels in served)

        return Task(lambda: exhaust(served), result)

    def learner(self, model: str, seed: int, images: np.ndarray | None = None) -> Learner:
        """Return a network that learns from batches, and that was shown `images` before where some are given."""
        return Learner(model, seed, FORMATS[self.layout], images)

    def op(self, shape: AnyShape, batch: int, dtype: str = "float32", backward: bool = False) -> Task:
        """Return one op alone."""
        arrays = {name: self._tensor(array, name) for name, array in inputs(shape, batch, dtype).items()}
        call = (_backward if backward else _forward)(shape, arrays)

        def result() -> list[np.ndarray]:
            out = call()
            tensors = [t for t in out if t is not None] if isinstance(out, tuple) else [out]
            return [_array(t, shape, backward, place) for place, t in enumerate(tensors, start=_first_place(out))]

        return Task(call, result)

    def _tensor(self, array: np.ndarray, name: str) -> torch.Tensor:
        if name == "w":  # (KH, KW, C, F) -> (F, C, KH, KW); (in, out) -> (out, in)
            array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        elif array.ndim == 4:
            array = array.transpose(0, 3, 1, 2)
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor.contiguous(memory_format=FORMATS[self.layout]) if tensor.ndim == 4 else tensor


class Learner:
    """A network, its loss and Adam, from the same weights as fastscratch's of the same name and seed."""

    def __init__(
        self, model: str, seed: int, memory_format: torch.memory_format, images: np.ndarray | None = None
    ) -> None:
        self._format = memory_format
        ours = models.build(model, IMAGE_SHAPE, CLASSES, seed=seed)
        if images is not None:
            ours.adapt(images)
        self._model = torch_twin(ours).to(memory_format=memory_format)
        self._criterion = torch.nn.CrossEntropyLoss()
        scales = {name: parameter.lr_scale for name, parameter in ours.named_parameters()}
        groups: dict[float, list[torch.nn.Parameter]] = {}
        for name, parameter in self._model.named_parameters():
            groups.setdefault(scales[name], []).append(parameter)
        how: list[dict[str, Any]] = [{"params": group, "scale": scale} for scale, group in groups.items()]
        self._optimizer = torch.optim.Adam(how, lr=0.0, fused=True)

    def _tensor(self, images: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=self._format)

    def train(self, images: np.ndarray, labels: np.ndarray, lr: float) -> None:
        """Take one step on normalized images (N, H, W, C)."""
        self._model.train()
        for group in self._optimizer.param_groups:
            group["lr"] = lr * group["scale"]
        self._optimizer.zero_grad(set_to_none=True)
        self._criterion(self._model(self._tensor(images)), torch.from_numpy(labels)).backward()
        self._optimizer.step()

    @torch.inference_mode()
    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the class of each image."""
        self._model.eval()
        classes: np.ndarray = self._model(self._tensor(images)).argmax(1).numpy()
        return classes


def _flat(shape: Flat, t: dict[str, torch.Tensor], backward: bool) -> Callable[[], Any]:
    x = t["x"]
    if shape.op == "log_softmax":
        log_p = aten._log_softmax(x, 1, False)
        if not backward:
            return lambda: aten._log_softmax(x, 1, False)
        dy = t["q"] / -len(x)
        return lambda: aten._log_softmax_backward_data(dy, log_p, 1, x.dtype)
    if shape.op == "relu":
        y = torch.relu(x)
        return (lambda: aten.threshold_backward(t["dy"], y, 0)) if backward else lambda: torch.relu(x)
    if shape.op == "sgd_step":
        how: dict[str, Any] = {name: SGD[name] for name in ("momentum", "nesterov")}
        how |= {"lr": STEP_RATE, "weight_decay": SGD["decay"]}
        how |= {"dampening": 0.0, "maximize": False, "is_first_step": False}
        return lambda: (torch._fused_sgd_([x], [t["grad"]], [t["velocity"]], **how), x, t["velocity"])[1:]
    if shape.op == "adam_step":
        how = {"lr": STEP_RATE, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.0, "eps": 1e-8}
        how |= {"amsgrad": False, "maximize": False}
        step = [torch.tensor(LATE_STEP)]
        m, v = [t["m"]], [t["v"]]
        return lambda: (torch._fused_adam_([x], [t["grad"]], m, v, [], step, **how), x, t["m"], t["v"])[1:]
    if shape.op == "look_up_levels":
        mean, std = torch.tensor([LEVEL_MEAN, LEVEL_STD], dtype=torch.float64)
        normalized = affine(mean, std, t["table"].dtype)
        return lambda: normalized(x)
    return lambda: shifted(x, t["tops"], t["lefts"], t["mirrored"])


def _forward(shape: AnyShape, t: dict[str, torch.Tensor]) -> Callable[[], Any]:
    if isinstance(shape, Flat):
        return _flat(shape, t, backward=False)
    x = t["x"]
    if isinstance(shape, Conv):
        w, b, how = t["w"], t["b"], (shape.stride, shape.padding, 1, shape.groups)
        if shape.pool:
            return lambda: aten.max_pool2d_with_indices(torch.conv2d(x, w, b, *how).relu_(), [shape.pool] * 2)[0]
        return lambda: torch.conv2d(x, w, b, *how)
    if isinstance(shape, Dense):
        return lambda: torch.nn.functional.linear(x, t["w"], t["b"])
    if isinstance(shape, Patches):
        conv = shape.conv
        return lambda: aten.im2col(x, [conv.kernel] * 2, [1, 1], [conv.padding] * 2, [conv.stride] * 2)
    if isinstance(shape, Norm):
        return lambda: aten.native_batch_norm(x, t["w"], t["b"], None, None, True, 0.1, EPS)[0].relu_()
    if shape.op == "maxpool2d":
        return lambda: aten.max_pool2d_with_indices(x, [shape.kernel] * 2)[0]
    return lambda: aten.avg_pool2d(x, [shape.kernel] * 2)


def _backward(shape: AnyShape, t: dict[str, torch.Tensor]) -> Callable[[], Any]:
    if isinstance(shape, Flat):
        return _flat(shape, t, backward=True)
    x, dy = t["x"], t["dy"]
    if isinstance(shape, Conv):
        w, mask = t["w"], [not shape.first, True, True]
        how = ([shape.stride] * 2, [shape.padding] * 2, [1, 1], False, [0, 0], shape.groups, mask)

        def conv_backward(gradient: torch.Tensor) -> Any:
            return aten.convolution_backward(gradient, x, w, [shape.filters], *how)

        if not shape.pool:
            return lambda: conv_backward(dy)
        size = [shape.pool] * 2
        active = torch.conv2d(x, w, t["b"], shape.stride, shape.padding, 1, shape.groups).relu_()
        _, places = aten.max_pool2d_with_indices(active, size)

        def block_backward() -> Any:
            spread = aten.max_pool2d_with_indices_backward(dy, active, size, size, [0, 0], [1, 1], False, places)
            return conv_backward(aten.threshold_backward(spread, active, 0))

        return block_backward
    if isinstance(shape, Dense):
        return lambda: (dy @ t["w"], dy.T @ x, dy.sum(0))
    if isinstance(shape, Patches):
        conv = shape.conv
        n, oh, ow, _ = shape.output_shape(len(x))
        # (N, KH KW C, OH, OW) -> (N, C KH KW, OH OW), the order that fold takes
        cols = dy.reshape(n, conv.kernel**2, conv.channels, oh * ow).transpose(1, 2).reshape(n, -1, oh * ow)
        k, p, s = [conv.kernel] * 2, [conv.padding] * 2, [conv.stride] * 2
        return lambda: aten.col2im(cols, [conv.size] * 2, k, [1, 1], p, s)
    if isinstance(shape, Norm):
        y, mean, scale = aten.native_batch_norm(x, t["w"], t["b"], None, None, True, 0.1, EPS)
        y.relu_()

        def norm_backward() -> Any:
            gradient = aten.threshold_backward(dy, y, 0)
            return aten.native_batch_norm_backward(
                gradient, x, t["w"], None, None, mean, scale, True, EPS, [True, True, True]
            )

        return norm_backward
    size = [shape.kernel] * 2
    if shape.op == "maxpool2d":
        _, places = aten.max_pool2d_with_indices(x, size)
        return lambda: aten.max_pool2d_with_indices_backward(dy, x, size, size, [0, 0], [1, 1], False, places)
    return lambda: aten.avg_pool2d_backward(dy, x, size, size, [0, 0], False, True, None)


def _first_place(out: Any) -> int:
    """Return 1 where the gradient of the input was not asked for, so that the first tensor is that of the filters."""
    return int(isinstance(out, tuple) and out[0] is None)


def _array(tensor: torch.Tensor, shape: AnyShape, backward: bool, place: int) -> np.ndarray:
    """Return what an op gave in this project's layout."""
    if isinstance(shape, Flat):
        return images_from_torch(tensor)  # a copy: steps are taken in place
    if backward and place == 1:  # the gradient of the weights
        array = tensor.numpy()
        return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
    if isinstance(shape, Patches) and not backward:
        # (N, C KH KW, OH OW) -> (N, OH, OW, KH KW C)
        n, oh, ow, _ = shape.output_shape(len(tensor))
        conv = shape.conv
        turned = tensor.reshape(n, conv.channels, conv.kernel**2, oh, ow).permute(0, 3, 4, 2, 1)
        return turned.reshape(n, oh, ow, -1).numpy()
    return images_from_torch(tensor)
