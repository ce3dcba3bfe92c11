"""A sound layer of a learner, and broken ones: each says which check of `check_layer` it fails, and in which words.

Here are those whose parts, forward pass or modes are broken; `broken_layers_backward` has the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from fastscratch import nn
from fastscratch.nn import Module, Parameter

C = 3


class Sound(Module):
    """What a learner's layer should look like: y = weight x + bias in each channel, and a running mean of x."""

    input_shape: ClassVar[tuple[int, ...]] = (8, 7, C)
    buffer_names: ClassVar[tuple[str, ...]] = ("mean",)

    def __init__(self) -> None:
        super().__init__()
        self.weight = Parameter(np.full(C, 2, dtype=np.float32))
        self.bias = Parameter(np.zeros(C, dtype=np.float32))
        self.mean = np.zeros(C, dtype=np.float32)

    def forward(self, x: np.ndarray) -> np.ndarray:
        if self.training:
            self.mean[...] = 0.5 * self.mean + 0.5 * self.sums(x) / (x.size // C)
        self.save_for_backward(x)
        return (x - self.mean if not self.training else x) * self.weight.value + self.bias.value

    def backward(self, dy: np.ndarray, input_grad: bool = True) -> np.ndarray | None:
        (x,) = self.saved()
        self.weight.set_grad(self.sums(dy * (x if self.training else x - self.mean)))
        self.bias.set_grad(self.sums(dy))
        return dy * self.weight.value if input_grad else None

    @staticmethod
    def sums(x: np.ndarray) -> np.ndarray:
        return x.sum(axis=tuple(range(x.ndim - 1)))


def broken(check: str, *words: str) -> Callable[[type[Module]], type[Module]]:
    """Say which check the class must fail, and what its sentence must hold."""

    def mark(cls: type[Module]) -> type[Module]:
        cls.fails = (check, words)
        return cls

    return mark


@broken("parts", "super().__init__()")
class NoSuperInit(Module):
    def __init__(self) -> None:
        self.factor = 2.0

    def forward(self, x):
        return x * 2

    def backward(self, dy, input_grad=True):
        return dy * 2


@broken("parts", "scale is an array that is neither saved nor converted")
class UnnamedArray(Sound):
    def __init__(self):
        super().__init__()
        self.scale = np.ones(C, dtype=np.float32)


@broken("parts", "rng is a Generator that no checkpoint saves")
class UnnamedGenerator(Sound):
    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)


@broken("parts", "layers holds parameters that parameters() does not return")
class LayersInList(Sound):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(2, 2), nn.Linear(2, 2)]


@broken("parts", "shared belongs to the class ParameterOfClass")
class ParameterOfClass(Sound):
    shared = Parameter(np.ones(C, dtype=np.float32))


@broken("parts", "variance is in buffer_names")
class NoSuchBuffer(Sound):
    buffer_names = ("mean", "variance")


@broken("parts", "inside.scale is an array")
class UnnamedArrayInside(Sound):
    def __init__(self):
        super().__init__()
        self.inside = UnnamedArray()


@broken("own arrays", "weight is one array in two layers")
class SharedDefault(Sound):
    def __init__(self, weight=np.ones(C, dtype=np.float32)):  # noqa: B008
        super().__init__()
        self.weight = Parameter(weight)


@broken("forward", "must return an ndarray, got list")
class ReturnsList(Sound):
    def forward(self, x):
        return super().forward(x).tolist()


@broken("forward", "the first axis must stay N, 3", "shape (8, 7, 3)")
class SumsOverBatch(Sound):
    def forward(self, x):
        return super().forward(x).sum(axis=0)


@broken("forward", "IndexError: no such axis")
class Raises(Sound):
    def forward(self, x):
        raise IndexError("no such axis")


@broken("astype", "mean is float32 after astype(float64)")
class ForgetsBuffer(Sound):
    def astype(self, dtype):
        for parameter in self.parameters():
            parameter.value = parameter.value.astype(dtype)
        return self


@broken("dtype kept", "forward returned float64 for float32 in training mode")
class ReturnsFloat64(Sound):
    def forward(self, x):
        return super().forward(x).astype(np.float64)


@broken("dtype kept", "forward returned float64 for float32 in evaluation mode")
class ConstantArray(Sound):
    def forward(self, x):
        return super().forward(x) + (0 if self.training else np.ones(C))


@broken("finite", "numbers that are not finite")
class TakesLogarithm(Sound):
    def forward(self, x):
        return np.log(super().forward(x))


@broken("output_shape", "output_shape((8, 7, 3)) is (3,), and forward returned (8, 7, 3)")
class WrongOutputShape(Sound):
    def output_shape(self, input_shape):
        return input_shape[-1:]


@broken("input kept by forward", "forward changed its input in training mode")
class WritesToInput(Sound):
    def forward(self, x):
        x *= 2
        return super().forward(x)


@broken("modes", "training is not False in the layer after eval()")
class IgnoresEval(Sound):
    def eval(self):
        return self


@broken("modes", "training is not False in inside after eval()")
class KeepsModeInside(Sound):
    def __init__(self):
        super().__init__()
        self.inside = nn.ReLU()

    def train(self, mode=True):
        self.training = mode
        return self


@broken("modes", "eval() must return the layer itself")
class TrainReturnsNone(Sound):
    def train(self, mode=True):
        super().train(mode)


@broken("evaluation repeatable", "draw nothing and track nothing unless self.training")
class DropsInEvaluation(Module):
    def __init__(self):
        super().__init__()
        self.generator = np.random.default_rng(0)

    def forward(self, x):
        keep = (self.generator.random(x.shape) > 0.5).astype(x.dtype)
        self.save_for_backward(keep)
        return x * keep

    def backward(self, dy, input_grad=True):
        (keep,) = self.saved()
        return dy * keep if input_grad else None


@broken("images apart", "statistics over the batch belong to training mode")
class BatchMeanInEvaluation(Module):
    def forward(self, x):
        self.save_for_backward(len(x))
        return x - x.mean(axis=0)

    def backward(self, dy, input_grad=True):
        self.saved()
        return dy - dy.mean(axis=0) if input_grad else None


@broken("no_grad", "there it may keep less, nothing else")
class OtherInNoGrad(Sound):
    def forward(self, x):
        y = super().forward(x)
        try:
            self.saved()
        except RuntimeError:
            y += 1
        return y
