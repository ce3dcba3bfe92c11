from ._checks import Array
from .shapes import Pair

def conv2d(
    x: Array,
    w: Array,
    b: Array | None,
    out: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str = "direct",
) -> None: ...
def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    dx: Array | None,
    dw: Array,
    db: Array | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str = "direct",
) -> None: ...
def is_depthwise(w: Array, groups: int) -> bool: ...
def input_gradient(
    dy: Array, w: Array, dx: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None: ...
