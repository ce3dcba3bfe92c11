"""The table that `Module.summary` returns."""

from __future__ import annotations

from .checks import check_shape
from .container import Residual, Sequential
from .module import Module
from .parameter import Shape

Row = tuple[str, str, Shape, int, int]
"""Name, what it is, output shape, parameters, FLOPs."""


def _rows(module: Module, input_shape: Shape, name: str) -> list[Row]:
    def inside(child: str) -> str:
        return f"{name}.{child}" if name else child

    if isinstance(module, Sequential):
        rows = []
        for child, layer in module.children():
            rows += _rows(layer, input_shape, inside(child))
            input_shape = layer.output_shape(input_shape)
        return rows
    if isinstance(module, Residual):
        rows = []
        for child, layer in module.children():
            rows += _rows(layer, input_shape, inside(child))
        own = module.flops(input_shape) - sum(row[4] for row in rows)
        return [*rows, (name, "Residual (sum)", module.output_shape(input_shape), 0, own)]
    size = sum(parameter.size for _, parameter in module.named_parameters())
    return [(name, repr(module), module.output_shape(input_shape), size, module.flops(input_shape))]


def summary(module: Module, input_shape: Shape) -> str:
    """Return one line a layer with its output shape, parameters and FLOPs of one image's forward pass.

    Parameters
    ----------
    module : Module
        A model or a layer.
    input_shape : tuple of int
        Of one image, without N.

    Returns
    -------
    str

    Raises
    ------
    TypeError, ValueError
        If `input_shape` is no shape, or the module does not take it.
    """
    shape = check_shape(input_shape)
    module.output_shape(shape)  # refuses what a container as a whole does not take
    rows = _rows(module, shape, "")
    sizes = [parameter.size for _, parameter in module.named_parameters()]
    cells = [("", "layer", "output", "parameters", "MFLOP")]
    cells.append(("", "input", _shape(shape), "", ""))
    cells += [(name, what, _shape(out), f"{size:,}", f"{flops / 1e6:,.3f}") for name, what, out, size, flops in rows]
    cells.append(("", "total", f"{len(sizes)} arrays", f"{sum(sizes):,}", f"{sum(row[4] for row in rows) / 1e6:,.3f}"))
    widths = [max(len(row[i]) for row in cells) for i in range(5)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), *(row[i].rjust(widths[i]) for i in (2, 3, 4))])
        for row in cells
    ]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _shape(shape: Shape) -> str:
    return " x ".join(map(str, shape))
