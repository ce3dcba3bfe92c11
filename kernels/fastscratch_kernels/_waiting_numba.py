"""How threads of the Numba kernels wait for each other: awake for a little while, without the interpreter's lock.

A thread that sleeps has to be woken by the system, and one that asks for the lock while another one has it sleeps, too;
either takes longer than a small kernel. So a thread that waits lets go of the lock, and looks at a counter in memory
again and again. What it has to tell others then it counts when it has let go, for they ask for the lock as soon as they
see it. Now and then it offers its core to whoever else could run there.

Where Numba's compiler is switched off nobody waits here: it would keep the lock that the other thread needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ._denormals_numba import machine
from ._jit_numba import compiled, leaf

Counter = np.ndarray[Any, np.dtype[np.int64]]

LOOKS = 40_000
"""So many times a thread looks: about a millisecond of its own time, by the CPU's pause more or less.

That is longer than from one shared kernel of a step to the next.
"""

OFFER = 64
"""After so many looks a core is offered to others."""

HESITATION = 400
"""Pauses of one who was called, about 10 µs: so long the caller needs the lock to begin its own part."""

_CONFIG: Any = numba.config
_intrinsic: Callable[[Any], Any] = intrinsic

_VOID, _INT, _WIDE = ir.VoidType(), ir.IntType(32), ir.IntType(64)


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return context.make_array(signature.args[0])(context, builder, arguments[0]).data


@_intrinsic
def _value(_typing: Any, counter: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_address(context, builder, signature, arguments), "acquire", 8)

    return types.int64(counter), generate


@_intrinsic
def _add_one(_typing: Any, counter: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _address(context, builder, signature, arguments)
        return builder.atomic_rmw("add", place, ir.Constant(_WIDE, 1), "release")

    return types.int64(counter), generate


def emit_pause(builder: Any, name: str) -> None:
    """Write the instruction of a machine that takes a while and leaves the core's resources to whoever shares it."""
    if name == "aarch64":
        barrier = builder.module.declare_intrinsic("llvm.aarch64.isb", (), ir.FunctionType(_VOID, [_INT]))
        builder.call(barrier, [ir.Constant(_INT, 15)])
    elif name == "x86_64":
        builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), ir.FunctionType(_VOID, ())), [])


@_intrinsic
def _pause(_typing: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        emit_pause(builder, machine())
        return context.get_dummy_value()

    return types.void(), generate


@_intrinsic
def _offer_core(_typing: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        if hasattr(os, "sched_yield"):
            name = "sched_yield"
            there = builder.module.globals.get(name)
            builder.call(there or ir.Function(builder.module, ir.FunctionType(_INT, ()), name), [])
        return context.get_dummy_value()

    return types.void(), generate


@leaf
def _look(counter: Counter, at_least: int) -> None:
    for i in range(LOOKS):
        if _value(counter) >= at_least:
            return
        _pause()
        if i % OFFER == OFFER - 1:
            _offer_core()


def _count(counter: Counter) -> None:
    _add_one(counter)


def _wait(counter: Counter, at_least: int) -> None:
    _look(counter, at_least)


def _count_and_wait(mine: Counter, counter: Counter, at_least: int) -> None:
    _add_one(mine)
    _look(counter, at_least)
    for _ in range(HESITATION):
        _pause()


def _count_in_python(counter: Counter) -> None:
    counter[0] += 1


def _never_wait(counter: Counter, at_least: int) -> None:
    pass


def _count_and_never_wait(mine: Counter, counter: Counter, at_least: int) -> None:
    mine[0] += 1


_COMPILES = not _CONFIG.DISABLE_JIT

count = compiled(_count, quick=True) if _COMPILES else _count_in_python
wait = compiled(_wait) if _COMPILES else _never_wait
count_and_wait = compiled(_count_and_wait) if _COMPILES else _count_and_never_wait
