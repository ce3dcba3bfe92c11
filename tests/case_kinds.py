"""The kinds of cases in the table of `cases.py`: what a case says of an op's arrays and settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import oracles


@dataclass(frozen=True)
class Windows:
    """A convolution's windows, or with `pool` those of a fused block."""

    id: str
    x: tuple[int, int, int, int]
    kernel: tuple[int, int]
    filters: int = 4
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: bool = True
    pool: dict[str, tuple[int, int]] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.id

    @property
    def w(self) -> tuple[int, int, int, int]:
        return (*self.kernel, self.x[3] // self.groups, self.filters)

    @property
    def windows(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    @property
    def grid(self) -> tuple[int, int]:
        """(OH, OW)."""
        return oracles.grid_shape(self.x, self.kernel, **self.windows)


@dataclass(frozen=True)
class Pool:
    """A pooling's windows."""

    id: str
    x: tuple[int, int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] | None = None
    padding: tuple[int, int] = (0, 0)
    count_include_pad: bool = True

    def __str__(self) -> str:
        return self.id

    @property
    def windows(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding}

    @property
    def grid(self) -> tuple[int, int]:
        """(OH, OW)."""
        return oracles.grid_shape(self.x, self.kernel, self.stride or self.kernel, self.padding)


@dataclass(frozen=True)
class Norm:
    """A batch normalization."""

    id: str
    x: tuple[int, int, int, int]
    relu: bool = False
    training: bool = True
    eps: float = 1e-3

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Numbers:
    """Numbers that are looked at one by one."""

    id: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Step:
    """A step of an optimizer over `size` numbers."""

    id: str
    size: int
    how: dict[str, Any] = field(hash=False)

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Logits:
    """Rows of logits."""

    id: str
    shape: tuple[int, int]
    scale: float = 1.0

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Batch:
    """A batch of images; with `levels` of 8-bit ones whatever the dtype of the other arrays."""

    id: str
    shape: tuple[int, int, int, int]
    levels: bool = True

    def __str__(self) -> str:
        return self.id


Case = Windows | Pool | Norm | Numbers | Step | Logits | Batch
