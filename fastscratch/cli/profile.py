"""``fastscratch profile``: how long each layer takes, and how much of the machine it uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fastscratch.cli.parsing import parse
from fastscratch.config import TrainConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Time every layer's forward and backward pass on random images, one layer at a time.

    Attributes
    ----------
    model : str
        Network: baseline, improved or speedrun.
    batch_size : int
        Images a step.
    image_size : int
        Height and width of the images.
    channels : int
        Channels of the images.
    classes : int
        Classes that the network tells apart.
    repeats : int
        Steps that are timed; the median counts.
    backend : str
        Kernels: auto, cython, numba or numpy.
    threads : int or None
        Threads for all kernels; none takes every core this process may use.
    """

    model: str = "baseline"
    batch_size: int = 32
    image_size: int = 32
    channels: int = 3
    classes: int = 10
    repeats: int = 5
    backend: str = "auto"
    threads: int | None = None


def run(argv: Sequence[str], prog: str) -> int:
    """Print a table: a row a layer, then the whole network."""
    options = parse(Options, argv, prog=prog)
    for name in ("image_size", "channels", "classes"):
        if getattr(options, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(options, name)}")
    shared = {name: getattr(options, name) for name in ("model", "batch_size", "backend", "threads")}
    config = TrainConfig(**shared).validate()

    import numpy as np

    from fastscratch import models
    from fastscratch.cli.tables import show
    from fastscratch.profiling import LayerTime, matmul_peak, profile
    from fastscratch.run import use_kernels
    from fastscratch_kernels import active_backend, get_num_threads

    use_kernels(config)
    shape = (options.image_size, options.image_size, options.channels)
    model = models.build(config.model, shape, options.classes, seed=0, fuse=False)
    images = np.random.default_rng(0).standard_normal((config.batch_size, *shape), dtype=np.float32)
    times = profile(model, images, repeats=options.repeats)
    peak = matmul_peak()

    total = LayerTime(
        name="",
        layer="all layers",
        parameters=sum(one.parameters for one in times),
        forward=sum(one.forward for one in times),
        backward=sum(one.backward for one in times),
        forward_flops=sum(one.forward_flops for one in times),
        backward_flops=sum(one.backward_flops for one in times),
    )
    step = total.forward + total.backward

    def row(one: LayerTime) -> tuple[str, ...]:
        seconds, flops = one.forward + one.backward, one.forward_flops + one.backward_flops
        counted = one.backward_flops > 0
        return (
            one.name,
            one.layer,
            f"{1e3 * one.forward:.2f}",
            f"{1e3 * one.backward:.2f}",
            f"{100 * seconds / step:.0f} %",
            f"{flops / seconds / 1e9:.1f}" if counted else "",
            f"{100 * flops / seconds / peak:.0f} %" if counted else "",
        )

    print(f"{config.model}, batches of {config.batch_size} images of {' x '.join(map(str, shape))}")
    print(f"kernels: {active_backend()}, threads: {get_num_threads()}; layers one by one, nothing fused")
    print(f"peak: {peak / 1e9:.1f} GFLOP/s, measured on a product of 1024 x 1024 matrices (float32)")
    print("times in milliseconds a batch\n")
    heads = ("", "layer", "forward", "backward", "share", "GFLOP/s", "peak")
    show(heads, [row(one) for one in (*times, total)], text_columns=2)
    print(f"\n{config.batch_size / step:,.0f} images a second, without loss and optimizer")
    return 0
