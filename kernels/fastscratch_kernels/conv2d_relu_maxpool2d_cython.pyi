from ._checks import Array
from .shapes import Pair

def conv2d_relu_maxpool2d(
    x: Array,
    w: Array,
    b: Array | None,
    out: Array,
    argmax: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    pool_kernel: Pair,
    pool_stride: Pair,
    pool_padding: Pair,
    algorithm: str = "direct",
) -> None: ...
def conv2d_relu_maxpool2d_backward(
    dy: Array,
    argmax: Array,
    x: Array,
    w: Array,
    dx: Array | None,
    dw: Array,
    db: Array | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    pool_kernel: Pair,
    pool_stride: Pair,
    pool_padding: Pair,
) -> None: ...
