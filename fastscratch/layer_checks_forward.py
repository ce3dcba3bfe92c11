"""What `check_layer` asks of a layer's parts, its forward pass and its modes: one function a check."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .layer_bench import DTYPES, MODES, Bench, Check, same
from .nn import Module, Parameter, no_grad


def _inside(value: Any) -> Iterator[Parameter]:
    """Yield the parameters in `value`: a parameter, a module, or a list, tuple or dict of such."""
    if isinstance(value, Parameter):
        yield value
    elif isinstance(value, Module):
        yield from (parameter for _, parameter in value.named_parameters())
    elif isinstance(value, (list, tuple, dict)):
        items: Iterable[Any] = value.values() if isinstance(value, dict) else value
        for item in items:
            yield from _inside(item)


def _fault_of(module: Module, found: set[int]) -> str | None:
    """Return what is wrong with one module's own attributes; `found` holds the ids of all known parameters."""
    for cls in type(module).__mro__:
        for name, value in vars(cls).items():
            if any(True for _ in _inside(value)):
                return f"{name} belongs to the class {cls.__name__}, so all its layers share it: make it in __init__"
    for name in module.buffer_names:
        if not hasattr(module, name):
            return f"{name} is in buffer_names, and the layer has no such attribute: make it in __init__"
    for name, value in vars(module).items():
        if isinstance(value, np.ndarray) and name not in module.buffer_names:
            return (
                f"{name} is an array that is neither saved nor converted: make it a Parameter if it is trained, name "
                "it in buffer_names if it is state, and pass it to save_for_backward if only backward needs it"
            )
        if isinstance(value, np.random.Generator) and name != "generator":
            return f"{name} is a Generator that no checkpoint saves: call the attribute generator"
        if any(id(parameter) not in found for parameter in _inside(value)):
            return (
                f"{name} holds parameters that parameters() does not return, so they are not trained: make each an "
                "attribute of its own, or put layers into an nn.Sequential"
            )
    return None


def _parts(bench: Bench) -> str | None:
    layer = copy.deepcopy(bench.original)
    if not hasattr(layer, "training"):
        return "the layer has no attribute training: call super().__init__() first in its __init__"
    found = {id(parameter) for _, parameter in layer.named_parameters()}
    for prefix, module in layer.modules():
        if fault := _fault_of(module, found):
            return f"{prefix}.{fault}" if prefix else fault
    return None


def _own_arrays(bench: Bench) -> str | None:
    if bench.make is None:
        return None
    one, other = bench.make(), bench.make()
    mine = [parameter.value for parameter in one.parameters()] + list(one.buffers().values())
    others = {parameter.name: parameter.value for parameter in other.parameters()} | other.buffers()
    for name, array in others.items():
        if any(np.shares_memory(array, value) for value in mine):
            return f"{name} is one array in two layers, so training one changes the other: make it in __init__"
    return None


def _forward(bench: Bench) -> str | None:
    y: Any = bench.layer(np.float32).forward(bench.x(np.float32))  # whatever a layer of somebody's returns
    if not isinstance(y, np.ndarray):
        return f"forward must return an ndarray, got {type(y).__name__}"
    if y.ndim == 0 or y.shape[0] != bench.batch:
        return (
            f"forward returned shape {y.shape} for {bench.batch} images of {bench.input_shape}: the first axis must "
            f"stay N, {bench.batch}"
        )
    return None


def _astype(bench: Bench) -> str | None:
    for dtype in DTYPES:
        layer = bench.layer(dtype)
        arrays = {parameter.name: parameter.value for parameter in layer.parameters()} | layer.buffers()
        for name, array in arrays.items():
            if np.issubdtype(array.dtype, np.floating) and array.dtype != dtype:
                return f"{name} is {array.dtype} after astype({dtype}): astype must convert all of them"
    return None


def _dtype_kept(bench: Bench) -> str | None:
    for dtype in DTYPES:
        for mode in MODES:
            y = bench.layer(dtype, mode).forward(bench.x(dtype))
            if y.dtype != dtype:
                return (
                    f"forward returned {y.dtype} for {dtype} in {mode} mode: a constant array of another dtype, or an "
                    "astype, is in the way"
                )
    return None


def _finite(bench: Bench) -> str | None:
    y = bench.layer().forward(bench.x())
    bad = int((~np.isfinite(y)).sum())
    if bad:
        return f"forward returned {bad} of {y.size} numbers that are not finite, for normal ones: a division by zero?"
    return None


def _output_shape(bench: Bench) -> str | None:
    y = bench.layer().forward(bench.x())
    got = bench.layer().output_shape(bench.input_shape)
    if tuple(got) != y.shape[1:]:
        return f"output_shape({bench.input_shape}) is {got}, and forward returned {y.shape[1:]} for each image"
    return None


def _input_kept(bench: Bench) -> str | None:
    for mode in MODES:
        x = bench.x()
        bench.layer(mode=mode).forward(x)
        if not np.array_equal(x, bench.x()):
            return f"forward changed its input in {mode} mode: write x = x + 1 in place of x += 1, or copy it first"
    return None


def _inside_no_grad(bench: Bench) -> str | None:
    y = bench.layer().forward(bench.x()).copy()
    with no_grad():
        inside = bench.layer().forward(bench.x())
    if not same(inside, y):
        return "forward gives another output inside no_grad: there it may keep less, nothing else"
    return None


def _modes(bench: Bench) -> str | None:
    layer = copy.deepcopy(bench.original)
    for call, mode in ((layer.eval, False), (layer.train, True)):
        returned = call()
        wrong = [name or "the layer" for name, module in layer.modules() if module.training is not mode]
        if wrong:
            return f"training is not {mode} in {wrong[0]} after {call.__name__}(): it must reach every module inside"
        if returned is not layer:
            return f"{call.__name__}() must return the layer itself, got {returned!r}"
    return None


def _repeatable(bench: Bench) -> str | None:
    layer, x = bench.layer(mode="evaluation"), bench.x()
    first = layer.forward(x).copy()
    if not np.array_equal(layer.forward(x), first, equal_nan=True):
        return "two forward passes in evaluation mode differ: draw nothing and track nothing unless self.training"
    return None


def _images_apart(bench: Bench) -> str | None:
    layer, x = bench.layer(mode="evaluation"), bench.x()
    y = layer.forward(x).copy()
    others = x.copy()
    others[1:] = 2 * others[1:] + 1
    if not same(layer.forward(others)[:1], y[:1]):
        return (
            "in evaluation mode the output of an image changes with the other images of its batch: statistics over "
            "the batch belong to training mode, running ones to evaluation"
        )
    return None


FORWARD_CHECKS = (
    Check(
        "parts", "every array is a parameter or a named buffer, and all parameters and Generators can be found", _parts
    ),
    Check("own arrays", "two layers share no parameter and no buffer", _own_arrays, ("parts",), needs_make=True),
    Check("forward", "the output is an array with N first", _forward, ("parts",)),
    Check("astype", "all parameters and floating-point buffers follow astype", _astype, ("forward",)),
    Check("dtype kept", "the output has the input's dtype, in both modes", _dtype_kept, ("astype",)),
    Check("finite", "an ordinary input gives finite numbers", _finite, ("dtype kept",)),
    Check("output_shape", "`output_shape` says what `forward` returns", _output_shape, ("dtype kept",)),
    Check("input kept by forward", "`forward` does not write to its input", _input_kept, ("dtype kept", "finite")),
    Check("no_grad", "inside no_grad the output is the same", _inside_no_grad, ("input kept by forward",)),
    Check("modes", "`train` and `eval` set `training` everywhere and return the layer", _modes, ("parts",)),
    Check(
        "evaluation repeatable",
        "in evaluation mode the same input gives the same bits",
        _repeatable,
        ("input kept by forward", "modes"),
    ),
    Check(
        "images apart",
        "in evaluation mode an image's output does not depend on the others",
        _images_apart,
        ("evaluation repeatable",),
    ),
)
"""In the order in which they run."""
