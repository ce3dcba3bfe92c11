from ._checks import Array

def sgd_step(
    value: Array,
    grad: Array,
    velocity: Array | None,
    out: Array,
    out_velocity: Array | None,
    lr: float,
    momentum: float,
    nesterov: bool,
    decay: float,
) -> None: ...
def adam_step(
    value: Array,
    grad: Array,
    m: Array,
    v: Array,
    out: Array,
    out_m: Array,
    out_v: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,
    shrink: float,
) -> None: ...
