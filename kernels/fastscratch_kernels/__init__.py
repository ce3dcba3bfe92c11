"""The hot loops of fastscratch, each op written once for every backend, side by side.

Below every public op lies one raw function a backend, in the module ``<op>_<backend>``: it fills its caller's arrays
and checks nothing. The public ops here check once for all backends, allocate, and dispatch:

    fastscratch_kernels.conv2d(x, w, b, padding=1)
        ops_conv2d.py        checks shapes and dtypes
        checked.py           makes `out`
        _registry.py         takes the backend in force
        conv2d_numpy.py      fills `out`

README.md in this folder has the table op x backend and the way to add a kernel.
"""

from ._algorithms import algorithms, selected_precision, use_precision
from ._cache import numba_cache
from ._isa import built_by, isa
from ._memory import reuse_memory
from ._registry import (
    BackendUnavailableError,
    active_backend,
    available,
    backends,
    kernel,
    selected_backend,
    use_backend,
)
from ._threads import available_cores, get_num_threads, set_from_environment, set_num_threads
from .ops_conv2d import (
    conv2d,
    conv2d_backward,
    conv2d_relu_maxpool2d,
    conv2d_relu_maxpool2d_backward,
)
from .ops_im2col import col2im, im2col
from .ops_images import crop_images, look_up_levels
from .ops_linear import linear, linear_backward
from .ops_norm import batchnorm2d, batchnorm2d_backward, channel_moments
from .ops_pool2d import avgpool2d, avgpool2d_backward, maxpool2d, maxpool2d_backward
from .ops_relu import relu, relu_backward
from .ops_training import adam_step, cross_entropy_backward, log_softmax, sgd_step

__all__ = [
    "BackendUnavailableError",
    "active_backend",
    "adam_step",
    "algorithms",
    "available",
    "available_cores",
    "avgpool2d",
    "avgpool2d_backward",
    "backends",
    "batchnorm2d",
    "batchnorm2d_backward",
    "built_by",
    "channel_moments",
    "col2im",
    "conv2d",
    "conv2d_backward",
    "conv2d_relu_maxpool2d",
    "conv2d_relu_maxpool2d_backward",
    "crop_images",
    "cross_entropy_backward",
    "get_num_threads",
    "im2col",
    "isa",
    "kernel",
    "linear",
    "linear_backward",
    "log_softmax",
    "look_up_levels",
    "maxpool2d",
    "maxpool2d_backward",
    "numba_cache",
    "relu",
    "relu_backward",
    "reuse_memory",
    "selected_backend",
    "selected_precision",
    "set_num_threads",
    "sgd_step",
    "use_backend",
    "use_precision",
]

set_from_environment()
