"""How far results may lie apart, by op and dtype: |got - wanted| <= atol + rtol |wanted|.

Where the inputs are small whole numbers nothing may differ at all (`EXACT`): those tests find wrong indices, these
only allow for the order of additions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Tolerance(NamedTuple):
    rtol: float
    atol: float


EXACT = Tolerance(0, 0)

KERNELS = {
    ("im2col", "float32"): EXACT,
    ("im2col", "float64"): EXACT,
    ("col2im", "float32"): Tolerance(1e-6, 1e-6),
    ("col2im", "float64"): Tolerance(1e-14, 1e-14),
    ("conv2d", "float32"): Tolerance(1e-5, 1e-5),
    ("conv2d", "float64"): Tolerance(1e-13, 1e-13),
    ("conv2d_backward", "float32"): Tolerance(1e-5, 2e-5),
    ("conv2d_backward", "float64"): Tolerance(1e-13, 5e-14),
    ("maxpool2d", "float32"): EXACT,
    ("maxpool2d", "float64"): EXACT,
    ("maxpool2d_backward", "float32"): Tolerance(1e-6, 1e-6),
    ("maxpool2d_backward", "float64"): Tolerance(1e-14, 1e-14),
    ("avgpool2d", "float32"): Tolerance(1e-6, 1e-6),
    ("avgpool2d", "float64"): Tolerance(1e-14, 1e-14),
    ("avgpool2d_backward", "float32"): Tolerance(1e-6, 1e-6),
    ("avgpool2d_backward", "float64"): Tolerance(1e-14, 1e-14),
    ("conv2d_relu_maxpool2d", "float32"): Tolerance(1e-5, 1e-5),
    ("conv2d_relu_maxpool2d", "float64"): Tolerance(1e-13, 1e-13),
    ("conv2d_relu_maxpool2d_backward", "float32"): Tolerance(1e-5, 2e-5),
    ("conv2d_relu_maxpool2d_backward", "float64"): Tolerance(1e-13, 5e-14),
    ("channel_moments", "float32"): Tolerance(1e-6, 1e-6),
    ("channel_moments", "float64"): Tolerance(1e-14, 1e-14),
    ("batchnorm2d", "float32"): Tolerance(1e-6, 1e-5),
    ("batchnorm2d", "float64"): Tolerance(1e-14, 1e-13),
    ("batchnorm2d_backward", "float32"): Tolerance(1e-5, 2e-5),
    ("batchnorm2d_backward", "float64"): Tolerance(1e-13, 1e-13),
    ("relu", "float32"): EXACT,
    ("relu", "float64"): EXACT,
    ("relu_backward", "float32"): EXACT,
    ("relu_backward", "float64"): EXACT,
    ("sgd_step", "float32"): Tolerance(1e-6, 1e-6),
    ("sgd_step", "float64"): Tolerance(1e-14, 1e-14),
    ("adam_step", "float32"): Tolerance(1e-5, 1e-6),
    ("adam_step", "float64"): Tolerance(1e-13, 1e-14),
    ("log_softmax", "float32"): Tolerance(1e-6, 1e-6),
    ("log_softmax", "float64"): Tolerance(1e-14, 1e-13),
    ("cross_entropy_backward", "float32"): Tolerance(1e-6, 1e-6),
    ("cross_entropy_backward", "float64"): Tolerance(1e-14, 1e-14),
    ("look_up_levels", "float32"): EXACT,
    ("look_up_levels", "float64"): EXACT,
    ("crop_images", "float32"): EXACT,
    ("crop_images", "float64"): EXACT,
}
"""(op, dtype) -> a backend against the naive loops."""


def assert_close(got: np.ndarray, wanted: np.ndarray, tolerance: Tolerance, what: str) -> None:
    """Fail unless both have one shape and dtype, NaN and infinities at the same places, and are within `tolerance`."""
    assert got.dtype == wanted.dtype, f"{what}: dtype {got.dtype}, wanted {wanted.dtype}"
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, wanted {wanted.shape}"
    np.testing.assert_allclose(got, wanted, *tolerance, err_msg=what)

LAYERS = {
    ("Conv2d", "float32"): Tolerance(1e-5, 2e-5),
    ("Conv2d", "float64"): Tolerance(1e-12, 1e-13),
    ("MaxPool2d", "float32"): Tolerance(1e-6, 1e-6),
    ("MaxPool2d", "float64"): Tolerance(1e-14, 1e-14),
    ("AvgPool2d", "float32"): Tolerance(1e-6, 1e-6),
    ("AvgPool2d", "float64"): Tolerance(1e-14, 1e-14),
    ("GlobalAvgPool2d", "float32"): Tolerance(1e-6, 1e-6),
    ("GlobalAvgPool2d", "float64"): Tolerance(1e-14, 1e-14),
    ("Linear", "float32"): Tolerance(1e-5, 1e-5),
    ("Linear", "float64"): Tolerance(1e-13, 1e-13),
    ("ReLU", "float32"): EXACT,
    ("ReLU", "float64"): EXACT,
    ("BatchNorm2d", "float32"): Tolerance(1e-5, 1e-5),
    ("BatchNorm2d", "float64"): Tolerance(1e-12, 1e-12),
    ("PatchWhitening", "float32"): Tolerance(1e-5, 1e-5),
    ("PatchWhitening", "float64"): Tolerance(1e-13, 1e-13),
    ("Multiply", "float32"): EXACT,
    ("Multiply", "float64"): EXACT,
    ("Flatten", "float32"): EXACT,
    ("Flatten", "float64"): EXACT,
    ("Mirrored", "float32"): Tolerance(1e-5, 2e-5),
    ("Mirrored", "float64"): Tolerance(1e-12, 1e-13),
    ("Residual", "float32"): Tolerance(1e-5, 1e-5),
    ("Residual", "float64"): Tolerance(1e-12, 1e-12),
    ("Sequential", "float32"): Tolerance(1e-5, 2e-5),
    ("Sequential", "float64"): Tolerance(1e-12, 1e-13),
}
"""(layer, dtype) -> output, input gradient and parameter gradients against PyTorch's."""
