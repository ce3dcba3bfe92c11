"""Where the time of a training step goes: every layer's forward and backward pass, timed one by one."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastscratch.nn import Module, PatchWhitening, Sequential
from fastscratch.nn.checks import check_size
from fastscratch.nn.module import mode

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class LayerTime:
    """Times of one layer.

    Attributes
    ----------
    name : str
        Dotted name inside the model.
    layer : str
        What it is, with its settings.
    parameters : int
        Numbers it trains.
    forward, backward : float
        Median seconds of a batch. `backward` is 0 where training does not go through the layer.
    forward_flops, backward_flops : int
        Floating-point operations of a batch; a multiply and an add are two. The backward pass of a convolution or
        dense layer is counted as one forward pass for the weights' gradient and one for the input's, where that is
        wanted; of other layers it is not counted.
    """

    name: str
    layer: str
    parameters: int = 0
    forward: float = 0.0
    backward: float = 0.0
    forward_flops: int = 0
    backward_flops: int = 0


@dataclass
class _Clock:
    """Seconds of every call of a layer's passes, and what was asked of them."""

    forward: list[float] = field(default_factory=list)
    backward: list[float] = field(default_factory=list)
    batch_shape: tuple[int, ...] = ()
    input_grad: bool = True


def profile(model: Module, images: Array, *, repeats: int = 5) -> list[LayerTime]:
    """Time the layers of a model in whole training steps (without the loss and the optimizer).

    Parameters
    ----------
    model : Module
        A model whose layers run one by one (``fuse=False``); its gradients are overwritten.
    images : ndarray of shape (N, H, W, C), the model's dtype
        The batch.
    repeats : int
        Timed steps, after one that is not timed.

    Returns
    -------
    times : list of LayerTime
        One for each layer that holds no other layers, in the order of the forward pass.

    Raises
    ------
    TypeError
        If `repeats` is no int.
    ValueError
        If `repeats` is below 1, or one kernel stands for several layers, whose times would be one.
    """
    check_size("repeats", repeats)
    for name, module in model.modules():
        if isinstance(module, Sequential) and module.is_fused:
            container = f"the container at {name!r}" if name else "the model"
            raise ValueError(f"profile times layers one by one: make {container} with fuse=False")
    leaves = {name: layer for name, layer in model.modules() if not layer.children()}
    clocks: dict[str, _Clock] = defaultdict(_Clock)
    try:
        for name, layer in leaves.items():
            # An attribute of the instance hides the method of its class, until it is deleted below.
            vars(layer).update(_timed(layer, clocks[name]))
        rng = np.random.default_rng(0)
        with mode(model, training=True):
            for _ in range(repeats + 1):
                y = model.forward(images)
                model.backward(np.asarray(rng.standard_normal(y.shape), y.dtype), input_grad=False)
    finally:
        for layer in leaves.values():
            for method in ("forward", "backward"):
                vars(layer).pop(method, None)
    return [_summary(name, layer, clocks[name]) for name, layer in leaves.items() if clocks[name].forward]


def _timed(layer: Module, clock: _Clock) -> dict[str, Callable[..., Any]]:
    plain_forward, plain_backward = layer.forward, layer.backward

    def forward(x: Array) -> Array:
        started = time.perf_counter()
        y = plain_forward(x)
        clock.forward.append(time.perf_counter() - started)
        clock.batch_shape = x.shape
        return y

    def backward(dy: Array, input_grad: bool = True) -> Array | None:
        started = time.perf_counter()
        dx = plain_backward(dy, input_grad=input_grad)
        clock.backward.append(time.perf_counter() - started)
        clock.input_grad = input_grad
        return dx

    return {"forward": forward, "backward": backward}


def _summary(name: str, layer: Module, clock: _Clock) -> LayerTime:
    n, *one_image = clock.batch_shape
    flops = n * layer.flops(tuple(one_image))
    sizes = [parameter.size for parameter in layer.parameters()]
    matrices = (len(parameter.shape) > 1 for parameter in layer.parameters())
    is_product = isinstance(layer, PatchWhitening) or any(matrices)  # whose filters are no parameter
    return LayerTime(
        name=name,
        layer=repr(layer),
        parameters=sum(sizes),
        forward=statistics.median(clock.forward[1:]),
        backward=statistics.median(clock.backward[1:]) if clock.backward else 0.0,
        forward_flops=flops,
        backward_flops=flops * (1 + clock.input_grad) if is_product else 0,
    )


def matmul_peak(dtype: DTypeLike = np.float32, *, size: int = 1024, repeats: int = 5) -> float:
    """Measure what this machine's BLAS reaches on a large square matrix product.

    Parameters
    ----------
    dtype : float32 or float64
        Type of the matrices.
    size : int
        Rows and columns.
    repeats : int
        The fastest of so many counts.

    Returns
    -------
    rate : float
        Floating-point operations a second, with the threads that are set.
    """
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size)).astype(dtype) for _ in range(2))
    out = a @ b  # the first product wakes the threads
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        np.matmul(a, b, out=out)
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds)
