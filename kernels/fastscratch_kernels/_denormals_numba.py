"""Denormal numbers as zero, for the time of a kernel, in the thread that runs it.

Numbers below 1e-38 (float32) cost a CPU a hundred times what others do, and a gradient that small changes no weight.
Each thread has a control register of its own that says what to do with them. These functions read it, set it and put it
back, as the Cython column's C does; where the machine is neither x86-64 nor arm64, or Numba's compiler is switched
off, they do nothing.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ._jit_numba import compiled

_CONFIG: Any = numba.config
_intrinsic: Callable[[Any], Any] = intrinsic

FLUSH = {
    "x86_64": 0x8040,  # flush results to zero, read denormals as zero
    "aarch64": 1 << 24,  # both in one
}
"""machine -> the bits of its control register."""

_WORD, _WIDE, _BYTES = ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()


def machine() -> str:
    """Return this machine's key of `FLUSH`, or "" where it has none."""
    name = platform.machine().lower()
    name = {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)
    return name if name in FLUSH and not _CONFIG.DISABLE_JIT else ""


def emit_read(builder: Any, name: str) -> Any:
    """Write the instructions that read the control register of a machine, as 64 bits."""
    if name == "aarch64":
        return builder.call(_instruction(builder, "llvm.aarch64.get.fpcr", _WIDE), [])
    place = builder.alloca(_WORD)
    store = _instruction(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), _BYTES)
    builder.call(store, [builder.bitcast(place, _BYTES)])
    return builder.zext(builder.load(place), _WIDE)


def emit_write(builder: Any, name: str, state: Any) -> None:
    """Write the instructions that set it to `state`."""
    if name == "aarch64":
        builder.call(_instruction(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), _WIDE), [state])
        return
    place = builder.alloca(_WORD)
    builder.store(builder.trunc(state, _WORD), place)
    load = _instruction(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), _BYTES)
    builder.call(load, [builder.bitcast(place, _BYTES)])


def _instruction(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    return builder.module.declare_intrinsic(name, (), ir.FunctionType(result, arguments))


@_intrinsic
def _read(_typing: Any) -> Any:
    return types.uint64(), lambda _context, builder, _signature, _arguments: emit_read(builder, machine())


@_intrinsic
def _write(_typing: Any, state: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        emit_write(builder, machine(), arguments[0])
        return context.get_dummy_value()

    return types.void(types.uint64), generate


def _nothing_to_read() -> int:
    return 0


def _nothing_to_write(state: int) -> None:
    pass


_BITS = np.uint64(FLUSH.get(machine(), 0))


def _state() -> int:
    state: int = _read()
    return state


def _flush() -> int:
    state: int = _read()
    _write(state | _BITS)
    return state


def _restore(state: int) -> None:
    _write(np.uint64(state))


# 0.4 microseconds for all three. They keep the interpreter's lock: giving it up and waiting again would cost more.
denormal_state = compiled(_state, quick=True) if machine() else _nothing_to_read
flush_denormals = compiled(_flush, quick=True) if machine() else _nothing_to_read
restore_denormals = compiled(_restore, quick=True) if machine() else _nothing_to_write
