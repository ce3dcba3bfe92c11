"""fastscratch: convolutional networks from scratch, every forward and backward pass written out.

Legend, used in code, docs and errors alike: N images, H W C height, width and channels of the input, F filters,
KH KW kernel, OH OW output. Activations are (N, H, W, C), filters (KH, KW, C, F), dense weights (in, out).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastscratch_kernels import set_num_threads, use_backend

from . import models, nn
from .gradcheck import check_layer, gradcheck

if TYPE_CHECKING:
    from . import config, data, interop, losses, optim, run, schedules, trained, training
    from .training import Trainer

__version__ = "0.1.0"

__all__ = [
    "Trainer",
    "check_layer",
    "config",
    "data",
    "gradcheck",
    "interop",
    "losses",
    "models",
    "nn",
    "optim",
    "run",
    "schedules",
    "set_num_threads",
    "trained",
    "training",
    "use_backend",
]

_LAZY_MODULES = ("config", "data", "interop", "losses", "optim", "run", "schedules", "trained", "training")
"""What is imported when it is first asked for, as `Trainer` is, so that the import of the package stays light."""


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name == "Trainer":
        return importlib.import_module(".training", __name__).Trainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
