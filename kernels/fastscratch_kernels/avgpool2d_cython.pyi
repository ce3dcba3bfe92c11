from ._checks import Array
from .shapes import Pair

def avgpool2d(
    x: Array, out: Array, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool
) -> None: ...
def avgpool2d_backward(
    dy: Array, dx: Array, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool
) -> None: ...
