"""A third side where it is installed: JAX, each op compiled by XLA, images in the layout of this project.

XLA takes its threads when it starts and keeps them, so it is measured with all of them alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from shapes import AnyShape, Conv, Dense, Flat, Norm, Patches, Pool, inputs
from tasks import Task

jax.config.update("jax_enable_x64", True)  # else float64 would become float32 without a word

EPS = 1e-5
LAYOUT = ("NHWC", "HWIO", "NHWC")
Op = Callable[..., Any]


class JaxEngine:
    """JAX on the CPU; gradients by `jax.vjp`, with what the forward pass kept made before the clock runs."""

    def op(self, shape: AnyShape, batch: int, dtype: str = "float32", backward: bool = False) -> Task:
        """Return one op alone.

        Raises
        ------
        ValueError
            For optimizers' steps and the making of batches, which JAX leaves to other libraries.
        """
        arrays = {name: jnp.asarray(array) for name, array in inputs(shape, batch, dtype).items()}
        function, names = _function(shape)
        arguments = [arrays[name] for name in names]
        if not backward:
            run = jax.jit(function)
            return _task(lambda: run(*arguments))
        first = 1 if isinstance(shape, Conv) and shape.first else 0  # the images' gradient is not asked for
        constant = arguments[:first]
        _, pull = jax.vjp(lambda *rest: function(*constant, *rest), *arguments[first:])
        back = jax.jit(lambda pull, dy: pull(dy))  # what the forward pass kept is an argument, no constant to fold
        dy = arrays["q"] / -batch if isinstance(shape, Flat) else arrays["dy"]
        return _task(lambda: back(pull, dy))


def _task(call: Callable[[], Any]) -> Task:
    def result() -> list[np.ndarray]:
        out = call()
        return [np.asarray(array) for array in (out if isinstance(out, tuple) else (out,))]

    return Task(lambda: jax.block_until_ready(call()), result)


def _function(shape: AnyShape) -> tuple[Op, tuple[str, ...]]:
    """Return an op, and by name which arrays it takes, those with gradients in the order of this project's."""
    if isinstance(shape, Conv):
        return (_block(shape) if shape.pool else _conv(shape)), ("x", "w", "b")
    if isinstance(shape, Dense):
        return (lambda x, w, b: x @ w + b), ("x", "w", "b")
    if isinstance(shape, Norm):
        return _norm, ("x", "w", "b")
    if isinstance(shape, Pool):
        return (lambda x: _pool(x, shape.kernel, shape.op)), ("x",)
    if isinstance(shape, Patches):
        return _patches(shape.conv), ("x",)
    if shape.op == "log_softmax":
        return (lambda x: jax.nn.log_softmax(x, axis=1)), ("x",)
    raise ValueError(f"JAX leaves {shape.op} to other libraries")


def _conv(shape: Conv) -> Op:
    steps, border = (shape.stride,) * 2, [(shape.padding,) * 2] * 2

    def conv(x: Any, w: Any, b: Any) -> Any:
        how = {"dimension_numbers": LAYOUT, "feature_group_count": shape.groups}
        return lax.conv_general_dilated(x, w, steps, border, **how) + b

    return conv


def _block(shape: Conv) -> Op:
    conv = _conv(shape)
    return lambda x, w, b: _pool(jax.nn.relu(conv(x, w, b)), shape.pool, "maxpool2d")


def _pool(x: Any, kernel: int, op: str) -> Any:
    window = (1, kernel, kernel, 1)
    if op == "maxpool2d":
        return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
    return lax.reduce_window(x, 0.0, lax.add, window, window, "VALID") / kernel**2


def _norm(x: Any, w: Any, b: Any) -> Any:
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return jax.nn.relu((x - mean) * lax.rsqrt(var + EPS) * w + b)


def _patches(conv: Conv) -> Op:
    size, steps, border = (conv.kernel,) * 2, (conv.stride,) * 2, [(conv.padding,) * 2] * 2

    def patches(x: Any) -> Any:
        cut = lax.conv_general_dilated_patches(x, size, steps, border, dimension_numbers=LAYOUT)
        n, oh, ow, _ = cut.shape  # its channels run C, KH, KW; here KH, KW, C
        return cut.reshape(n, oh, ow, conv.channels, -1).swapaxes(3, 4).reshape(n, oh, ow, -1)

    return patches
