"""The loader: what is served, in which order, and that (epoch, batch) is all the state there is."""

from __future__ import annotations

import contextlib
import gc
import threading
import traceback
from typing import Any

import numpy as np
import pytest

from fastscratch.data.augment import AUGMENTATIONS, Compose
from fastscratch.data.dataset import ImageDataset
from fastscratch.data.loader import Loader
from fastscratch.data.normalization import Normalization


def numbered(count: int) -> ImageDataset:
    """Return images of which each holds its own number, and the number as the label."""
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 6, 5, 3))
    return ImageDataset.from_arrays(images, np.arange(count))


def noisy(count: int, seed: int = 0) -> ImageDataset:
    rng = np.random.default_rng(seed)
    return ImageDataset.from_arrays(rng.integers(0, 256, (count, 10, 12, 3), dtype=np.uint8), rng.integers(0, 4, count))


def labels_of(batches: Any) -> list[int]:
    return [int(label) for _, labels in batches for label in labels]


def assert_same(batches: Any, expected: Any) -> None:
    batches, expected = list(batches), list(expected)
    assert len(batches) == len(expected)
    for (images, labels), (expected_images, expected_labels) in zip(batches, expected, strict=True):
        np.testing.assert_array_equal(images, expected_images)
        np.testing.assert_array_equal(labels, expected_labels)


@pytest.fixture(params=[False, True], ids=["plain", "prefetch"])
def prefetch(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.mark.parametrize(
    ("count", "batch_size", "drop_last", "sizes"),
    [
        (10, 5, False, [5, 5]),
        (10, 4, False, [4, 4, 2]),
        (10, 4, True, [4, 4]),
        (10, 10, True, [10]),
        (10, 64, False, [10]),
        (3, 1, False, [1, 1, 1]),
        (1, 1, True, [1]),
    ],
)
def test_batches_of_an_epoch(count, batch_size, drop_last, sizes, prefetch):
    loader = Loader(numbered(count), batch_size, drop_last=drop_last, prefetch=prefetch)
    batches = list(loader.epoch(0))
    assert [len(labels) for _, labels in batches] == sizes
    assert len(loader) == len(sizes)
    for images, labels in batches:
        assert images.shape == (len(labels), 6, 5, 3)
        assert images.dtype == np.float32
        assert images.flags.c_contiguous
        assert labels.dtype == np.int64
        np.testing.assert_allclose(images * 255, np.broadcast_to(labels[:, None, None, None], images.shape), atol=1e-4)


def test_an_epoch_serves_every_image_once(prefetch):
    loader = Loader(numbered(100), 7, prefetch=prefetch)
    for epoch in range(3):
        assert sorted(labels_of(loader.epoch(epoch))) == list(range(100))


def test_the_order_changes_with_the_epoch_and_the_seed_only(prefetch):
    orders = {
        (seed, epoch): tuple(labels_of(Loader(numbered(50), 8, seed=seed, prefetch=prefetch).epoch(epoch)))
        for seed in (0, 1)
        for epoch in (0, 1, 2)
    }
    assert len(set(orders.values())) == 6
    loader = Loader(numbered(50), 11, seed=1)
    for epoch in (2, 0, 1, 2):  # whatever was served before
        assert tuple(labels_of(loader.epoch(epoch))) == orders[1, epoch]


def test_without_shuffling_the_order_is_that_of_the_data_set(prefetch):
    loader = Loader(numbered(20), 6, shuffle=False, prefetch=prefetch)
    assert labels_of(loader.epoch(0)) == labels_of(loader.epoch(5)) == list(range(20))


def test_the_order_does_not_depend_on_the_augmentation():
    plain = labels_of(Loader(numbered(40), 8, seed=3).epoch(1))
    assert labels_of(Loader(numbered(40), 8, seed=3, augment=AUGMENTATIONS["report"]()).epoch(1)) == plain


@pytest.mark.parametrize("augment", ["none", "report", "flip-crop-cutout"])
def test_prefetching_changes_no_bit(augment):
    dataset = noisy(50)
    settings = {"seed": 4, "normalization": Normalization.from_images(dataset.images)}
    first, second = (
        Loader(dataset, 8, augment=AUGMENTATIONS[augment](), prefetch=ahead, **settings) for ahead in (False, True)
    )
    for epoch in (0, 7):
        assert_same(second.epoch(epoch), first.epoch(epoch))


def test_an_epoch_can_be_resumed_at_every_batch(prefetch):
    def fresh() -> Loader:
        return Loader(noisy(50), 8, seed=2, augment=AUGMENTATIONS["report"](), prefetch=prefetch)

    whole = list(fresh().epoch(3))
    for start in range(len(whole) + 1):
        assert_same(fresh().epoch(3, start_batch=start), whole[start:])


def test_augmentation_is_drawn_anew_for_each_batch_and_epoch():
    images = np.tile(noisy(1).images, (12, 1, 1, 1))
    dataset = ImageDataset.from_arrays(images, np.zeros(12, int))
    loader = Loader(dataset, 4, augment=AUGMENTATIONS["rotation"]())
    batches = [images for epoch in (0, 1) for images, _ in loader.epoch(epoch)]
    assert len({image.tobytes() for images in batches for image in images}) == 24


def test_augmentation_comes_before_normalization():
    seen = []

    def darken(images: Any, rng: np.random.Generator) -> Any:
        seen.append((images.dtype, rng.random()))
        return images // 2

    dataset = noisy(6)
    normalization = Normalization([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    loader = Loader(dataset, 4, seed=8, shuffle=False, augment=darken, normalization=normalization)
    images = np.concatenate([images for images, _ in loader.epoch(5)])
    np.testing.assert_array_equal(images, normalization.apply(dataset.images // 2))
    assert seen == [(np.uint8, np.random.default_rng([8, 1, 5, batch]).random()) for batch in (0, 1)]


def test_double_precision():
    (images, _), *_ = Loader(noisy(4), 4, shuffle=False, dtype=np.float64).epoch(0)
    assert images.dtype == np.float64
    np.testing.assert_allclose(images, noisy(4).images / 255, rtol=1e-15)


@pytest.mark.parametrize("augment", [None, Compose(())])
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_belong_to_the_consumer(augment, shuffle, prefetch):
    dataset = noisy(24)
    images, labels = dataset.images.copy(), dataset.labels.copy()
    loader = Loader(dataset, 5, shuffle=shuffle, augment=augment, prefetch=prefetch)
    expected = [(images.copy(), labels.copy()) for images, labels in loader.epoch(0)]
    kept = []
    for batch in loader.epoch(0):
        kept.append(batch)
        assert not any(np.shares_memory(part, whole) for part in batch for whole in (dataset.images, dataset.labels))
    assert_same(kept, expected)
    for batch in kept:
        batch[0][...] = np.nan
        batch[1][...] = -1
    assert_same(loader.epoch(0), expected)
    np.testing.assert_array_equal(dataset.images, images)
    np.testing.assert_array_equal(dataset.labels, labels)


def test_read_only_data_is_served():
    dataset = noisy(9)
    dataset.images.flags.writeable = dataset.labels.flags.writeable = False
    for images, labels in Loader(dataset, 4, augment=AUGMENTATIONS["flip-crop-cutout"]()).epoch(0):
        assert images.flags.writeable
        assert labels.flags.writeable


def prefetch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fastscratch-prefetch"]


def test_an_epoch_left_early_leaves_no_thread():
    loader = Loader(noisy(100), 2, prefetch=True)
    with contextlib.closing(loader.epoch(0)) as batches:
        next(batches)
        assert len(prefetch_threads()) == 1
    assert prefetch_threads() == []
    with pytest.raises(StopIteration):
        next(batches)
    for _ in loader.epoch(1):
        break
    gc.collect()
    assert prefetch_threads() == []


@pytest.mark.parametrize(
    ("augment", "threads"), [(None, 0), (AUGMENTATIONS["none"](), 0), (AUGMENTATIONS["hflip"](), 1)]
)
def test_a_thread_works_ahead_where_there_is_something_to_augment(augment, threads):
    with contextlib.closing(Loader(noisy(9), 2, augment=augment).epoch(0)) as batches:
        next(batches)
        assert len(prefetch_threads()) == threads


def test_a_plain_epoch_can_be_closed_too():
    batches = Loader(noisy(100), 2, prefetch=False).epoch(0)
    next(batches)
    batches.close()
    with pytest.raises(StopIteration):
        next(batches)


def test_epochs_can_run_side_by_side(prefetch):
    loader = Loader(noisy(30), 4, augment=AUGMENTATIONS["flip-crop"](), prefetch=prefetch)
    expected = [list(loader.epoch(epoch)) for epoch in (0, 1)]
    interleaved = list(zip(loader.epoch(0), loader.epoch(1), strict=True))
    for epoch in (0, 1):
        assert_same([pair[epoch] for pair in interleaved], expected[epoch])


def break_at_the_third(images: Any, rng: np.random.Generator) -> Any:
    if images.max() == 5:
        raise ArithmeticError("cannot transform image 5")
    return images


def test_an_exception_in_a_transform_reaches_the_loop(prefetch):
    batches = Loader(numbered(10), 2, shuffle=False, augment=break_at_the_third, prefetch=prefetch).epoch(0)
    assert next(batches)[1].tolist() == [0, 1]
    assert next(batches)[1].tolist() == [2, 3]
    with pytest.raises(ArithmeticError, match="image 5") as caught:
        next(batches)
    assert "break_at_the_third" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert prefetch_threads() == []
    assert list(batches) == []


BAD = [
    (lambda data: Loader(data.images, 4), TypeError, "dataset must be an ImageDataset, got ndarray"),
    (
        lambda data: Loader(data, 4, normalization=(0.5, 0.5)),
        TypeError,
        "normalization must be a Normalization, got (0.5, 0.5)",
    ),
    (lambda data: Loader(data, 0), ValueError, "batch_size must be at least 1, got 0"),
    (lambda data: Loader(data, 2.0), TypeError, "batch_size must be an int, got 2.0"),
    (lambda data: Loader(data, 20, drop_last=True), ValueError, "no batch remains: batch_size 20, 10 images"),
    (lambda data: Loader(data, 4, seed=-1), ValueError, "seed must be at least 0, got -1"),
    (
        lambda data: Loader(data, 4, augment="report"),
        TypeError,
        "augment must be callable as (images, rng), got 'report'",
    ),
    (lambda data: Loader(data, 4, dtype=None), TypeError, "dtype must be float32 or float64, got None"),
    (lambda data: Loader(data, 4, dtype=np.float16), TypeError, "dtype must be float32 or float64, got float16"),
    (lambda data: Loader(data, 4, normalization=Normalization([0], [1])), ValueError, "has 3 channels"),
    (lambda data: Loader(data, 4).epoch(-1), ValueError, "epoch must be at least 0, got -1"),
    (lambda data: Loader(data, 4).epoch(0.5), TypeError, "epoch must be an int, got 0.5"),
    (lambda data: Loader(data, 4).epoch(0, -1), ValueError, "start_batch must be at least 0, got -1"),
    (lambda data: Loader(data, 4).epoch(0, 4), ValueError, "start_batch must be at most 3"),
    (lambda data: list(Loader(data, 4, augment=lambda x, rng: x[1:]).epoch(0)), ValueError, "it got, 4: got (3, 10, "),
    (lambda data: list(Loader(data, 4, augment=lambda x, rng: None).epoch(0)), ValueError, "it got, 4: got None"),
    (lambda data: list(Loader(data, 4, augment=lambda x, rng: x / 255).epoch(0)), TypeError, "got float64"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input_is_refused_in_one_clear_sentence(call, error, message):
    with pytest.raises(error) as caught:
        call(noisy(10))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
