"""Bad arguments of the public ops: one line that says what was got and what is allowed. No backend is reached."""

import numpy as np
import pytest

import fastscratch_kernels as kernels
from fastscratch_kernels import _checks, shapes


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


X, W, B, C3 = zeros(2, 4, 6, 3), zeros(3, 3, 3, 8), zeros(8), zeros(3)
COLS, DY, POOLED = zeros(2, 2, 4, 27), zeros(2, 2, 4, 8), zeros(2, 2, 3, 3)
LEVELS, TOPS, MIRRORED = zeros(2, 4, 6, 3, dtype=np.uint8), zeros(2, dtype=np.intp), zeros(2, dtype=np.bool_)
ARGMAX = zeros(2, 2, 3, 3, dtype=np.uint8)
READ_ONLY = zeros(2, 2, 4, 8)
READ_ONLY.flags.writeable = False

BAD_CALLS = [
    # arrays
    ("conv2d", (X.tolist(), W), {}, TypeError, "x must be an ndarray of shape (N, H, W, C), got list"),
    ("conv2d", (X.astype(int), W), {}, TypeError, "x must be float32 or float64, got int64"),
    ("conv2d", (X.astype(np.float16), W), {}, TypeError, "x must be float32 or float64, got float16"),
    ("conv2d", (X.astype(">f4"), W), {}, TypeError, "x must be float32 or float64, got >f4"),
    ("conv2d", (X.astype(complex), W), {}, TypeError, "x must be float32 or float64, got complex128"),
    ("conv2d", (X, W.astype(np.float64)), {},
     TypeError, "w must be float32, as the other arrays are, got float64"),
    ("conv2d", (X, W, B.astype(np.float64)), {}, TypeError, "b must be float32"),
    ("conv2d", (X[0], W), {}, ValueError, "x must have the axes (N, H, W, C), got shape (4, 6, 3)"),
    ("conv2d", (X, W[0]), {}, ValueError, "w must have the axes (KH, KW, C/groups, F), got shape (3, 3, 8)"),
    ("conv2d", (X, W, zeros(7)), {}, ValueError, "b must have shape (8,), got (7,): w has 8 filters"),
    ("conv2d", (X, W[..., :0]), {}, ValueError, "w must not be empty, got shape (3, 3, 3, 0)"),
    ("conv2d", (X, W[:0]), {}, ValueError, "w must not be empty"),
    ("im2col", (None, 3), {}, TypeError, "x must be an ndarray of shape (N, H, W, C), got NoneType"),
    # windows
    ("conv2d", (X, zeros(5, 5, 3, 8)), {}, ValueError,
     "kernel (5, 5) does not fit padded input (4, 6): x (2, 4, 6, 3), padding (0, 0)"),
    ("conv2d", (X, W), {"dilation": 2},
     ValueError, "kernel (3, 3) with dilation (2, 2) does not fit padded input (4, 6)"),
    ("conv2d", (X, W), {"stride": 0}, ValueError, "stride must be at least 1, got 0"),
    ("conv2d", (X, W), {"stride": (1, -1)}, ValueError, "stride must be at least 1, got (1, -1)"),
    ("conv2d", (X, W), {"padding": -1}, ValueError, "padding must be at least 0, got -1"),
    ("conv2d", (X, W), {"dilation": 0}, ValueError, "dilation must be at least 1, got 0"),
    ("conv2d", (X, W), {"stride": 1.5},
     TypeError, "stride must be an int or a pair (height, width) of ints, got 1.5"),
    ("conv2d", (X, W), {"stride": (1, 2, 3)}, TypeError, "stride must be an int or a pair"),
    ("conv2d", (X, W), {"padding": "same"}, TypeError, "padding must be an int or a pair"),
    ("im2col", (X, 0), {}, ValueError, "kernel_size must be at least 1, got 0"),
    ("im2col", (X, None), {}, TypeError, "kernel_size must be an int or a pair"),
    ("im2col", (X, (5, 1)), {}, ValueError, "kernel (5, 1) does not fit padded input (4, 6)"),
    ("conv2d", (X, W), {"padding": 2**31 - 1},
     ValueError, " numbers with their border are too large: x (2, 4, 6, 3), padding (2147483647, 2147483647)"),
    ("maxpool2d", (X, 2**16), {"padding": 2**15},
     ValueError, "a pooling window has 2147483647 places at most, got kernel (65536, 65536)"),
    # channels and groups
    ("conv2d", (X[..., :2], W), {},
     ValueError, "takes 3 input channels (3 in each of 1 groups), but x (2, 4, 6, 2) has 2"),
    ("conv2d", (X, W), {"groups": 2},
     ValueError, "groups must divide the channels of input and output, got 2: channels 3, filters 8"),
    ("conv2d", (X, W), {"groups": 0}, ValueError, "groups must"),
    ("conv2d", (X, W), {"groups": 1.0}, TypeError, "groups must be an int, got 1.0"),
    ("conv2d", (zeros(1, 4, 4, 4), zeros(3, 3, 4, 4)), {"groups": 2},
     ValueError, "takes 8 input channels (4 in each of 2 groups)"),
    # pooling
    ("maxpool2d", (X, 5), {}, ValueError, "kernel (5, 5) does not fit padded input (4, 6)"),
    ("maxpool2d", (X, 2), {"padding": 2},
     ValueError, "padding must be at most half the kernel, got padding (2, 2), kernel (2, 2)"),
    ("maxpool2d", (X, (3, 2)), {"padding": (2, 0)}, ValueError, "padding must be at most half the kernel"),
    ("maxpool2d", (X, 2), {"stride": 0}, ValueError, "stride must be at least 1, got 0"),
    ("avgpool2d", (X, 2), {"padding": (0, 2)}, ValueError, "padding must be at most half the kernel"),
    ("avgpool2d", (X.astype(np.uint8), 2), {}, TypeError, "x must be float32 or float64, got uint8"),
    ("maxpool2d", (zeros(1, 0, 4, 2), 2), {"padding": 1},
     ValueError, "H, W and C must be at least 1, N alone may be 0: x (1, 0, 4, 2)"),
    ("avgpool2d", (zeros(1, 4, 0, 2), 2), {"padding": 1}, ValueError, "x (1, 4, 0, 2)"),
    ("maxpool2d", (X[..., :0], 2), {}, ValueError, "N alone may be 0: x (2, 4, 6, 0)"),
    ("conv2d", (zeros(1, 0, 4, 3), W), {"padding": 2}, ValueError, "x (1, 0, 4, 3)"),
    ("conv2d_relu_maxpool2d", (X, W), {"pool_kernel_size": 3},
     ValueError, "kernel (3, 3) does not fit padded input (2, 4)"),
    ("conv2d_relu_maxpool2d", (X, W), {"pool_padding": 2},
     ValueError, "padding must be at most half the kernel"),
    ("conv2d_relu_maxpool2d", (X, W), {"pool_stride": 0},
     ValueError, "pool_stride must be at least 1, got 0"),
    # gradients
    ("col2im", (COLS, (2, 4, 6), 3), {}, ValueError, "input_shape must be (N, H, W, C), got (2, 4, 6)"),
    ("col2im", (COLS, (2, 4, 6, -3), 3), {}, ValueError, "input_shape must be (N, H, W, C)"),
    ("col2im", (COLS, None, 3), {}, ValueError, "input_shape must be (N, H, W, C), got None"),
    ("col2im", (COLS, (2, 4.7, 6, 3), 3), {}, ValueError, "input_shape must be (N, H, W, C), got (2, 4.7, 6, 3)"),
    ("col2im", (COLS, (2, 4, 5, 3), 3), {},
     ValueError, "cols must have shape (2, 2, 3, 27), got (2, 2, 4, 27)"),
    ("conv2d_backward", (DY[:1], X, W), {},
     ValueError, "dy must have shape (2, 2, 4, 8), got (1, 2, 4, 8): x (2, 4, 6, 3), w (3, 3, 3, 8)"),
    ("conv2d_backward", (DY.astype(np.float64), X, W), {},
     TypeError, "dy must be float32, as the other arrays are, got float64"),
    ("maxpool2d_backward", (POOLED, ARGMAX, (2, 4, 6, 4), 2), {},
     ValueError, "dy must have shape (2, 2, 3, 4), got (2, 2, 3, 3)"),
    ("maxpool2d_backward", (POOLED, ARGMAX[:1], (2, 4, 6, 3), 2), {},
     ValueError, "argmax must have shape (2, 2, 3, 3), got (1, 2, 3, 3)"),
    ("maxpool2d_backward", (POOLED, ARGMAX.astype(int), (2, 4, 6, 3), 2), {},
     TypeError, "argmax must be uint8"),
    ("avgpool2d_backward", (POOLED, (2, 4, 6, 4), 2), {},
     ValueError, "dy must have shape (2, 2, 3, 4), got (2, 2, 3, 3)"),
    ("conv2d_relu_maxpool2d_backward", (DY, zeros(2, 1, 2, 8, dtype=np.uint8), X, W), {},
     ValueError, "dy must have shape (2, 1, 2, 8)"),
    # outputs
    ("conv2d", (X, W), {"out": zeros(2, 2, 4, 7)},
     ValueError, "out must be a writable C-contiguous array of shape (2, 2, 4, 8), got shape (2, 2, 4, 7)"),
    ("conv2d", (X, W), {"out": zeros(2, 2, 4, 8, dtype=np.float64)},
     TypeError, "out must be an ndarray of float32, got float64"),
    ("conv2d", (X, W), {"out": np.zeros(513, np.uint8)[1:].view(np.float32).reshape(2, 2, 4, 8)},
     ValueError, "writable True, aligned False"),
    ("conv2d", (X, W), {"out": [0]}, TypeError, "out must be an ndarray of float32, got list"),
    ("conv2d", (X, W), {"out": READ_ONLY}, ValueError, "writable False"),
    ("conv2d", (X, W), {"out": np.asfortranarray(READ_ONLY)}, ValueError, "C-contiguous False"),
    ("maxpool2d", (X, 2), {"argmax": zeros(2, 2, 3, 3, dtype=np.int64)},
     TypeError, "argmax must be an ndarray of uint8, got int64"),
    ("conv2d_backward", (DY, X, W), {"dw": zeros(3, 3, 3, 7)},
     ValueError, "dw must be a writable C-contiguous array of shape (3, 3, 3, 8)"),
    # batch normalization
    ("channel_moments", (X[:0],), {}, ValueError, "a mean needs at least one image, got x (0, 4, 6, 3)"),
    ("channel_moments", (X[..., :0],), {},
     ValueError, "H, W and C must be at least 1, N alone may be 0: x (2, 4, 6, 0)"),
    ("batchnorm2d", (X, C3, C3, C3, B), {}, ValueError, "bias must have shape (3,), got (8,): x (2, 4, 6, 3)"),
    ("batchnorm2d", (X, C3, C3, C3.astype(np.float64), C3), {},
     TypeError, "weight must be float32, as the other arrays are, got float64"),
    ("batchnorm2d_backward", (DY, X, C3, C3, C3, C3), {},
     ValueError, "dy must have shape (2, 4, 6, 3), got (2, 2, 4, 8): x (2, 4, 6, 3)"),
    # the training step
    ("sgd_step", (B, C3), {"lr": 1.0}, ValueError, "grad must have shape (8,), got (3,): value (8,)"),
    ("sgd_step", (B, B, C3), {"lr": 1.0}, ValueError, "velocity must have shape (8,), got (3,)"),
    ("sgd_step", (B, B), {"lr": 1.0, "out_velocity": "x"},
     TypeError, "out_velocity must be None without velocity, got str"),
    ("sgd_step", (B, B), {"lr": 1.0, "out_velocity": zeros(8)},
     TypeError, "out_velocity must be None without velocity, got ndarray"),
    ("adam_step", (B, B, B, B.astype(np.float64)), {"lr": 1.0},
     TypeError, "v must be float32, as the other arrays are, got float64"),
    ("adam_step", (B, B, B, B), {"lr": 1.0, "out_m": C3},
     ValueError, "out_m must be a writable C-contiguous array of shape (8,), got shape (3,)"),
    ("sgd_step", (B, B), {"lr": "1"}, TypeError, "lr must be a number, got '1'"),
    ("sgd_step", (B, B), {"lr": 1.0, "decay": B}, TypeError, "decay must be a number, got array("),
    ("adam_step", (B, B, B, B), {"lr": None}, TypeError, "lr must be a number, got None"),
    ("adam_step", (B, B, B, B), {"lr": 1.0, "shrink": 1j}, TypeError, "shrink must be a number, got 1j"),
    ("relu", (zeros(3, 4, dtype=np.float16),), {}, TypeError, "x must be float32 or float64, got float16"),
    ("relu", ([1.0],), {}, TypeError, "x must be an ndarray of shape (...), got list"),
    ("relu_backward", (zeros(3, 4), zeros(4, 3)), {}, ValueError, "dy must have shape (4, 3), got (3, 4): y (4, 3)"),
    ("relu_backward", (B.astype(np.float64), B), {}, TypeError,
     "dy must be float32, as the other arrays are, got float64"),
    ("log_softmax", (zeros(3, 0),), {}, ValueError, "K must be at least 1: z (3, 0)"),
    ("log_softmax", (B,), {}, ValueError, "z must have the axes (N, K), got shape (8,)"),
    ("cross_entropy_backward", (zeros(2, 3), zeros(2, 4)), {},
     ValueError, "q must have shape (2, 3), got (2, 4): log_p (2, 3)"),
    # batches of images
    ("look_up_levels", (X, zeros(256, 3)), {}, TypeError, "images must be uint8, got float32"),
    ("look_up_levels", (LEVELS, zeros(255, 3)), {},
     ValueError, "table must have shape (256, 3), got (255, 3): images (2, 4, 6, 3)"),
    ("look_up_levels", (LEVELS, LEVELS), {}, TypeError, "table must be float32 or float64, got uint8"),
    ("look_up_levels", (LEVELS[:, :0], zeros(256, 3)), {},
     ValueError, "H, W and C must be at least 1, B alone may be 0: images (2, 0, 6, 3)"),
    ("look_up_levels", (LEVELS, zeros(256, 3)), {"out": LEVELS}, TypeError, "out must be an ndarray of float32"),
    ("crop_images", (X.astype(np.int16), TOPS, TOPS, MIRRORED), {},
     TypeError, "images must be uint8, float32 or float64, got int16"),
    ("crop_images", (X[0], TOPS, TOPS, MIRRORED), {}, ValueError, "images must have the axes (B, H, W, C)"),
    ("crop_images", (X, TOPS.astype(float), TOPS, MIRRORED), {}, TypeError, "tops must be int64, got float64"),
    ("crop_images", (X, TOPS, TOPS[:1], MIRRORED), {},
     ValueError, "lefts must have shape (2,), got (1,): images (2, 4, 6, 3)"),
    ("crop_images", (X, TOPS, TOPS, TOPS), {}, TypeError, "mirrored must be bool, got int64"),
    # backends
    ("conv2d", (X, W), {"backend": "cuda"},
     ValueError, "backend must be one of auto, numpy, numba, cython, got 'cuda'"),
    ("conv2d", (X, W), {"backend": 3}, ValueError, "got 3"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "arguments", "how", "kind", "message"), BAD_CALLS)
def test_bad_arguments_get_one_clear_line(op, arguments, how, kind, message):
    with pytest.raises(kind) as error:
        getattr(kernels, op)(*arguments, **how)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_numpy_integers_and_lists_are_welcome_as_sizes():
    how = {"stride": np.int64(1), "padding": [1, 1], "groups": np.int64(1)}
    assert kernels.conv2d(X, W, **how).shape == (2, 4, 6, 8)
    assert shapes.pair("stride", np.array(2), 1) == (2, 2)


def test_numbers_that_lie_askew_are_read_from_a_copy():
    rng = np.random.default_rng(0)
    straight = rng.standard_normal(X.shape).astype(np.float32)
    askew = np.frombuffer(b"-" + straight.tobytes(), np.float32, offset=1).reshape(X.shape)
    assert not askew.flags.aligned
    np.testing.assert_array_equal(_checks.check_array("x", askew, "N H W C"), straight)
    assert _checks.check_array("x", askew, "N H W C").flags.aligned
    straight.flags.writeable = False
    assert _checks.check_array("x", straight, "N H W C") is straight


def test_nothing_is_written_when_an_argument_is_bad():
    out = np.full((2, 2, 4, 8), 7, np.float32)
    with pytest.raises(TypeError, match="b must be"):
        kernels.conv2d(X, W, B.astype(np.float64), out=out)
    assert (out == 7).all()


BUFFER = zeros(1000)
BUFFER_IMAGE = BUFFER[:144].reshape(2, 4, 6, 3)
SHARED = [
    ("conv2d", (BUFFER_IMAGE, W), {"out": BUFFER[100:228].reshape(2, 2, 4, 8)}, "out", "x"),
    ("conv2d", (X, BUFFER[:216].reshape(3, 3, 3, 8)), {"out": BUFFER[215:343].reshape(2, 2, 4, 8)}, "out", "w"),
    ("conv2d", (X, W, BUFFER[:8]), {"out": BUFFER[:128].reshape(2, 2, 4, 8)}, "out", "b"),
    ("conv2d_backward", (DY, BUFFER_IMAGE, W), {"dx": BUFFER_IMAGE}, "dx", "x"),
    ("conv2d_backward", (DY, X, W), {"dw": W}, "dw", "w"),
    ("conv2d_backward", (DY, X, W), {"dx": BUFFER_IMAGE, "db": BUFFER[140:148]}, "db", "dx"),
    ("conv2d_relu_maxpool2d", (BUFFER_IMAGE, W), {"out": BUFFER[:32].reshape(2, 1, 2, 8)}, "out", "x"),
    ("maxpool2d", (BUFFER_IMAGE, 2), {"out": BUFFER[:36].reshape(2, 2, 3, 3)}, "out", "x"),
    ("maxpool2d_backward", (BUFFER[:36].reshape(2, 2, 3, 3), ARGMAX, (2, 4, 6, 3), 2), {"dx": BUFFER_IMAGE},
     "dx", "dy"),
    ("avgpool2d", (BUFFER_IMAGE, 2), {"out": BUFFER[:36].reshape(2, 2, 3, 3)}, "out", "x"),
    ("avgpool2d_backward", (BUFFER[:36].reshape(2, 2, 3, 3), (2, 4, 6, 3), 2), {"dx": BUFFER_IMAGE}, "dx", "dy"),
    ("im2col", (BUFFER_IMAGE, 1), {"out": BUFFER_IMAGE}, "out", "x"),
    ("col2im", (BUFFER_IMAGE, (2, 4, 6, 3), 1), {"out": BUFFER_IMAGE}, "out", "cols"),
    ("crop_images", (BUFFER_IMAGE, TOPS, TOPS, MIRRORED), {"out": BUFFER_IMAGE}, "out", "images"),
    ("crop_images", (X, TOPS, TOPS, BUFFER.view(np.bool_)[100:102]), {"out": BUFFER_IMAGE}, "out", "mirrored"),
    ("conv2d_relu_maxpool2d_backward", (zeros(2, 1, 2, 8), BUFFER.view(np.uint8)[:32].reshape(2, 1, 2, 8), X, W),
     {"dw": BUFFER[:216].reshape(3, 3, 3, 8)}, "dw", "argmax"),
    ("linear_backward", (zeros(2, 4), zeros(2, 3), BUFFER[:12].reshape(3, 4)), {"dw": BUFFER[:12].reshape(3, 4)},
     "dw", "w"),
    ("linear_backward", (zeros(2, 4), zeros(2, 3), BUFFER[:12].reshape(3, 4)), {"db": BUFFER[8:12]}, "db", "w"),
    ("channel_moments", (X,), {"mean": BUFFER[:3], "var": BUFFER[2:5]}, "var", "mean"),
    ("batchnorm2d", (BUFFER_IMAGE, C3, C3, C3, C3), {"out": BUFFER_IMAGE}, "out", "x"),
    ("batchnorm2d_backward", (X, X, C3, C3, C3, BUFFER[:3]), {"dbias": BUFFER[:3]}, "dbias", "bias"),
    ("batchnorm2d_backward", (X, BUFFER_IMAGE, C3, C3, C3, C3), {"dx": BUFFER_IMAGE}, "dx", "x"),
    ("log_softmax", (BUFFER[:12].reshape(3, 4),), {"out": BUFFER[1:13].reshape(3, 4)}, "out", "z"),
    ("cross_entropy_backward", (zeros(3, 4), BUFFER[:12].reshape(3, 4)), {"dz": BUFFER[:12].reshape(3, 4)}, "dz", "q"),
    ("relu", (BUFFER[:12].reshape(3, 4),), {"out": BUFFER[1:13].reshape(3, 4)}, "out", "x"),
    ("relu_backward", (zeros(3, 4), BUFFER[:12].reshape(3, 4)), {"dx": BUFFER[:12].reshape(3, 4)}, "dx", "y"),
    ("relu_backward", (BUFFER[:12].reshape(3, 4), zeros(3, 4)), {"dx": BUFFER[1:13].reshape(3, 4)}, "dx", "dy"),
    ("sgd_step", (B, BUFFER[:8]), {"lr": 0.1, "out": BUFFER[:8]}, "out", "grad"),
    ("sgd_step", (BUFFER[:8], B), {"lr": 0.1, "out": BUFFER[1:9]}, "out", "value"),
    ("sgd_step", (BUFFER[:8], B, zeros(8)), {"lr": 0.1, "out_velocity": BUFFER[:8]}, "out_velocity", "value"),
    ("adam_step", (B, B, zeros(8), BUFFER[:8]), {"lr": 0.1, "out_m": BUFFER[:8]}, "out_m", "v"),
    ("adam_step", (B, B, zeros(8), zeros(8)), {"lr": 0.1, "out_m": BUFFER[:8], "out_v": BUFFER[7:15]},
     "out_v", "out_m"),
]


@pytest.mark.parametrize(("op", "arguments", "outs", "out", "other"), SHARED)
def test_what_is_filled_may_not_be_what_is_read(op, arguments, outs, out, other):
    """Kernels would read what they have just written, each backend in another order."""
    with pytest.raises(ValueError, match=f"^{out} must not share memory with {other}, which is in use while {out} is"):
        getattr(kernels, op)(*arguments, **outs)


def test_neighbors_in_one_buffer_and_copies_are_no_overlap():
    out = BUFFER[144:272].reshape(2, 2, 4, 8)
    assert kernels.conv2d(BUFFER_IMAGE, W, out=out) is out
    view = BUFFER[:288].reshape(2, 4, 12, 3)[:, :, ::2]  # read from a copy, so that filling its memory does no harm
    assert kernels.im2col(view, 1, out=BUFFER_IMAGE) is BUFFER_IMAGE
