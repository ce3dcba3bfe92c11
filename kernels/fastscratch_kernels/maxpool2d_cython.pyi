from ._checks import Array
from .shapes import Pair

def maxpool2d(x: Array, out: Array, argmax: Array, kernel: Pair, stride: Pair, padding: Pair) -> None: ...
def maxpool2d_backward(
    dy: Array, argmax: Array, dx: Array, kernel: Pair, stride: Pair, padding: Pair
) -> None: ...
