"""Cases small enough to be worked out on paper, drawn in the comments: the first link of the chain.

The naive loops and every backend have to give these numbers.
"""

import numpy as np
import pytest

import fastscratch_kernels as kernels
import oracles

INF, NAN = np.inf, np.nan

# The image that most cases look at: three rows, four columns, one channel.
#
#      1   2   3   4
#      5   6   7   8
#      9  10  11  12
IMAGE = np.arange(1, 13, dtype=np.float32).reshape(1, 3, 4, 1)


def pairs(how):
    """Return the arguments with every (height, width) written out, as the loops take them."""
    ints = {"kernel_size", "stride", "padding", "dilation", "pool_kernel_size", "pool_stride", "pool_padding"}
    return {name: (value, value) if name in ints and isinstance(value, int) else value for name, value in how.items()}


@pytest.fixture(params=["loops", *(name for name, reason in kernels.backends().items() if reason is None)])
def run(request):
    """Return a function that calls an op by name on the loops or on one backend; outputs as a tuple."""

    def call(op, *arrays, **how):
        if request.param == "loops":
            return getattr(oracles, op)(*arrays, **pairs(how))
        # A backend need not have every op; the reference, which has, stands in for it.
        backend = request.param if request.param in kernels.available(op) else "numpy"
        result = getattr(kernels, op)(*arrays, **how, backend=backend)
        return result if isinstance(result, tuple) else (result,)

    return call


def grid(array):
    """Return the rows and columns of an array of one image with one channel, as lists."""
    assert array.shape[0] == array.shape[3] == 1
    return array[0, :, :, 0].tolist()


def image(*rows):
    return np.array(rows, dtype=np.float32)[None, :, :, None]


# -- im2col and col2im -------------------------------------------------------------------------------------------------


def test_im2col_steps_over_columns(run):
    # Windows of 2 x 2, one row down, two columns to the right:
    #
    #     [1  2] [3  4]        1  2   3  4
    #     [5  6] [7  8]       [5  6] [7  8]
    #      9 10  11 12        [9 10] [11 12]
    (cols,) = run("im2col", IMAGE, (2, 2), stride=(1, 2))
    assert cols.tolist() == [[[[1, 2, 5, 6], [3, 4, 7, 8]], [[5, 6, 9, 10], [7, 8, 11, 12]]]]


def test_im2col_pads_with_zeros(run):
    # A window of one row and three columns, one column of border on both sides; the first row of windows:
    #
    #     0 [1  2  3  4] 0   ->   0 1 2 | 1 2 3 | 2 3 4 | 3 4 0
    (cols,) = run("im2col", IMAGE[:, :1], (1, 3), padding=(0, 1))
    assert cols.tolist() == [[[[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]]]]


def test_im2col_with_dilation_looks_at_every_other_pixel(run):
    # Two by two pixels, two rows and two columns apart:
    #
    #     [1]  2  [3]  4          1  [2]  3  [4]
    #      5   6   7   8          5   6   7   8
    #     [9] 10 [11] 12          9 [10] 11 [12]
    (cols,) = run("im2col", IMAGE, (2, 2), dilation=2)
    assert cols.tolist() == [[[[1, 3, 9, 11], [2, 4, 10, 12]]]]


def test_im2col_keeps_the_channels_of_a_pixel_together(run):
    # A row of two pixels with the channels (1, 10) and (2, 20); the window is both pixels.
    x = np.array([[[[1, 10], [2, 20]]]], dtype=np.float32)
    (cols,) = run("im2col", x, (1, 2))
    assert cols.tolist() == [[[[1, 10, 2, 20]]]]


def test_col2im_counts_how_many_windows_see_a_pixel(run):
    # All entries 1, windows of 2 x 2, each step one pixel: corners are seen once, edges twice, the inside four times.
    (counts,) = run("col2im", np.ones((1, 2, 3, 4), np.float32), (1, 3, 4, 1), (2, 2))
    assert grid(counts) == [[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]]


def test_col2im_puts_back_and_adds(run):
    # Two windows of one row and two columns over three pixels: [1 2] . and . [30 40] -> 1 32 40
    cols = np.array([[[[1, 2], [30, 40]]]], dtype=np.float32)
    (x,) = run("col2im", cols, (1, 1, 3, 1), (1, 2))
    assert grid(x) == [[1, 32, 40]]


def test_col2im_drops_what_lies_in_the_border_and_leaves_gaps_at_zero(run):
    # Five pixels with one column of border, windows of two columns, four columns apart:
    #
    #     border [0   1   2   3   4] border
    #     [5   6]         [7   8]              -> the 5 is in the border, pixels 1 and 2 are in no window
    cols = np.array([[[[5, 6], [7, 8]]]], dtype=np.float32)
    (x,) = run("col2im", cols, (1, 1, 5, 1), (1, 2), stride=(1, 4), padding=(0, 1))
    assert grid(x) == [[6, 0, 0, 7, 8]]


# -- conv2d ------------------------------------------------------------------------------------------------------------

# A filter of 2 x 2:
#
#      1   2
#      3   4
FILTER = np.array([1, 2, 3, 4], dtype=np.float32).reshape(2, 2, 1, 1)


def test_conv2d_does_not_flip_the_filter(run):
    # Top left: 1*1 + 2*2 + 3*5 + 4*6 = 44; each step to the right adds 10, each step down 40. Bias 0.5.
    (y,) = run("conv2d", IMAGE, FILTER, np.array([0.5], np.float32))
    assert grid(y) == [[44.5, 54.5, 64.5], [84.5, 94.5, 104.5]]


def test_conv2d_with_padding_and_stride(run):
    # Border of one, stride two: windows start at rows -1, 1 and columns -1, 1, 3.
    #
    #     [0  0][0  0][0  0]
    #     [0  1][2  3][4  0]        4*1 = 4           3*2 + 4*3 = 18                 3*4 = 12
    #     [0  5][6  7][8  0]
    #     [0  9][10 11][12 0]       2*5 + 4*9 = 46    1*6 + 2*7 + 3*10 + 4*11 = 94   1*8 + 3*12 = 44
    (y,) = run("conv2d", IMAGE, FILTER, stride=2, padding=1)
    assert grid(y) == [[4, 18, 12], [46, 94, 44]]


def test_conv2d_groups_do_not_see_each_other(run):
    # One pixel with channels 1 10 100 1000 in two groups, two filters a group, all of their weights 1 but the last:
    # filters 0 and 1 see 1 and 10, filters 2 and 3 see 100 and 1000; filter 3 weighs by 2.
    x = np.array([1, 10, 100, 1000], dtype=np.float32).reshape(1, 1, 1, 4)
    w = np.ones((1, 1, 2, 4), np.float32)
    w[..., 3] = 2
    (y,) = run("conv2d", x, w, groups=2)
    assert y.tolist() == [[[[11, 11, 1100, 2200]]]]


def test_conv2d_backward_on_paper(run):
    # x is a row of three pixels, the filter a row of two: y0 = w0 x0 + w1 x1, y1 = w0 x1 + w1 x2.
    x = np.array([1, 2, 3], dtype=np.float32).reshape(1, 1, 3, 1)
    w = np.array([10, 100], dtype=np.float32).reshape(1, 2, 1, 1)
    dy = np.array([5, 7], dtype=np.float32).reshape(1, 1, 2, 1)
    dx, dw, db = run("conv2d_backward", dy, x, w)
    assert dx.ravel().tolist() == [5 * 10, 5 * 100 + 7 * 10, 7 * 100]
    assert dw.ravel().tolist() == [5 * 1 + 7 * 2, 5 * 2 + 7 * 3]
    assert db.tolist() == [12]


# -- pooling -----------------------------------------------------------------------------------------------------------


def test_maxpool2d_ignores_left_over_rows(run):
    # 3 rows, windows of 2 x 2: the last row is in no window. Places in the window: 0 1 / 2 3.
    #
    #     [1  2] [3  4]
    #     [5  6] [7  8]   -> 6 and 8, both at place 3
    y, argmax = run("maxpool2d", IMAGE, (2, 2))
    assert grid(y) == [[6, 8]]
    assert grid(argmax) == [[3, 3]]
    assert argmax.dtype == np.uint8


def test_maxpool2d_takes_the_first_of_equal_ones(run):
    #     [0  0] [0  2]
    #     [0  0] [2  1]
    y, argmax = run("maxpool2d", image([0, 0, 0, 2], [0, 0, 2, 1]), (2, 2))
    assert grid(y) == [[0, 2]]
    assert grid(argmax) == [[0, 1]]


def test_maxpool2d_takes_negative_zero_where_it_comes_first(run):
    y, argmax = run("maxpool2d", image([-0.0, 0.0]), (1, 2))
    assert np.signbit(y).all()
    assert grid(argmax) == [[0]]


def test_maxpool2d_border_never_wins(run):
    # All negative, a border of -inf: windows of 3 x 3 two apart, the first starting in the border at row and column -1.
    #
    #     .  .  .
    #     . -4 -3        the first window holds -4 -3 / -2 -1 at places 4 5 / 7 8
    #     . -2 -1
    y, argmax = run("maxpool2d", image([-4, -3], [-2, -1]), (3, 3), stride=(2, 2), padding=(1, 1))
    assert grid(y) == [[-1]]
    assert grid(argmax) == [[8]]


def test_maxpool2d_of_minus_infinity_alone_names_a_pixel_of_the_image(run):
    # Nothing is larger than -inf: the place is the first one that is not border, 4 of the 3 x 3 window.
    y, argmax = run("maxpool2d", image([-INF, -INF], [-INF, -INF]), (3, 3), stride=(2, 2), padding=(1, 1))
    assert grid(y) == [[-INF]]
    assert grid(argmax) == [[4]]


def test_maxpool2d_nan_wins_over_infinity(run):
    #     [1 nan] [inf 2]
    y, argmax = run("maxpool2d", image([1, NAN, INF, 2]), (1, 2))
    np.testing.assert_array_equal(y.ravel(), [NAN, INF])
    assert grid(argmax) == [[1, 0]]


def test_maxpool2d_backward_sends_each_gradient_to_its_maximum(run):
    # Overlapping windows of two columns over 1 5 2: both have the 5 as their maximum, at places 1 and 0.
    x = image([1, 5, 2])
    _, argmax = run("maxpool2d", x, (1, 2), stride=(1, 1))
    assert grid(argmax) == [[1, 0]]
    (dx,) = run("maxpool2d_backward", image([10, 20]), argmax, x.shape, (1, 2), stride=(1, 1))
    assert grid(dx) == [[0, 30, 0]]


def test_maxpool2d_backward_gives_nothing_to_a_place_outside_the_window(run):
    # One window of 16 x 16, too large for a byte: place 17 is the second pixel of the second row; 256 would be the
    # first of a row that the window has not, -1 one before it, and 2**31 - 1 is what the fused block calls dead.
    places = np.array([17, 256, -1, 2**31 - 1], np.int32).reshape(1, 1, 1, 4)
    dy = np.ones((1, 1, 1, 4), np.float32)
    (dx,) = run("maxpool2d_backward", dy, places, (1, 20, 20, 4), (16, 16), stride=20)
    assert np.argwhere(dx).tolist() == [[0, 1, 1, 0]]


def test_avgpool2d_divides_by_the_window_or_by_its_part_inside(run):
    # Windows of 2 x 2, two apart, border of one: each holds one corner of  4  8
    #                                                                      12 16
    x = image([4, 8], [12, 16])
    how = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (1, 1)}
    assert grid(run("avgpool2d", x, **how)[0]) == [[1, 2], [3, 4]]
    assert grid(run("avgpool2d", x, **how, count_include_pad=False)[0]) == [[4, 8], [12, 16]]


def test_avgpool2d_backward_shares_out(run):
    # Windows of two columns over three pixels, each step one: 4 is shared as 2 2 0, 6 as 0 3 3.
    (dx,) = run("avgpool2d_backward", image([4, 6]), (1, 1, 3, 1), (1, 2), stride=(1, 1))
    assert grid(dx) == [[2, 5, 3]]


# -- the fused block ---------------------------------------------------------------------------------------------------


def test_the_fused_block_marks_what_relu_switched_off(run):
    # A filter of one pixel with weight 1 and bias -6, so ReLU lets through what is above 6:
    #
    #     1 2 3 4          0 0 0 0
    #     5 6 7 8    ->    0 0 1 2    pooled by 2 x 2:  0 (dead: no gradient), 2 at place 3
    w, b = np.ones((1, 1, 1, 1), np.float32), np.array([-6], np.float32)
    y, argmax = run("conv2d_relu_maxpool2d", IMAGE[:, :2], w, b)
    assert grid(y) == [[0, 2]]
    assert grid(argmax) == [[255, 3]]
    dx, dw, db = run("conv2d_relu_maxpool2d_backward", image([100, 10]), argmax, IMAGE[:, :2], w)
    assert grid(dx) == [[0, 0, 0, 0], [0, 0, 0, 10]]
    assert dw.ravel().tolist() == [10 * 8]
    assert db.tolist() == [10]


# -- batches of images -------------------------------------------------------------------------------------------------


def test_levels_are_looked_up_in_the_column_of_their_channel(run):
    # Channel 0 counts down from 255, channel 1 counts up in tens.
    table = np.stack([np.arange(255, -1, -1), np.arange(0, 2560, 10)], axis=1).astype(np.float32)
    levels = np.array([[0, 0], [1, 2], [255, 255]], np.uint8).reshape(1, 1, 3, 2)
    (out,) = run("look_up_levels", levels, table)
    assert out.tolist() == [[[[255, 0], [254, 20], [0, 2550]]]]


def test_a_cut_shows_what_lies_there_and_black_outside(run):
    # From row 1 and column -1 on, and the same mirrored:
    #
    #     .  5   6   7          7   6   5  .
    #     .  9  10  11         11  10   9  .
    #     .  .   .   .          .   .   .  .
    images, tops, lefts = np.concatenate([IMAGE, IMAGE]), np.array([1, 1]), np.array([-1, -1])
    (out,) = run("crop_images", images, tops, lefts, np.array([False, True]))
    assert grid(out[:1]) == [[0, 5, 6, 7], [0, 9, 10, 11], [0, 0, 0, 0]]
    assert grid(out[1:]) == [[7, 6, 5, 0], [11, 10, 9, 0], [0, 0, 0, 0]]


# -- rectified linear unit ---------------------------------------------------------------------------------------------


def test_relu_lets_positive_numbers_and_nan_through_both_ways(run):
    (y,) = run("relu", np.array([[-2.0, 0.0, 3.0], [-INF, INF, NAN]]))
    np.testing.assert_array_equal(y, [[0, 0, 3], [0, INF, NAN]])
    dy = np.array([[1.0, INF, -5.0], [NAN, -7.0, 2.0]])
    (dx,) = run("relu_backward", dy, y)
    np.testing.assert_array_equal(dx, [[0, 0, -5], [0, -7, 2]])


# -- steps of the optimizers -------------------------------------------------------------------------------------------


def test_without_decay_an_infinite_parameter_is_no_part_of_its_gradient(run):
    # m = 0.1 g and v = 0.001 g^2: with lr = 0.1 the step is lr m / sqrt(v) = 0.1 * 0.2 / sqrt(0.004), of either sign.
    value, grad, zero = np.array([INF, 1.0]), np.array([2.0, -2.0]), np.zeros(2)
    out, m, v = run("adam_step", value, grad, zero, zero, lr=0.1, eps=0.0)
    np.testing.assert_allclose(out, [INF, 1 + 0.02 / np.sqrt(0.004)], rtol=1e-6)
    np.testing.assert_allclose([*m, *v], [0.2, -0.2, 0.004, 0.004], rtol=1e-6)
