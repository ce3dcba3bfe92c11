"""What to say when a loss is not a finite number: where in the network it began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastscratch import nn
from fastscratch.training.evaluation import mode

if TYPE_CHECKING:
    from numpy.typing import NDArray


class NonFiniteLossError(ValueError):
    """The loss or a weight became infinite or NaN; training has stopped before the next step."""


def find_origin(model: nn.Module, images: NDArray[Any]) -> str:
    """Say in a few words where numbers stop being finite.

    Parameters
    ----------
    model : Module
        Its layers are run one by one, in eval mode; it is not changed.
    images : ndarray of shape (B, H, W, C)
        The batch at fault, normalized.

    Returns
    -------
    str
        The first thing found not finite, going forward: the batch itself, or the output of a layer, given by name
        and class, with the names of its parameters that are not finite; or that there is no such layer.

    Notes
    -----
    Eval mode draws no random numbers and moves no running statistics, but batch norm then uses other statistics
    than in training. A layer that is not finite only with the statistics of its batch is not found.
    """
    if not np.isfinite(images).all():
        return "the batch of images is not finite"
    with mode(model, training=False), nn.no_grad(), np.errstate(all="ignore"):
        culprit, _ = _first_layer(model, "", images)
    return culprit or "the outputs of all layers are finite in eval mode, the loss alone is not"


def _first_layer(module: nn.Module, name: str, x: NDArray[Any]) -> tuple[str | None, NDArray[Any]]:
    """Run `module` on `x`; return its first part with an output that is not finite, in words, and the output."""
    if isinstance(module, nn.Sequential):
        for index, layer in enumerate(module.layers):
            culprit, x = _first_layer(layer, f"{name}.{index}" if name else str(index), x)
            if culprit is not None:
                return culprit, x
        return None, x
    y = module.forward(x)
    if np.isfinite(y).all():
        return None, y
    bad = _bad_parameters(module, name)
    where = f"layer {name} ({type(module).__name__})" if name else type(module).__name__
    return f"the first output that is not finite is that of {where}" + (f", whose {bad} not finite" if bad else ""), y


def _bad_parameters(module: nn.Module, prefix: str) -> str:
    """Return "0.weight is" or "0.weight, 0.bias are" for the parameters that are not finite; "" if none is."""
    bad = [name for name, parameter in module.named_parameters() if not np.isfinite(parameter.value).all()]
    names = [f"{prefix}.{name}" if prefix else name for name in bad]
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}" if names else ""
