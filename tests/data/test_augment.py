"""The transforms against written-out expectations; test_augment_torch.py holds them to torchvision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastscratch.data import augment
from fastscratch.data.augment import (
    AUGMENTATIONS,
    Compose,
    Cutout,
    GaussianBlur,
    HorizontalFlip,
    PadCrop,
    Rotation,
    VerticalFlip,
)

SHAPES = [(5, 16, 16, 3), (3, 9, 14, 1), (1, 13, 8, 3), (2, 11, 11, 4)]
DTYPES = [np.uint8, np.float32, np.float64]
ALL_TRANSFORMS = {**AUGMENTATIONS, "wide-blur": lambda: GaussianBlur(5, (0.5, 2.0)), "flips": lambda: HorizontalFlip(1)}


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.uint8) -> Any:
    return rng.integers(0, 256, shape).astype(dtype)


# --- every transform -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ALL_TRANSFORMS)
def test_returns_a_new_array_of_the_same_kind_and_leaves_the_input(name, shape, dtype, rng):
    images = draw(rng, shape, dtype)
    before = images.copy()
    images.flags.writeable = False
    out = ALL_TRANSFORMS[name]()(images, rng)
    assert out.shape == shape
    assert out.dtype == dtype
    assert out.flags.c_contiguous
    assert out.flags.writeable
    assert not np.shares_memory(out, images)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("name", ALL_TRANSFORMS)
def test_memory_layout_of_the_input_does_not_matter(name, rng):
    images = draw(rng, (4, 12, 10, 3))
    expected = ALL_TRANSFORMS[name]()(images, np.random.default_rng(1))
    channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    every_other = np.repeat(np.repeat(images, 2, axis=0), 2, axis=2)[::2, :, ::2]
    mirrored = images[:, ::-1].copy()[:, ::-1]
    for layout in (channels_first, every_other, mirrored, np.asfortranarray(images)):
        assert not layout.flags.c_contiguous
        out = ALL_TRANSFORMS[name]()(layout, np.random.default_rng(1))
        np.testing.assert_array_equal(out, expected)
        assert out.flags.c_contiguous


@pytest.mark.parametrize("name", ALL_TRANSFORMS)
def test_equal_generators_give_equal_images(name, rng):
    images = draw(rng, (20, 10, 10, 3))
    transform = ALL_TRANSFORMS[name]()
    first = transform(images, np.random.default_rng(3))
    np.testing.assert_array_equal(first, transform(images, np.random.default_rng(3)))
    if name not in ("none", "flips", "blur"):
        assert not np.array_equal(first, transform(images, np.random.default_rng(4)))


@pytest.mark.parametrize("name", ALL_TRANSFORMS)
def test_what_is_drawn_depends_on_the_number_of_images_alone(name, rng):
    states = []
    for images in (draw(rng, (6, 10, 10, 3)), np.zeros((6, 14, 9, 1), np.float64)):
        generator = np.random.default_rng(5)
        ALL_TRANSFORMS[name]()(images, generator)
        states.append(generator.bit_generator.state)
    assert states[0] == states[1]


@pytest.mark.parametrize("name", ALL_TRANSFORMS)
def test_levels_are_the_rounded_result_on_floats(name, rng):
    images = draw(rng, (8, 12, 15, 3))
    transform = ALL_TRANSFORMS[name]()
    if name == "report":  # rounds after each of its parts
        assert isinstance(transform, Compose)
        parts = list(transform.transforms)
    else:
        parts = [transform]
    for part in parts:
        on_levels = part(images, np.random.default_rng(9))
        on_floats = part(images.astype(np.float32), np.random.default_rng(9))
        np.testing.assert_array_equal(on_levels, np.rint(on_floats))


@pytest.mark.parametrize("name", ALL_TRANSFORMS)
def test_an_empty_batch_stays_empty(name, rng):
    assert ALL_TRANSFORMS[name]()(np.zeros((0, 10, 10, 3), np.uint8), rng).shape == (0, 10, 10, 3)


# --- flips -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("flip", "axis"), [(augment.horizontal_flip, 2), (augment.vertical_flip, 1)])
def test_flip_mirrors_the_selected_images_only(flip, axis, rng):
    images = draw(rng, (4, 5, 6, 3))
    out = flip(images, [True, False, False, True])
    np.testing.assert_array_equal(out[[1, 2]], images[[1, 2]])
    np.testing.assert_array_equal(out[[0, 3]], np.flip(images, axis)[[0, 3]])


@pytest.mark.parametrize(("transform", "axis"), [(HorizontalFlip, 2), (VerticalFlip, 1)])
def test_flip_probability(transform, axis, rng):
    images = draw(rng, (4000, 2, 3, 1))
    mirrored = np.flip(images, axis)
    np.testing.assert_array_equal(transform(0)(images, rng), images)
    np.testing.assert_array_equal(transform(1)(images, rng), mirrored)
    asymmetric = (images != mirrored).any(axis=(1, 2, 3))
    changed = (transform(0.25)(images, rng) != images).any(axis=(1, 2, 3))
    assert abs(changed[asymmetric].mean() - 0.25) < 0.03


# --- rotation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rotation_by_right_angles_is_counter_clockwise(size, dtype, rng):
    images = draw(rng, (5, size, size, 2), dtype)
    out = augment.rotate(images, [0, 90, 180, -90, 360])
    expected = np.stack([np.rot90(image, turns) for image, turns in zip(images, [0, 1, 2, -1, 0], strict=True)])
    np.testing.assert_allclose(out, expected, atol=0 if dtype == np.uint8 else 1e-3)


def test_half_a_turn_of_a_rectangle(rng):
    images = draw(rng, (2, 6, 9, 3))
    np.testing.assert_array_equal(augment.rotate(images, [180, -180]), images[:, ::-1, ::-1])


def test_rotation_by_45_degrees_drawn_by_hand():
    images = np.zeros((1, 3, 3, 1), np.float64)
    images[0, 1, 1] = images[0, 1, 2] = 1  # the center and its right neighbor
    out = augment.rotate(images, [45])[0, :, :, 0]
    half = np.sqrt(0.5)
    # Upper right reads at (sqrt 2, 0): between the right neighbor (x = 1) and black (x = 2).
    assert out[0, 2] == pytest.approx(2 - np.sqrt(2))
    # Right reads at (h, h): the center, its right and lower neighbors, the lower right corner.
    assert out[1, 2] == pytest.approx((1 - half) ** 2 + half * (1 - half))
    # Top reads at (h, -h), by symmetry the same; left and bottom see the center only.
    assert out[0, 1] == pytest.approx(out[1, 2])
    assert out[1, 0] == pytest.approx((1 - half) ** 2)
    assert out[1, 1] == 1


def test_rotation_fills_with_black_outside():
    out = augment.rotate(np.full((1, 20, 20, 3), 255, np.uint8), [45])
    assert (out[0, [0, 0, -1, -1], [0, -1, 0, -1]] == 0).all()
    assert (out[0, 8:12, 8:12] == 255).all()


def test_halves_are_rounded_to_the_even_level():
    # A quarter turn of two pixels, one above the other: each output pixel is a quarter of their sum.
    images = np.array([[1, 1], [3, 3], [4, 6], [200, 2]], np.uint8).reshape(4, 2, 1, 1)
    assert augment.rotate(images, [90] * 4)[:, :, 0, 0].tolist() == [[0, 0], [2, 2], [2, 2], [50, 50]]


def test_batches_larger_than_a_block_are_rotated_and_blurred_as_single_images(rng):
    images = draw(rng, (40, 32, 32, 3))  # two and a half blocks
    angles, sigmas = rng.uniform(-180, 180, 40), rng.uniform(0.2, 2, 40)
    one_by_one = [augment.rotate(images[i : i + 1], angles[i : i + 1])[0] for i in range(40)]
    np.testing.assert_array_equal(augment.rotate(images, angles), one_by_one)
    one_by_one = [augment.gaussian_blur(images[i : i + 1], sigmas[i : i + 1], 5)[0] for i in range(40)]
    np.testing.assert_array_equal(augment.gaussian_blur(images, sigmas, 5), one_by_one)


def test_an_image_larger_than_a_block(rng):
    images = draw(rng, (2, 150, 130, 1))
    np.testing.assert_array_equal(augment.rotate(images, [180, 0]), [images[0, ::-1, ::-1], images[1]])


def test_rotation_draws_uniform_angles(rng):
    images = draw(rng, (6, 12, 12, 3))
    angles = np.random.default_rng(2).uniform(-30, 30, 6)
    np.testing.assert_array_equal(Rotation(30)(images, np.random.default_rng(2)), augment.rotate(images, angles))


# --- blur ------------------------------------------------------------------------------------------------------------


def test_blur_is_the_weighted_sum_of_neighbors(rng):
    images = rng.standard_normal((2, 6, 5, 2))
    sigmas, radius = np.array([0.7, 1.6]), 2
    out = augment.gaussian_blur(images, sigmas, 2 * radius + 1)
    for b, sigma in enumerate(sigmas):
        taps = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
        kernel = np.outer(taps, taps) / taps.sum() ** 2
        padded = np.pad(images[b], ((radius, radius), (radius, radius), (0, 0)), mode="reflect")
        for i, j in np.ndindex(6, 5):
            expected = (padded[i : i + 5, j : j + 5] * kernel[:, :, None]).sum(axis=(0, 1))
            np.testing.assert_allclose(out[b, i, j], expected, atol=1e-12)


def test_blur_keeps_constant_images_and_a_kernel_of_one_keeps_all(rng):
    constant = np.full((2, 7, 8, 3), 0.3)
    np.testing.assert_allclose(augment.gaussian_blur(constant, [0.4, 3.0], 5), constant, atol=1e-15)
    images = draw(rng, (2, 1, 4, 3))
    np.testing.assert_array_equal(augment.gaussian_blur(images, [5.0, 9.0], 1), images)


def test_the_short_cut_for_levels_is_exact():
    """Images that the bound declares unchanged are those that the arithmetic leaves unchanged."""
    checkerboard = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)
    sigmas = np.concatenate([np.linspace(0.02, 0.4, 200), np.linspace(0.255, 0.258, 60)])
    images = np.broadcast_to(checkerboard[None, :, :, None], (len(sigmas), 8, 8, 1))
    for kernel_size in (3, 5):
        out = augment.gaussian_blur(images, sigmas, kernel_size)
        exact = augment.gaussian_blur(images.astype(np.float64), sigmas, kernel_size)
        undecided = np.abs(np.abs(exact - np.floor(exact)) - 0.5) < 1e-3
        np.testing.assert_array_equal(out[~undecided], np.rint(exact)[~undecided])
        assert undecided.mean() < 0.1
        assert np.array_equal(out[sigmas <= 0.256], images[sigmas <= 0.256])
        assert not np.array_equal(out[sigmas >= 0.257], images[sigmas >= 0.257])


def test_a_tiny_sigma_is_no_blur_and_no_warning(rng):
    images = rng.random((1, 5, 5, 3))
    np.testing.assert_array_equal(augment.gaussian_blur(images, [1e-200]), images)


# --- crop and cutout -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_pad_crop_shifts_each_image_by_its_own_amount(dtype, rng):
    images = draw(rng, (6, 7, 9, 2), dtype) + dtype(1)
    tops, lefts = np.array([0, 4, 2, 1, 3, 2]), np.array([4, 0, 2, 3, 2, 1])
    out = augment.pad_crop(images, tops, lefts, 2)
    for b, i, j in np.ndindex(6, 7, 9):
        y, x = i + tops[b] - 2, j + lefts[b] - 2
        expected = images[b, y, x] if 0 <= y < 7 and 0 <= x < 9 else 0
        np.testing.assert_array_equal(out[b, i, j], expected)


def test_pad_crop_uses_every_place():
    images = np.zeros((2000, 3, 3, 1), np.uint8)
    images[:, 1, 1] = 1
    rows, columns = np.nonzero(PadCrop(1)(images, np.random.default_rng(0))[..., 0])[1:]
    places, counts = np.unique(rows * 3 + columns, return_counts=True)
    assert places.tolist() == list(range(9))
    assert counts.min() > 150


@pytest.mark.parametrize("size", [1, 3, 4, 6])
def test_cutout_blackens_a_square_clipped_at_the_borders(size, rng):
    images = draw(rng, (6 * 8, 6, 8, 3)) | np.uint8(1)
    rows, columns = np.indices((6, 8)).reshape(2, -1)  # every center
    out = augment.cutout(images, rows, columns, size)
    for b in range(len(images)):
        expected = images[b].copy()
        top, left = rows[b] - size // 2, columns[b] - size // 2
        expected[max(top, 0) : top + size, max(left, 0) : left + size] = 0
        np.testing.assert_array_equal(out[b], expected)


def test_cutout_centers_are_uniform():
    out = Cutout(1)(np.ones((3000, 3, 5, 1), np.float32), np.random.default_rng(0))
    hits = (out[..., 0] == 0).sum(axis=0)
    assert hits.sum() == 3000
    assert hits.min() > 140


# --- composition and names -------------------------------------------------------------------------------------------


def test_compose_applies_in_order_with_one_generator(rng):
    images = draw(rng, (9, 12, 12, 3))
    generator = np.random.default_rng(1)
    expected = VerticalFlip()(PadCrop(3)(images, generator), generator)
    out = Compose([PadCrop(3), VerticalFlip()])(images, np.random.default_rng(1))
    np.testing.assert_array_equal(out, expected)


def test_names():
    assert list(AUGMENTATIONS) == [
        *("none", "report", "flip-crop", "flip-shift", "flip-crop-cutout"),
        *("hflip", "vflip", "rotation", "blur"),
    ]
    assert AUGMENTATIONS["report"]() == Compose(
        [HorizontalFlip(0.25), VerticalFlip(0.25), Rotation(30), GaussianBlur(3, (0.1, 0.25))]
    )
    assert repr(AUGMENTATIONS["rotation"]()) == "Rotation(degrees=30)"


# --- bad input -------------------------------------------------------------------------------------------------------

IMAGES = np.zeros((2, 8, 6, 3), np.uint8)

BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: HorizontalFlip(-0.1), ValueError, "p must be at least 0 and at most 1, got -0.1"),
    (lambda: HorizontalFlip(1.5), ValueError, "p must be at least 0 and at most 1, got 1.5"),
    (lambda: VerticalFlip(float("nan")), ValueError, "p must be at least 0 and at most 1, got nan"),
    (lambda: VerticalFlip("often"), TypeError, "p must be a number, got 'often'"),
    (lambda: Rotation(-3), ValueError, "degrees must be at least 0 and at most 180, got -3"),
    (lambda: Rotation(181), ValueError, "degrees must be at least 0 and at most 180, got 181"),
    (lambda: GaussianBlur(4), ValueError, "kernel_size must be odd, got 4"),
    (lambda: GaussianBlur(0), ValueError, "kernel_size must be at least 1, got 0"),
    (lambda: GaussianBlur(3.0), TypeError, "kernel_size must be an int, got 3.0"),
    (lambda: GaussianBlur(3, (0, 1)), ValueError, "0 < lowest <= highest"),
    (lambda: GaussianBlur(3, (2, 1)), ValueError, "0 < lowest <= highest"),
    (lambda: GaussianBlur(3, (1, float("inf"))), ValueError, "sigma must be finite, got inf"),
    (lambda: GaussianBlur(3, 0.5), TypeError, "sigma must be a pair"),
    (lambda: PadCrop(-1), ValueError, "padding must be at least 0, got -1"),
    (lambda: PadCrop(True), TypeError, "padding must be an int, got True"),
    (lambda: Cutout(0), ValueError, "size must be at least 1, got 0"),
    (lambda: Compose(["report"]), TypeError, "callable as (images, rng), got 'report'"),
    (lambda: PadCrop(6)(IMAGES, np.random.default_rng(0)), ValueError, "padding 6 does not fit images of 8 x 6"),
    (lambda: Cutout(7)(IMAGES, np.random.default_rng(0)), ValueError, "cutout of 7 x 7 does not fit images of 8 x 6"),
    (lambda: augment.gaussian_blur(IMAGES, [1, 1], 13), ValueError, "blur kernel 13 does not fit images of 8 x 6"),
    (lambda: augment.gaussian_blur(IMAGES, [1, 0]), ValueError, "sigmas must be > 0, got 0"),
    (lambda: augment.gaussian_blur(IMAGES, [1, 1], 2), ValueError, "kernel_size must be odd, got 2"),
    (
        lambda: augment.rotate(IMAGES, [1]),
        ValueError,
        "angles must hold one value for each image, shape (2,), got (1,)",
    ),
    (lambda: augment.rotate(IMAGES, 30), ValueError, "angles must hold one value for each image"),
    (lambda: augment.rotate(IMAGES, [0, np.inf]), ValueError, "angles must be finite, got inf"),
    (lambda: augment.rotate(IMAGES, ["a", "b"]), TypeError, "angles must be float64"),
    (lambda: augment.horizontal_flip(IMAGES, [0, 1]), TypeError, "selected must be bool"),
    (lambda: augment.pad_crop(IMAGES, [0, 5], [0, 0], 2), ValueError, "tops must be from 0 to 4"),
    (lambda: augment.pad_crop(IMAGES, [0, 0], [-1, 0], 2), ValueError, "lefts must be from 0 to 4"),
    (lambda: augment.pad_crop(IMAGES, [0.0, 1.0], [0, 0], 2), TypeError, "tops must be int64"),
    (lambda: augment.cutout(IMAGES, [0, 8], [0, 0], 2), ValueError, "rows must be from 0 to 7, got 0 to 8"),
    (lambda: augment.cutout(IMAGES, [0, 7], [0, 6], 2), ValueError, "columns must be from 0 to 5, got 0 to 6"),
    (lambda: augment.rotate(IMAGES[0], [1]), ValueError, "batch (B, H, W, C) with H, W, C >= 1, got shape (8, 6, 3)"),
    (lambda: augment.rotate(IMAGES[:, :0], [1, 1]), ValueError, "got shape (2, 0, 6, 3)"),
    (lambda: augment.rotate(IMAGES.astype(np.int64), [1, 1]), TypeError, "uint8, float32 or float64, got int64"),
    (lambda: augment.rotate(IMAGES.tolist(), [1, 1]), TypeError, "images must be a NumPy array, got list"),
    (lambda: HorizontalFlip()(IMAGES.tolist(), np.random.default_rng(0)), TypeError, "must be a NumPy array, got list"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input_is_refused_in_one_clear_sentence(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
