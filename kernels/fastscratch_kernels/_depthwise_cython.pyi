from ._checks import Array
from .shapes import Pair

def forward(
    x: Array, w: Array, b: Array | None, out: Array, stride: Pair, padding: Pair, dilation: Pair
) -> None: ...
def backward(
    dy: Array,
    x: Array,
    w: Array,
    dx: Array | None,
    dw: Array,
    db: Array | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> None: ...
