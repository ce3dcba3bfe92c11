"""The ladder's rungs: one block of a network computed in ways that each have one idea more.

A rung is forward and backward of convolution, ReLU and max-pooling. All rungs but the naive one do the same sums.
"""

from __future__ import annotations

import itertools
import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from shapes import Conv, inputs

import fastscratch_kernels as kernels

TESTS = Path(__file__).resolve().parents[1] / "tests"


@dataclass(frozen=True)
class Rung:
    """One step of the ladder.

    Attributes
    ----------
    name : str
        What is new.
    how : str
        A key of `WAYS`.
    threads : int
        1, or 0 for all.
    algorithm : str
        As `fastscratch_kernels.conv2d` takes it.
    one_image : bool
        Whether one image is computed in place of a batch, and its time multiplied: nobody waits for naive loops.
    """

    name: str
    how: str
    threads: int = 1
    algorithm: str = "auto"
    one_image: bool = False


def naive(shape: Conv, a: dict[str, np.ndarray], algorithm: str) -> list[np.ndarray]:
    """Plain Python loops: the ones that the tests compare every kernel with."""
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    import oracles

    how = _pairs(shape) | {"pool_kernel_size": (shape.pool,) * 2}
    pooled, places = oracles.conv2d_relu_maxpool2d(a["x"], a["w"], a["b"], **how)
    return [pooled, *oracles.conv2d_relu_maxpool2d_backward(a["dy"], places, a["x"], a["w"], **how)]


def separate(shape: Conv, a: dict[str, np.ndarray], algorithm: str) -> list[np.ndarray]:
    """Convolution, ReLU and pooling one after the other, and back again."""
    how = _pairs(shape) | {"algorithm": algorithm}
    y = kernels.conv2d(a["x"], a["w"], a["b"], **how)
    kernels.relu(y, out=y)
    pooled, places = kernels.maxpool2d(y, shape.pool)
    spread = kernels.maxpool2d_backward(a["dy"], places, y.shape, shape.pool)
    kernels.relu_backward(spread, y, dx=spread)
    return [pooled, *_given(kernels.conv2d_backward(spread, a["x"], a["w"], **how))]


def fused_forward(shape: Conv, a: dict[str, np.ndarray], algorithm: str) -> list[np.ndarray]:
    """One kernel forward; back through every position, as if none were zero."""
    block = shape.windows | {"algorithm": algorithm}
    pooled, places = kernels.conv2d_relu_maxpool2d(a["x"], a["w"], a["b"], **block)
    dead = pooled == 0
    dy, alive = np.where(dead, np.float32(0), a["dy"]), np.where(dead, np.uint8(0), places)
    spread = kernels.maxpool2d_backward(dy, alive, shape.conv_shape(len(a["x"])), shape.pool)
    return [pooled, *_given(kernels.conv2d_backward(spread, a["x"], a["w"], **_pairs(shape), algorithm=algorithm))]


def fused(shape: Conv, a: dict[str, np.ndarray], algorithm: str) -> list[np.ndarray]:
    """One kernel forward, one backward, which goes through the pooled places only."""
    block = shape.windows | {"algorithm": algorithm}
    pooled, places = kernels.conv2d_relu_maxpool2d(a["x"], a["w"], a["b"], **block)
    back = kernels.conv2d_relu_maxpool2d_backward(a["dy"], places, a["x"], a["w"], **shape.windows)
    return [pooled, *_given(back)]


def alone(shape: Conv, a: dict[str, np.ndarray], algorithm: str) -> list[np.ndarray]:
    """Convolution without pooling, and back."""
    how = _pairs(shape) | {"algorithm": algorithm}
    y = kernels.conv2d(a["x"], a["w"], a["b"], **how)
    return [y, *_given(kernels.conv2d_backward(a["dy"], a["x"], a["w"], **how))]


WAYS: dict[str, Callable[[Conv, dict[str, np.ndarray], str], list[np.ndarray]]] = {
    "naive": naive,
    "separate": separate,
    "fused_forward": fused_forward,
    "fused": fused,
    "alone": alone,
}

BLOCK = "conv2d_relu_maxpool2d:baseline.block2"
WIDE = "conv2d:vgg.conv2"

IDEAS = {
    "naive": "naive loops",
    "im2col": "im2col + GEMM",
    "direct": "implicit im2col, register tile",
    "fused": "ReLU and pooling fused",
    "sparse": "pool-sparse backward",
    "threads": "threads over images",
    "winograd": "Winograd, where `auto` takes it",
}
"""What is new on a rung, by a word."""

LADDERS = {
    BLOCK: (
        Rung(IDEAS["naive"], "naive", one_image=True),
        Rung(IDEAS["im2col"], "separate", algorithm="im2col"),
        Rung(IDEAS["direct"], "separate", algorithm="direct"),
        Rung(IDEAS["fused"], "fused_forward", algorithm="direct"),
        Rung(IDEAS["sparse"], "fused", algorithm="direct"),
        Rung(IDEAS["threads"], "fused", threads=0, algorithm="direct"),
        Rung(IDEAS["winograd"], "fused", threads=0),
    ),
    WIDE: (
        Rung(IDEAS["im2col"], "alone", threads=0, algorithm="im2col"),
        Rung(IDEAS["direct"], "alone", threads=0, algorithm="direct"),
        Rung(IDEAS["winograd"], "alone", threads=0),
    ),
}
"""Shape -> its rungs, from the bottom up."""


def build(shape: Conv, rung: Rung, batch: int) -> Callable[[], list[np.ndarray]]:
    """Return what is timed: forward and backward of `shape` on one rung."""
    arrays = inputs(shape, batch)
    way = WAYS[rung.how]
    return lambda: way(shape, arrays, rung.algorithm)


def gains(rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return how many times as fast each rung is as the one below it, and as the lowest.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of the section ``ladder`` of one shape. Rungs that took turns are compared round by round; those whose one
        image stands for a batch had no turn, and are compared by their medians.
    """
    gained = [1.0]
    for below, row in itertools.pairwise(rows):
        if _images(below) == _images(row):
            gained.append(median(b / a for a, b in zip(row["rounds"], below["rounds"], strict=True)))
        else:
            gained.append(below["seconds"] / row["seconds"])
    return list(zip(gained, itertools.accumulate(gained, operator.mul), strict=True))


def _images(row: Mapping[str, Any]) -> int:
    """Return by how many images a row's rounds were multiplied."""
    images: float = row["seconds"] / median(row["rounds"])
    return round(images)


def _given(gradients: Iterable[np.ndarray | None]) -> Iterator[np.ndarray]:
    """Yield the gradients that there are."""
    return (gradient for gradient in gradients if gradient is not None)


def _pairs(shape: Conv) -> dict[str, Any]:
    """Return the windows of the convolution alone, as pairs: the naive loops take nothing else."""
    return {"stride": (shape.stride,) * 2, "padding": (shape.padding,) * 2, "groups": shape.groups}
