"""Normalization against NumPy in float64 on the whole array."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fastscratch_kernels as kernels
from fastscratch.data.normalization import Normalization


@pytest.mark.parametrize("shape", [(600, 5, 7, 3), (1, 4, 4, 1), (257, 3, 2, 4)], ids=str)
def test_statistics_are_those_of_the_whole_array(shape, rng):
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    normalization = Normalization.from_images(images)
    np.testing.assert_allclose(normalization.mean, (images / 255).mean(axis=(0, 1, 2)), rtol=1e-13)
    np.testing.assert_allclose(normalization.std, (images / 255).std(axis=(0, 1, 2)), rtol=1e-12)
    assert normalization.mean.dtype == normalization.std.dtype == np.float64


def test_statistics_do_not_depend_on_the_order_of_the_images(rng):
    images = rng.integers(0, 256, (900, 4, 4, 3), dtype=np.uint8)
    assert Normalization.from_images(images) == Normalization.from_images(images[rng.permutation(900)])


def test_a_constant_channel_becomes_zero(rng):
    images = rng.integers(0, 256, (20, 4, 4, 2), dtype=np.uint8)
    images[..., 1] = 77
    normalization = Normalization.from_images(images)
    assert normalization.std[1] == 1
    out = normalization.apply(images)
    np.testing.assert_allclose(out[..., 1], 0, atol=1e-7)
    assert out[..., 0].std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_apply_follows_the_formula(dtype, tolerance, rng):
    images = rng.integers(0, 256, (6, 9, 5, 3), dtype=np.uint8)
    normalization = Normalization([0.49, 0.48, 0.45], [0.25, 0.24, 0.3])
    out = normalization.apply(images, dtype)
    assert out.dtype == dtype
    assert out.flags.c_contiguous
    np.testing.assert_allclose(out, (images / 255 - [0.49, 0.48, 0.45]) / [0.25, 0.24, 0.3], atol=tolerance)


@pytest.mark.parametrize("backend", kernels.available("look_up_levels"))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_apply_gives_the_bits_of_a_product_and_a_sum(dtype, backend, rng):
    images = rng.integers(0, 256, (9, 11, 13, 3), dtype=np.uint8)
    normalization = Normalization([0.49, 0.48, 0.45], [0.25, 0.24, 0.3])
    scale = (1 / (255 * normalization.std)).astype(dtype)
    shift = (-normalization.mean / normalization.std).astype(dtype)
    with kernels.use_backend(backend):
        for _ in range(2):  # the second time from a table that is there
            out = normalization.apply(images, dtype)
            assert out.tobytes() == (images.astype(dtype) * scale + shift).tobytes()


def test_apply_takes_any_memory_layout_and_changes_nothing(rng):
    images = rng.integers(0, 256, (6, 3, 9, 5), dtype=np.uint8)
    images.flags.writeable = False
    channels_last = images.transpose(0, 2, 3, 1)
    normalization = Normalization.from_images(channels_last)
    out = normalization.apply(channels_last)
    np.testing.assert_array_equal(out, normalization.apply(np.ascontiguousarray(channels_last)))
    assert out.flags.c_contiguous
    assert normalization.apply(channels_last[:0]).shape == (0, 9, 5, 3)


def test_normalized_images_have_mean_zero_and_deviation_one(rng):
    images = rng.integers(30, 90, (50, 8, 8, 3), dtype=np.uint8)
    out = Normalization.from_images(images).apply(images, np.float64)
    np.testing.assert_allclose(out.mean(axis=(0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=(0, 1, 2)), 1, atol=1e-12)


def test_state_survives_json_to_the_last_bit(rng):
    normalization = Normalization.from_images(rng.integers(0, 256, (7, 3, 3, 3), dtype=np.uint8))
    restored = Normalization.from_state(json.loads(json.dumps(normalization.state())))
    assert restored == normalization
    assert hash(restored) == hash(normalization)
    assert restored != Normalization(normalization.mean, normalization.std + 1e-15)
    assert normalization != "another thing"


def test_parameters_are_copies_and_read_only():
    mean = np.array([0.5])
    normalization = Normalization(mean, [1.0])
    mean[0] = 9
    assert normalization.mean.tolist() == [0.5]
    with pytest.raises(ValueError, match="read-only"):
        normalization.std[0] = 0


IMAGES = np.zeros((2, 4, 4, 3), np.uint8)

BAD = [
    (lambda: Normalization([0.5], [0]), ValueError, "std must be > 0, got [0.0]"),
    (lambda: Normalization([0.5], [-1]), ValueError, "std must be > 0"),
    (lambda: Normalization([np.nan], [1]), ValueError, "mean must be finite"),
    (lambda: Normalization([0.5, 0.5], [1]), ValueError, "mean (2,) and std (1,)"),
    (lambda: Normalization(0.5, 1), ValueError, "mean must have shape (C,)"),
    (lambda: Normalization([], []), ValueError, "mean must have shape (C,)"),
    (lambda: Normalization.from_images(IMAGES[:0]), ValueError, "empty batch"),
    (lambda: Normalization.from_images(IMAGES / 255), TypeError, "must be uint8 with levels 0 to 255, got float64"),
    (lambda: Normalization.from_images(IMAGES[0]), ValueError, "got shape (4, 4, 3)"),
    (lambda: Normalization([0.5], [1]).apply(IMAGES), ValueError, "images of 3 channels do not fit"),
    (
        lambda: Normalization([0, 0, 0], [1, 1, 1]).apply(IMAGES, np.float16),
        TypeError,
        "float32 or float64, got float16",
    ),
    (lambda: Normalization([0, 0, 0], [1, 1, 1]).apply(IMAGES.astype(np.int32)), TypeError, "got int32"),
    (lambda: Normalization.from_state({"mean": [0.5]}), ValueError, "keys mean and std, got ['mean']"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input_is_refused_in_one_clear_sentence(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
