"""The two layers that behave differently in training and in evaluation."""

import numpy as np
import pytest

from fastscratch import nn
from layer_cases import normal

# -- batch norm --------------------------------------------------------------------------------------------------------


def test_batchnorm_on_paper():
    # One channel with the four values 1 3 5 7: mean 4, biased variance (9 + 1 + 1 + 9) / 4 = 5, unbiased 20 / 3.
    layer = nn.BatchNorm2d(1, eps=1e-12, momentum=0.1).astype(np.float64)
    layer.weight.value[...] = 10
    layer.bias.value[...] = 100
    y = layer(np.array([1.0, 3, 5, 7]).reshape(1, 2, 2, 1))
    np.testing.assert_allclose(y.ravel(), 100 + 10 * np.array([-3, -1, 1, 3]) / np.sqrt(5))
    np.testing.assert_allclose(layer.running_mean, 0.1 * 4)
    np.testing.assert_allclose(layer.running_var, 0.9 * 1 + 0.1 * 20 / 3)
    assert layer.num_batches_tracked == 1


def test_batchnorm_normalizes_each_channel():
    x = normal(6, 5, 4, 3) * np.array([1, 10, 0.1], np.float32) + np.array([0, 5, -7], np.float32)
    y = nn.BatchNorm2d(3)(x)
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), 1, rtol=1e-3)


def test_batchnorm_of_a_constant_channel_is_the_shift():
    layer = nn.BatchNorm2d(2)
    layer.bias.value[...] = [3, -4]
    y = layer(np.full((2, 3, 3, 2), 9, np.float32))
    np.testing.assert_allclose(y, np.broadcast_to(np.float32([3, -4]), y.shape), atol=1e-3)
    assert np.isfinite(layer.backward(np.ones_like(y))).all()


def test_batchnorm_in_evaluation_uses_and_keeps_the_running_statistics():
    layer = nn.BatchNorm2d(2).eval()
    layer.running_mean[...] = [1, 2]
    layer.running_var[...] = [4, 9]
    x = normal(1, 1, 1, 2)  # one value a channel is enough here
    np.testing.assert_allclose(layer(x), (x - [1, 2]) / [2, 3], rtol=1e-5)
    assert layer.running_mean.tolist() == [1, 2]
    assert layer.num_batches_tracked == 0
    dy = normal(1, 1, 1, 2)
    np.testing.assert_allclose(layer.backward(dy), dy / [2, 3], rtol=1e-5)


def test_batchnorm_goes_back_in_the_mode_it_went_forth():
    layer, x = nn.BatchNorm2d(2), normal(3, 2, 2, 2)
    dy = normal(3, 2, 2, 2)[::-1].copy()
    layer(x)
    wanted = layer.backward(dy)
    layer(x)
    layer.eval()
    np.testing.assert_array_equal(layer.backward(dy), wanted)


def test_batchnorm_backward_removes_what_a_shift_or_scale_of_the_input_would_undo():
    """The output does not change when all of a channel is shifted or scaled, so the gradient has no part along them."""
    layer = nn.BatchNorm2d(3, eps=1e-12).astype(np.float64)
    x = normal(4, 3, 2, 3, dtype="float64")
    layer(x)
    dx = layer.backward(normal(4, 3, 2, 3, dtype="float64") ** 3)
    np.testing.assert_allclose(dx.sum(axis=(0, 1, 2)), 0, atol=1e-10)
    np.testing.assert_allclose((dx * (x - x.mean(axis=(0, 1, 2)))).sum(axis=(0, 1, 2)), 0, atol=1e-8)


def test_batchnorm_tracks_in_no_grad_too():
    """As in PyTorch: it is the mode that decides, not whether gradients are wanted."""
    layer = nn.BatchNorm2d(2)
    with nn.no_grad():
        layer(normal(3, 2, 2, 2))
    assert layer.num_batches_tracked == 1
    assert layer.running_mean.any()


# -- dropout -----------------------------------------------------------------------------------------------------------


def test_dropout_sets_to_zero_and_scales_the_rest():
    x = normal(50, 40)
    y = nn.Dropout(0.25, seed=0)(x)
    kept = y != 0
    assert abs(kept.mean() - 0.75) < 0.03
    np.testing.assert_allclose(y[kept], x[kept] / 0.75, rtol=1e-6)


def test_dropout_sends_the_gradient_through_what_it_kept():
    layer = nn.Dropout(0.5, seed=0)
    x = np.ones((30, 30), np.float32)
    y = layer(x)
    dy = normal(30, 30)
    np.testing.assert_array_equal(layer.backward(dy), dy * y)


def test_dropout_draws_a_new_mask_each_time_and_every_number_for_itself():
    layer = nn.Dropout(0.5, seed=0)
    x = np.ones((8, 6, 6, 4), np.float32)
    first, second = layer(x), layer(x)
    assert not np.array_equal(first, second)
    for axis in range(4):
        assert np.unique(first, axis=axis).shape[axis] > 1


def test_dropout_in_evaluation_passes_everything_and_draws_nothing():
    layer = nn.Dropout(0.9, seed=0).eval()
    before = layer.generator.bit_generator.state
    x = normal(4, 5)
    assert layer(x) is x
    dy = normal(4, 5)
    assert layer.backward(dy) is dy
    assert layer.generator.bit_generator.state == before


def test_dropout_of_nothing_passes_everything():
    x = normal(4, 5)
    assert nn.Dropout(0.0)(x) is x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_keeps_the_dtype_and_draws_the_same_mask_for_both(dtype):
    y = nn.Dropout(0.5, seed=2)(np.ones((9, 9), dtype))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, nn.Dropout(0.5, seed=2)(np.ones((9, 9), np.float32)))


def test_dropout_takes_a_generator_of_its_own():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(20, 20), nn.Dropout(0.5), seed=0)
    first, second = model.generators().values()
    assert first is not second
    x = np.ones((4, 20), np.float32)
    assert not np.array_equal(model[0](x), model[2](x)), "two layers draw other masks"
    other = nn.Sequential(nn.Dropout(0.5), nn.Linear(20, 20), nn.Dropout(0.5), seed=1)
    assert not np.array_equal(other[0](x), nn.Sequential(nn.Dropout(0.5), seed=0)[0](x))


def test_dropout_is_seeded_once():
    """Whoever asks a drawn model for its parameters must not set its masks back."""
    model = nn.Sequential(nn.Linear(20, 20), nn.Dropout(0.5), seed=3)
    generator = model[1].generator
    model.parameters()
    model.initialize(4)
    model(np.ones((4, 20), np.float32))
    assert model[1].generator is generator


def test_dropout_does_not_move_the_weights_that_are_drawn_after_it():
    with_dropout = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2), seed=0)
    without = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), seed=0)
    np.testing.assert_array_equal(with_dropout[2].weight.value, without[1].weight.value)


def test_dropout_with_a_seed_keeps_it_inside_a_container():
    x = np.ones((4, 20), np.float32)
    model = nn.Sequential(nn.Dropout(0.5, seed=7), seed=0)
    np.testing.assert_array_equal(model(x), nn.Dropout(0.5, seed=7)(x))
    generator = np.random.default_rng(3)
    assert nn.Dropout(0.5, seed=generator).generator is generator


def test_dropout_goes_on_from_a_generators_state():
    """What a checkpoint keeps."""
    layer, x = nn.Dropout(0.5, seed=0), np.ones((4, 20), np.float32)
    layer(x)
    state = layer.generator.bit_generator.state
    wanted = layer(x)
    other = nn.Dropout(0.5, seed=9)
    other.generator.bit_generator.state = state
    np.testing.assert_array_equal(other(x), wanted)
