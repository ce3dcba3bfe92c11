"""Vectors for Numba kernels: a handful of floats that live in one register and are added and multiplied at once.

Numba vectorizes a loop over an array by itself, but it cannot keep a block of sums in registers while another loop
runs: after every step the sums go back to memory. With a vector as a value the kernel says which sums stay:

    sums = load(bias, f)
    for k in range(length):
        sums = madd(sums, x[pixel + k], load(w, k * filters + f))   # sums += x[...] * w[..., f : f + lanes]
    store(y, f, sums)

The functions below are plain NumPy where Numba's compiler is switched off (NUMBA_DISABLE_JIT=1), and say what they
mean; compiled code goes by the LLVM instructions under them. Offsets count from the start of a flat array and are
unsigned: a signed index may be negative, and the test for that in every load costs more than the load.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, overload, register_model

Array = np.ndarray[Any, np.dtype[Any]]

Offset = Any  # an int, or in compiled code np.uint64

_FEATURES = llvmlite.binding.get_host_cpu_features()

VECTOR_BYTES = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx") else 16
"""The width of a register of this CPU: 16 floats with AVX-512, 8 with AVX, 4 otherwise (SSE, NEON)."""


def lanes(array: Array) -> int:
    """Return how many numbers of `array` one vector holds."""
    return VECTOR_BYTES // array.itemsize


def load(array: Array, offset: Offset) -> Array:
    """Return the vector of the numbers at `offset` and after it."""
    return np.array(array[offset : offset + lanes(array)])


def store(array: Array, offset: Offset, vector: Array) -> None:
    """Write `vector` to `offset` and after it."""
    array[offset : offset + lanes(array)] = vector


def fill(array: Array, scalar: Any) -> Array:
    """Return the vector of `array`'s type that holds `scalar` everywhere."""
    return np.full(lanes(array), scalar, dtype=array.dtype)


def madd(total: Array, scalar: Any, vector: Array) -> Array:
    """Return ``total + scalar * vector``, in one instruction where the CPU has it."""
    product: Array = np.multiply(vector, scalar, dtype=vector.dtype)
    return total + product


def add(a: Array, b: Array) -> Array:
    """Return ``a + b``."""
    return a + b


def subtract(a: Array, b: Array) -> Array:
    """Return ``a - b``."""
    return a - b


def if_wins(candidate: Array, best: Array, yes: Array, no: Array) -> Array:
    """Return `yes` where `candidate` replaces `best` as the largest number so far (NaN always does), else `no`."""
    return np.where((candidate > best) | np.isnan(candidate), yes, no)


def if_positive(a: Array, yes: Array, no: Array) -> Array:
    """Return `yes` where `a` is positive or NaN, else `no`."""
    return np.where(a <= 0, no, yes)


class VectorType(types.Type):
    """Numba's type of a vector of `dtype`."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.count = VECTOR_BYTES * 8 // dtype.bitwidth
        super().__init__(f"Vector({dtype}, {self.count})")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: VectorType) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            manager, fe_type, ir.VectorType(manager.lookup(fe_type.dtype).get_value_type(), fe_type.count)
        )


_intrinsic: Callable[[Any], Any] = intrinsic

_FUSE = ("contract",)  # a product and a sum may become one instruction; nothing else may change


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    vector = context.get_value_type(VectorType(array_type.dtype))
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())


def _splat(builder: Any, scalar: Any, vector: Any) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None))


@_intrinsic
def _load(_typing: Any, array: Any, offset: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = builder.load(_pointer(context, builder, signature.args[0], *arguments))
        vector.align = array.dtype.bitwidth // 8
        return vector

    return VectorType(array.dtype)(array, offset), generate


@_intrinsic
def _store(_typing: Any, array: Any, offset: Any, vector: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, offset, vector), generate


@_intrinsic
def _fill(_typing: Any, array: Any, scalar: Any) -> Any:
    vector = VectorType(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.cast(builder, arguments[1], signature.args[1], array.dtype)
        return _splat(builder, number, context.get_value_type(vector))

    return vector(array, scalar), generate


@_intrinsic
def _madd(_typing: Any, total: Any, scalar: Any, vector: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.cast(builder, arguments[1], signature.args[1], total.dtype)
        product = builder.fmul(_splat(builder, number, arguments[2].type), arguments[2], flags=_FUSE)
        return builder.fadd(arguments[0], product, flags=_FUSE)

    return total(total, scalar, vector), generate


@_intrinsic
def _add(_typing: Any, a: Any, b: Any) -> Any:
    return a(a, b), lambda _context, builder, _signature, arguments: builder.fadd(*arguments, flags=_FUSE)


@_intrinsic
def _subtract(_typing: Any, a: Any, b: Any) -> Any:
    return a(a, b), lambda _context, builder, _signature, arguments: builder.fsub(*arguments, flags=_FUSE)


@_intrinsic
def _if_wins(_typing: Any, candidate: Any, best: Any, yes: Any, no: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        challenger, champion, if_true, if_false = arguments
        larger = builder.fcmp_ordered(">", challenger, champion)
        nan = builder.fcmp_unordered("uno", challenger, challenger)
        return builder.select(builder.or_(larger, nan), if_true, if_false)

    return yes(candidate, best, yes, no), generate


@_intrinsic
def _if_positive(_typing: Any, a: Any, yes: Any, no: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        value, if_true, if_false = arguments
        return builder.select(builder.fcmp_unordered(">", value, ir.Constant(value.type, None)), if_true, if_false)

    return yes(a, yes, no), generate


# Not strict: it would compare annotations too, which the lambdas cannot have.
_compiled_form = functools.partial(overload, inline="always", strict=False)


@_compiled_form(lanes)
def _lanes_compiled(array: Any) -> Any:
    count = np.uint64(VECTOR_BYTES * 8 // array.dtype.bitwidth)
    return lambda array: count


@_compiled_form(load)
def _load_compiled(array: Any, offset: Any) -> Any:
    return lambda array, offset: _load(array, offset)


@_compiled_form(store)
def _store_compiled(array: Any, offset: Any, vector: Any) -> Any:
    return lambda array, offset, vector: _store(array, offset, vector)


@_compiled_form(fill)
def _fill_compiled(array: Any, scalar: Any) -> Any:
    return lambda array, scalar: _fill(array, scalar)


@_compiled_form(madd)
def _madd_compiled(total: Any, scalar: Any, vector: Any) -> Any:
    return lambda total, scalar, vector: _madd(total, scalar, vector)


@_compiled_form(add)
def _add_compiled(a: Any, b: Any) -> Any:
    return lambda a, b: _add(a, b)


@_compiled_form(subtract)
def _subtract_compiled(a: Any, b: Any) -> Any:
    return lambda a, b: _subtract(a, b)


@_compiled_form(if_wins)
def _if_wins_compiled(candidate: Any, best: Any, yes: Any, no: Any) -> Any:
    return lambda candidate, best, yes, no: _if_wins(candidate, best, yes, no)


@_compiled_form(if_positive)
def _if_positive_compiled(a: Any, yes: Any, no: Any) -> Any:
    return lambda a, yes, no: _if_positive(a, yes, no)
