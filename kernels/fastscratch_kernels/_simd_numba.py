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

from collections.abc import Callable
from typing import Any, TypeVar

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

Array = np.ndarray[Any, np.dtype[Any]]
Function = TypeVar("Function", bound=Callable[..., Any])

Offset = Any  # an int, or in compiled code np.uint64

_CONFIG: Any = numba.config
_FEATURES = llvmlite.binding.get_host_cpu_features()

VECTOR_BYTES = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx") else 16
"""The width of a register of this CPU: 16 floats with AVX-512, 8 with AVX, 4 otherwise (SSE, NEON)."""


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
def _lanes(_typing: Any, array: Any) -> Any:
    count = VECTOR_BYTES * 8 // array.dtype.bitwidth
    return types.uint64(array), lambda _context, _builder, _signature, _arguments: ir.Constant(ir.IntType(64), count)


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


def _count(array: Array) -> int:
    return VECTOR_BYTES // array.itemsize


PLAIN: dict[str, Callable[..., Any]] = {}
"""The NumPy form of each function below, by name."""


def _compiled_as(instruction: Any) -> Callable[[Function], Function]:
    """Take `instruction` in place of the function that follows, unless Numba's compiler is switched off."""

    def choose(function: Function) -> Function:
        PLAIN[function.__name__] = function
        chosen: Function = function if _CONFIG.DISABLE_JIT else instruction
        return chosen

    return choose


@_compiled_as(_lanes)
def lanes(array: Array) -> int:
    """Return how many numbers of `array` one vector holds."""
    return _count(array)


@_compiled_as(_load)
def load(array: Array, offset: Offset) -> Array:
    """Return the vector of the numbers at `offset` and after it."""
    return np.array(array[offset : offset + _count(array)])


@_compiled_as(_store)
def store(array: Array, offset: Offset, vector: Array) -> None:
    """Write `vector` to `offset` and after it."""
    array[offset : offset + _count(array)] = vector


@_compiled_as(_fill)
def fill(array: Array, scalar: Any) -> Array:
    """Return the vector of `array`'s type that holds `scalar` everywhere."""
    return np.full(_count(array), scalar, dtype=array.dtype)


@_compiled_as(_madd)
def madd(total: Array, scalar: Any, vector: Array) -> Array:
    """Return ``total + scalar * vector``, in one instruction where the CPU has it."""
    product: Array = np.multiply(vector, scalar, dtype=vector.dtype)
    return total + product


@_compiled_as(_add)
def add(a: Array, b: Array) -> Array:
    """Return ``a + b``."""
    return a + b


@_compiled_as(_subtract)
def subtract(a: Array, b: Array) -> Array:
    """Return ``a - b``."""
    return a - b


@_compiled_as(_if_wins)
def if_wins(candidate: Array, best: Array, yes: Array, no: Array) -> Array:
    """Return `yes` where `candidate` replaces `best` as the largest number so far (NaN always does), else `no`."""
    return np.where((candidate > best) | np.isnan(candidate), yes, no)


@_compiled_as(_if_positive)
def if_positive(a: Array, yes: Array, no: Array) -> Array:
    """Return `yes` where `a` is positive or NaN, else `no`."""
    return np.where(a <= 0, no, yes)
