from ._checks import Array

def channel_moments(x: Array, mean: Array, var: Array) -> None: ...
def batchnorm2d(
    x: Array, mean: Array, var: Array, weight: Array, bias: Array, out: Array, eps: float, relu: bool
) -> None: ...
def batchnorm2d_backward(
    dy: Array,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array,
    bias: Array,
    dx: Array | None,
    dweight: Array,
    dbias: Array,
    eps: float,
    relu: bool,
    training: bool,
) -> None: ...
