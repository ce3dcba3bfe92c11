"""ImageDataset: what it accepts, how it is cut, and what its fingerprint covers."""

from __future__ import annotations

import numpy as np
import pytest

from fastscratch.data import ImageDataset, contact_sheet


def make(n: int = 20, classes: int = 4, seed: int = 0) -> ImageDataset:
    images = np.random.default_rng(seed).integers(0, 256, (n, 5, 6, 3), dtype=np.uint8)
    return ImageDataset.from_arrays(images, np.arange(n) % classes, name="toy")


def test_from_arrays_takes_gray_images_and_lists() -> None:
    made = ImageDataset.from_arrays(np.zeros((3, 28, 27), np.uint8), [2, 0, 1])
    assert made.images.shape == (3, 28, 27, 1)
    assert made.image_shape == (28, 27, 1)
    assert made.labels.dtype == np.int64
    assert made.labels.tolist() == [2, 0, 1]
    assert made.classes == ("0", "1", "2")
    assert repr(made) == "ImageDataset('arrays': 3 images of 28 x 27 x 1, 3 classes)"


def test_from_arrays_shares_memory_and_makes_contiguous() -> None:
    images = np.zeros((4, 6, 6, 3), np.uint8)
    assert np.shares_memory(ImageDataset.from_arrays(images, [0, 0, 1, 1]).images, images)
    flipped = ImageDataset.from_arrays(images[:, ::-1], [0, 0, 1, 1])
    assert flipped.images.flags.c_contiguous


def test_classes_may_be_more_than_the_labels() -> None:
    made = ImageDataset.from_arrays(np.zeros((2, 4, 4), np.uint8), [0, 1], classes=["a", "b", "c"])
    assert made.num_classes == 3
    assert len(made) == 2


PIXELS = np.zeros((2, 4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "classes", "error", "words"),
    [
        (PIXELS.astype(np.float32), [0, 1], None, TypeError, "uint8 .* float32"),
        (PIXELS[0, 0], [0, 1, 0, 1], None, ValueError, r"\(N, H, W, C\)"),
        (PIXELS[:0], [], None, ValueError, r"\(0, 4, 4, 3\)"),
        (np.zeros((2, 3, 32, 32), np.uint8), [0, 1], None, ValueError, r"channels come last.*transpose\(0, 2, 3, 1\)"),
        (np.zeros((2, 9, 9, 9), np.uint8), [0, 1], None, ValueError, "9 channels, at most 4 are allowed$"),
        (PIXELS, [0.0, 1.0], None, TypeError, "whole numbers, got an array of float64"),
        (PIXELS, [True, False], None, TypeError, "whole numbers, got an array of bool"),
        (PIXELS, [0, 1, 1], None, ValueError, r"shape \(2,\), one for each image; got \(3,\)"),
        (PIXELS, [[0], [1]], None, ValueError, r"shape \(2,\).* got \(2, 1\)"),
        (PIXELS, [0, 2], ["a", "b"], ValueError, r"0\.\.1 for 2 classes, got values from 0 to 2"),
        (PIXELS, [-1, 0], ["a", "b"], ValueError, "from -1 to 0"),
        (PIXELS, [0, 10**9], None, ValueError, "labels go up to 1000000000 for 2 images"),
        (PIXELS, [0, 1], ["a", "a"], ValueError, "distinct"),
        (PIXELS, [0, 1], ["a", ""], ValueError, "not empty"),
        (PIXELS, [0, 1], ["a", 5], TypeError, "tuple of strings"),
        (PIXELS, [0, 1], "ab", TypeError, "sequence of names, got the string 'ab'"),
    ],
)
def test_bad_arrays_are_named(images, labels, classes, error, words) -> None:
    with pytest.raises(error, match=words):
        ImageDataset.from_arrays(images, labels, classes)


def test_constructor_takes_only_the_exact_form() -> None:
    with pytest.raises(TypeError, match=r"images must be an array of uint8 .* got list"):
        ImageDataset([[0]], np.zeros(1, np.int64), ("a",), "x")
    with pytest.raises(TypeError, match="labels must be an array of int64, got an array of int32"):
        ImageDataset(PIXELS, np.zeros(2, np.int32), ("a",), "x")
    with pytest.raises(TypeError, match="name must be a string"):
        ImageDataset(PIXELS, np.zeros(2, np.int64), ("a",), None)


def test_fingerprint_covers_everything_but_the_name() -> None:
    base = make()
    assert base.fingerprint == make().fingerprint
    assert len(base.fingerprint) == 16
    assert ImageDataset(base.images, base.labels, base.classes, "other").fingerprint == base.fingerprint
    pixels, labels = base.images.copy(), base.labels.copy()
    pixels[3, 2, 1, 0] ^= 1
    labels[0] = 1
    others = [
        ImageDataset(pixels, base.labels, base.classes, "toy"),
        ImageDataset(base.images, labels, base.classes, "toy"),
        ImageDataset(base.images, base.labels, (*base.classes, "more"), "toy"),
        ImageDataset(base.images.reshape(20, 6, 5, 3), base.labels, base.classes, "toy"),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_subset_by_positions_and_by_mask() -> None:
    base = make()
    few = base.subset([7, 3, 3])
    assert np.array_equal(few.images, base.images[[7, 3, 3]])
    assert few.labels.tolist() == [3, 3, 3]
    assert few.classes == base.classes
    mask = base.labels == 2
    assert np.array_equal(base.subset(mask).images, base.images[2::4])


@pytest.mark.parametrize(
    ("indices", "error", "words"),
    [
        ([], ValueError, "at least one"),
        ([[0]], ValueError, r"shape \(1, 1\)"),
        ([20], ValueError, r"0\.\.19, got values from 20 to 20"),
        ([-1, 5], ValueError, "from -1 to 5"),
        ([0.0], TypeError, "float64"),
        (np.zeros(20, bool), ValueError, "none of the 20 images"),
        (np.ones(3, bool), ValueError, "got 3 for 20"),
    ],
)
def test_bad_indices_are_named(indices, error, words) -> None:
    with pytest.raises(error, match=words):
        make().subset(indices)


def test_subsample_is_stratified_seeded_and_in_order() -> None:
    base = make(200)
    tenth = base.subsample(0.1, seed=3)
    assert np.bincount(tenth.labels).tolist() == [5, 5, 5, 5]
    assert tenth.fingerprint == base.subsample(0.1, seed=3).fingerprint
    assert tenth.fingerprint != base.subsample(0.1, seed=4).fingerprint
    positions = [int(np.flatnonzero((base.images == image).all(axis=(1, 2, 3)))[0]) for image in tenth.images]
    assert positions == sorted(positions)
    assert base.subsample(1, seed=0) is base


def test_subsample_keeps_one_of_every_class() -> None:
    assert sorted(make(8).subsample(0.01, seed=0).labels.tolist()) == [0, 1, 2, 3]


def test_split_parts_make_up_the_whole() -> None:
    base = make(200)
    rest, validation = base.split(0.1, seed=5)
    assert (len(rest), len(validation)) == (180, 20)
    assert np.bincount(validation.labels).tolist() == [5, 5, 5, 5]
    together = {image.tobytes() for part in (rest, validation) for image in part.images}
    assert together == {image.tobytes() for image in base.images}


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_split_needs_a_true_fraction(fraction: float) -> None:
    with pytest.raises(ValueError, match="split: fraction must be above 0 and below 1, got"):
        make().split(fraction, seed=0)


def test_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves 8 for training and 0 for validation"):
        make(8).split(0.01, seed=0)
    with pytest.raises(ValueError, match="leaves 0 for training and 8 for validation"):
        make(8).split(0.99, seed=0)


@pytest.mark.parametrize("fraction", ["half", None, True])
def test_a_fraction_is_a_number(fraction: object) -> None:
    for take in (make().subsample, make().split):
        with pytest.raises(TypeError, match="fraction must be a number, got"):
            take(fraction, seed=0)


@pytest.mark.parametrize("fraction", [0, -1, 1.01, float("nan")])
def test_subsample_fraction_is_checked(fraction: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        make().subsample(fraction, seed=0)


def test_contact_sheet_shows_a_row_per_class() -> None:
    base = make(10, classes=2)
    sheet = contact_sheet(base, cols=3, gap=1, scale=2)
    assert sheet.shape == (2 * 11 + 1, 3 * 13 + 1, 3)
    assert np.array_equal(sheet[1:11:2, 14:26:2], base.images[2])  # second image of class 0
    assert np.array_equal(sheet[13:23:2, 2:13:2], base.images[1])  # first image of class 1, its second copy of a pixel
    assert (sheet[0] == 255).all()
    assert (sheet[:, -1] == 255).all()
    assert contact_sheet(base, rows=1, cols=3, gap=0).shape == (5, 18, 3)


def test_contact_sheet_of_few_and_gray_images() -> None:
    gray = ImageDataset.from_arrays(np.full((1, 4, 4), 7, np.uint8), [1])
    sheet = contact_sheet(gray, cols=2, gap=0)
    assert (sheet[4:, :4] == 7).all()  # gray in all three channels
    assert (sheet[:4] == 255).all()  # class 0 has no image
    two = ImageDataset.from_arrays(np.stack([np.full((1, 4, 4), 9), np.zeros((1, 4, 4))], -1).astype(np.uint8), [0])
    assert (contact_sheet(two, cols=1, gap=0) == 9).all()  # alpha is left out
    with pytest.raises(ValueError, match="cols 0"):
        contact_sheet(gray, cols=0)
