"""shapes10: the same bits however it is drawn, classes that can be told apart, and a cache that is checked."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pytest

from fastscratch.data import _shapes10_draw as drawing
from fastscratch.data import load, shapes10
from fastscratch.data._shapes10_forms import CLASSES, FORMS, turn

# Pins every pixel: if this has to change, so has shapes10.VERSION, or old cached files would be taken for the new set.
PINNED = {"train": "2b79203293096fac", "test": "b735383c4a7557df"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the data set small, for tests of what surrounds the drawing."""
    monkeypatch.setattr(shapes10, "SPLITS", {"train": 30, "test": 20})


@pytest.mark.parametrize("split", ["train", "test"])
def test_pixels_are_pinned(split: str) -> None:
    assert shapes10.draw(split, 0, 200).fingerprint == PINNED[split]


def test_images_do_not_depend_on_the_block_they_are_drawn_in(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = shapes10.draw("train", 0, 70)
    monkeypatch.setattr(shapes10, "BLOCK", 16)
    assert shapes10.draw("train", 0, 70).fingerprint == whole.fingerprint
    assert np.array_equal(shapes10.draw("train", 33, 41).images, whole.images[33:41])
    assert np.array_equal(shapes10.draw("train", 33, 41).labels, whole.labels[33:41])


def test_splits_and_seeds_differ() -> None:
    base = shapes10.draw("train", 0, 10).images
    for other in (shapes10.draw("test", 0, 10), shapes10.draw("train", 0, 10, seed=11), shapes10.draw("train", 10, 20)):
        assert all(not np.array_equal(a, b) for a, b in zip(base, other.images, strict=True))


def test_images_use_fewer_random_words_than_are_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    words = drawing.Dice.words

    def counting(self: drawing.Dice, count: int) -> np.ndarray:
        used.append(count)
        return words(self, count)

    monkeypatch.setattr(drawing.Dice, "words", counting)
    shapes10.draw("train", 0, 1)
    assert drawing.WORDS - 128 < sum(used) <= drawing.WORDS
    assert drawing.WORDS % 4 == 0


def test_drawing_stays_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    develop = drawing.develop
    monkeypatch.setattr(drawing, "develop", lambda canvas, dice: (seen.append(canvas.dtype), develop(canvas, dice))[1])
    shapes10.draw("train", 0, 10)
    assert seen == [np.float32]


def test_classes_are_balanced_and_pictures_varied() -> None:
    made = shapes10.draw("train", 0, 200)
    assert np.bincount(made.labels).tolist() == [20] * 10
    assert made.image_shape == (32, 32, 3)
    assert 60 < made.images.mean() < 170
    assert made.images.reshape(200, -1).std(axis=1).min() > 3  # none is empty
    assert made.images.reshape(200, -1).mean(axis=1).std() > 20
    # The mean picture says little: classes cannot be told by brightness or color.
    means = [made.images[made.labels == k].mean(axis=(0, 1, 2)) for k in range(10)]
    assert np.ptp(means, axis=0).max() < 60


def test_forms_have_their_shape() -> None:
    """Each form covers about the share of the square [-1.2, 1.2]^2 that geometry gives it."""
    v, u = (np.mgrid[-1.2:1.2:400j, -1.2:1.2:400j].astype(np.float32))[:, None]
    t = np.full((1, 1, 1), 0.5, np.float32)
    area = {name: (form(u, v, t) < 0).mean() * 2.4**2 for name, form in zip(CLASSES, FORMS, strict=True)}
    assert area["circle"] == pytest.approx(np.pi * 0.9**2, rel=0.01)
    assert area["square"] == pytest.approx(1.6**2 - (4 - np.pi) * 0.1**2, rel=0.01)
    assert area["triangle"] == pytest.approx(3 * np.sqrt(3) * 0.5**2, rel=0.01)
    assert area["star"] == pytest.approx(10 * 0.5 * 0.44 * np.sin(np.pi / 5), rel=0.01)
    assert area["ring"] == pytest.approx(np.pi * ((0.7 + 0.19) ** 2 - (0.7 - 0.19) ** 2), rel=0.01)
    assert area["cross"] == pytest.approx(4 * (2 * 0.92 * 0.28 - 0.28**2), rel=0.01)
    # A square of side 0.8 sqrt 2 on its corner, and two half disks on its upper sides.
    assert area["heart"] == pytest.approx(2 * 0.8**2 + np.pi * (0.8 / np.sqrt(2)) ** 2, rel=0.01)
    assert 0.3 * area["circle"] < area["spiral"] < 0.7 * area["circle"]
    heart = FORMS[CLASSES.index("heart")](u, v, t)[0] < 0
    assert heart[:200].sum() > heart[200:].sum()  # the point is below, where v is large
    star = FORMS[CLASSES.index("star")](u, v, t)[0] < 0
    assert star[np.flatnonzero(star.any(axis=1))[0]].sum() < 10  # one point above


def test_turn_is_the_angle_on_the_whole_circle() -> None:
    angle = np.linspace(-np.pi, np.pi, 1001)[1:-1].astype(np.float32).reshape(-1, 1, 1)
    found = turn(3 * np.cos(angle), 3 * np.sin(angle))
    assert np.abs(found - angle / (2 * np.pi)).max() < 3e-4


def test_mean_pictures_classify_poorly() -> None:
    """Place and color are random, so the nearest mean picture of a class is seldom the right one."""
    train, test = shapes10.draw("train", 0, 1000), shapes10.draw("test", 0, 300)
    means = np.stack([train.images[train.labels == k].mean(axis=0).ravel() for k in range(10)])
    pixels = test.images.reshape(300, -1).astype(np.float64)
    nearest = ((pixels[:, None] - means[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == test.labels).mean() < 0.35


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("valid", 0, 1), "splits train, test; got 'valid'"),
        (("train", 5, 5), "start 5 and stop 5"),
        (("train", -1, 5), "start must be at least 0, got -1"),
        (("train", 2**63 - 1, 2**63), "start < stop < 2**63"),
    ],
)
def test_bad_ranges_are_named(arguments, words) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        shapes10.draw(*arguments)
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        shapes10.draw("train", 0, 1, seed=-1)
    with pytest.raises(ValueError, match="seed must lie in"):
        shapes10.draw("train", 0, 1, seed=2**64)
    with pytest.raises(TypeError, match=r"seed must be an int, got 1\.5"):
        shapes10.draw("train", 0, 1, seed=1.5)


@pytest.mark.usefixtures("small")
def test_drawn_once_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = load("shapes10", tmp_path / "new" / "root")
    assert (len(train), len(test)) == (30, 20)
    assert [path.name for path in (tmp_path / "new" / "root").iterdir()] == [f"shapes10-v{shapes10.VERSION}.npz"]

    def no_drawing(*_: object) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr(shapes10, "draw_block", no_drawing)
    again, _ = load("shapes10", tmp_path / "new" / "root")
    assert again.fingerprint == train.fingerprint
    assert again.labels.dtype == np.int64


@pytest.mark.usefixtures("small")
def test_damaged_cache_is_drawn_anew_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fresh, _ = load("shapes10", tmp_path)
    path = shapes10.find(tmp_path)
    assert path is not None
    whole = path.read_bytes()
    for raw in (b"", whole[: len(whole) // 2], whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]):
        path.write_bytes(raw)
        caplog.clear()
        with caplog.at_level(logging.WARNING, "fastscratch.data"):
            assert load("shapes10", tmp_path)[0].fingerprint == fresh.fingerprint
        assert f"cached {path} is damaged" in caplog.text
        assert path.read_bytes() == whole


@pytest.mark.usefixtures("small")
def test_cache_of_other_pixels_is_drawn_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fresh, _ = load("shapes10", tmp_path)
    path = shapes10.find(tmp_path)
    assert path is not None
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["train_images"][0, 0, 0, 0] ^= 1
    np.savez(path, **arrays)
    assert load("shapes10", tmp_path)[0].fingerprint == fresh.fingerprint
    assert "its fingerprints should be" in caplog.text


@pytest.mark.usefixtures("small")
def test_a_place_that_cannot_be_written_is_no_obstacle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / f".shapes10-v{shapes10.VERSION}.npz.part").mkdir()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with caplog.at_level(logging.WARNING, "fastscratch.data"):
        assert len(load("shapes10", blocked / "below")[0]) == 30
    assert "cannot be kept" in caplog.text
