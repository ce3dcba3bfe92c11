"""Layers of a learner whose backward pass or state is broken; see `broken_layers`."""

from __future__ import annotations

import numpy as np

from broken_layers import C, Sound, broken
from fastscratch.layer_bench import Bench
from fastscratch.nn import Module


@broken("backward", "must return the gradient of the input as an ndarray, got NoneType")
class ForgetsReturn(Sound):
    def backward(self, dy, input_grad=True):
        super().backward(dy, input_grad)


@broken("backward", "backward returned shape (3, 168) for an input of (3, 8, 7, 3)")
class FlatGradient(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        return None if dx is None else dx.reshape(len(dx), -1)


@broken("backward", "backward returned float64 for float32")
class GradientInFloat64(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        return None if dx is None else dx.astype(np.float64)


@broken("arrays kept by backward", "backward changed dy")
class WritesToDy(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy)
        dy *= self.weight.value
        return dx if input_grad else None


@broken("arrays kept by backward", "backward changed the input of forward")
class WritesToSavedInput(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        self.saved()[0][...] = 0
        return dx


@broken("parameter gradients", "backward set no gradient of bias")
class ForgetsBias(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        self.bias.grad = None
        return dx


@broken("parameter gradients", "the gradient of weight has shape (3, 8, 7, 3), weight has (3,)")
class ForgetsSum(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        self.weight.grad = dy * self.saved()[0]
        return dx


@broken("parameter gradients", "the gradient of weight is float64, weight is float32")
class ParameterGradientInFloat64(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        self.weight.grad = self.weight.grad.astype(np.float64)
        return dx


@broken("gradients set", "gives another gradient of weight", "do not add to it")
class AddsGradients(Sound):
    def backward(self, dy, input_grad=True):
        before = self.weight.grad
        before = 0 if before is None else before.copy()
        dx = super().backward(dy, input_grad)
        self.weight.grad += before
        return dx


@broken("gradients set", "new array in the place of weight.grad")
class ReplacesGradient(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        self.weight.grad = self.weight.grad.copy()
        return dx


@broken("input_grad=False", "must return None, got ndarray")
class AlwaysReturns(Sound):
    def backward(self, dy, input_grad=True):
        return super().backward(dy)


@broken("input_grad=False", "gives another gradient of bias")
class LeavesOutTooMuch(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        if not input_grad:
            self.bias.set_grad(np.zeros(C))
        return dx


@broken("gradients in training mode", "the gradient of x is wrong", "the sign is wrong")
class WrongSign(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        return None if dx is None else -dx


@broken("gradients in training mode", "the gradient of weight is wrong", "it is divided by N, which the loss has")
class MeanOverBatch(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        self.weight.set_grad(self.weight.grad / len(dy))
        return dx


@broken("gradients in training mode", "the gradient of weight and of bias is wrong", "backward leaves it at zero")
class ZeroGradients(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        self.weight.set_grad(np.zeros(C))
        self.bias.set_grad(np.zeros(C))
        return dx


@broken("gradients in training mode", "forward must read .value each time")
class ReadsWeightOnce(Sound):
    def forward(self, x):
        self.save_for_backward(x)
        return x * 2 + self.bias.value

    def backward(self, dy, input_grad=True):
        (x,) = self.saved()
        self.weight.set_grad(self.sums(dy * x))
        self.bias.set_grad(self.sums(dy))
        return dy * 2 if input_grad else None


@broken("gradients in training mode", "it is 1.5 times too large")
class TooLarge(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        self.bias.set_grad(1.5 * self.bias.grad)
        return dx


@broken("gradients in training mode", "backward says", "differences say")
class OneWrongEntry(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        if dx is not None:
            dx[-1, -1, -1, -1] *= 1.001
        return dx


@broken("gradients in training mode", "18 of 24 gradient entries lie at kinks")
class KinksEverywhere(Sound):
    input_shape = (1, 2, C)  # so small that every entry is looked at by itself
    buffer_names = ("mean", "centers")

    def __init__(self):
        super().__init__()
        self.centers = Bench(self, None, self.input_shape, batch=3, seed=0, max_entries=1).x()

    def forward(self, x):
        above = np.maximum(x - self.centers[: len(x)], 0)
        return super().forward(x) + above


@broken("gradients in evaluation mode", "the gradient of weight is wrong")
class ForgetsMeanInEvaluation(Sound):
    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        self.weight.set_grad(self.sums(dy * self.saved()[0]))
        return dx


@broken("one image", "the first image alone gives another output", "an axis squeezed")
class Squeezes(Module):
    def forward(self, x):
        self.save_for_backward(x.shape)
        return x.sum(axis=(1, 2, 3), keepdims=True).squeeze()

    def backward(self, dy, input_grad=True):
        (shape,) = self.saved()
        return np.broadcast_to(dy.reshape(-1, 1, 1, 1), shape).copy() if input_grad else None


@broken("one image", "backward of one image returned shape (3, 8, 7, 3) for an input of (1, 8, 7, 3)")
class KeepsBatchSize(Sound):
    size = None

    def forward(self, x):
        self.size = self.size or len(x)
        return super().forward(x)

    def backward(self, dy, input_grad=True):
        dx = super().backward(dy, input_grad)
        return None if dx is None else np.resize(dx, (self.size, *dx.shape[1:]))


@broken("memory layouts", "a read-only input or dy of the same numbers raises ValueError")
class WritesAndRestores(Sound):
    def forward(self, x):
        np.negative(x, out=x)
        y = super().forward(-x)
        np.negative(x, out=x)
        return y


@broken("memory layouts", "forward gives another output for a non-contiguous input")
class AssumesContiguous(Sound):
    def forward(self, x):
        strides = np.empty(x.shape, x.dtype).strides
        return super().forward(np.lib.stride_tricks.as_strided(x, x.shape, strides))


@broken("memory layouts", "backward gives another gradient for a column-major dy")
class KeepsOrder(Sound):
    def backward(self, dy, input_grad=True):
        return super().backward(dy.ravel(order="K").reshape(dy.shape), input_grad)


@broken("backward needs forward", "backward before forward must raise RuntimeError, got AttributeError")
class KeepsItself(Module):
    def forward(self, x):
        self.x = x
        return x**2

    def backward(self, dy, input_grad=True):
        return 2 * self.x * dy if input_grad else None


@broken("backward needs forward", "after a forward pass inside no_grad must raise RuntimeError, got a result")
class KeepsInNoGrad(Module):
    x = None

    def forward(self, x):
        self.x = x
        return x**2

    def backward(self, dy, input_grad=True):
        if self.x is None:
            raise RuntimeError("no forward pass")
        return 2 * self.x * dy if input_grad else None


@broken("state round trip", "something that forward uses is missing from state_dict")
class UnsavedNumber(Sound):
    level = 0.0

    def forward(self, x):
        if self.training:
            self.level = float(np.abs(x).max())
            return super().forward(x)
        return super().forward(x) + self.level


@broken("state round trip", "it must hold copies")
class StateIsNoCopy(Sound):
    def state_dict(self):
        return {parameter.name: parameter.value for parameter in self.parameters()} | self.buffers()
