"""What a network takes from training images before its first step."""

from __future__ import annotations

from fastscratch.data.dataset import ImageDataset
from fastscratch.data.normalization import Normalization
from fastscratch.nn import Module, PatchWhitening, Sequential
from fastscratch.nn.module import model_dtype

ENOUGH = 5000
"""Images from which one can tell what patches look like."""


def adapt(model: Module, train: ImageDataset, normalization: Normalization) -> None:
    """Show a model some of its training images, of every class, as it will see them, if a module inside looks at any.

    Raises
    ------
    ValueError
        If a `PatchWhitening` has seen none even so: a container shows them to its first layer alone.
    """
    if all(type(module).adapt in (Module.adapt, Sequential.adapt) for _, module in model.modules()):
        return
    some = train.subsample(min(1.0, ENOUGH / len(train)), seed=0)
    model.adapt(normalization.apply(some.images, model_dtype(model)))
    for name, layer in model.modules():
        if isinstance(layer, PatchWhitening) and not layer.is_adapted:
            raise ValueError(
                f"{layer!r} at {name!r} was shown no images, only a first layer is: put it first, or call its adapt "
                "with what it will see"
            )
