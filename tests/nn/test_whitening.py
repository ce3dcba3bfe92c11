"""The whitening layer: what its filters do to patches, when they are computed, what is refused."""

import numpy as np
import pytest

from fastscratch import Trainer, losses, nn, optim
from fastscratch.data import ImageDataset, Normalization
from fastscratch.nn import whitening


def smooth_images(n=200, size=9, channels=3, seed=0):
    """Return images whose neighboring pixels and channels are alike, as those of photographs are."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, size + 1, size + 1, channels))
    blurred = noise[:, :-1, :-1] + noise[:, :-1, 1:] + noise[:, 1:, :-1] + noise[:, 1:, 1:]
    return (blurred + 0.7 * blurred.mean(axis=3, keepdims=True)).astype(np.float32)


def test_without_a_bias_nothing_is_trained_and_no_gradient_goes_through():
    layer = nn.PatchWhitening(1, (1, 2), bias=False)
    model = nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.Linear(8, 2), seed=0)
    model.forward(np.arange(3, dtype=np.float32).reshape(1, 1, 3, 1))
    layer.backward = None  # not to be called
    model.backward(np.ones((1, 2), np.float32), input_grad=False)
    assert [parameter.name for parameter in model.parameters()] == ["3.weight", "3.bias"]
    assert layer.flops((1, 3, 1)) == 2 * (2 * 8)  # 2 pixels, 4 filters of 2 numbers
    assert repr(layer) == "PatchWhitening(1, kernel_size=(1, 2), eps=0.0005, bias=False)"


def test_patches_become_uncorrelated_numbers_of_one_size():
    images = smooth_images()
    layer = nn.PatchWhitening(3, (2, 3), eps=1e-9)
    layer.adapt(images)
    y = layer.forward(images - images.mean(axis=(0, 1, 2))).reshape(-1, 36).astype(np.float64)
    np.testing.assert_allclose(np.cov(y[:, :18], rowvar=False), np.eye(18), atol=2e-3)
    np.testing.assert_allclose(y[:, 18:], -y[:, :18], atol=1e-5)


def test_the_filters_are_eigenvectors_largest_variance_first():
    images = smooth_images(channels=1)
    layer = nn.PatchWhitening(1, (1, 2), eps=0.25)
    layer.adapt(images)
    # Two neighbors with variance v and covariance c: their sum has the eigenvalue v + c, their difference v - c.
    pairs = np.stack([images[:, :, :-1, 0].ravel(), images[:, :, 1:, 0].ravel()])
    (v, c), (_, w) = np.cov(pairs)
    assert v == pytest.approx(w, rel=0.05)
    same, other = layer.weight[0, :, 0, 0], layer.weight[0, :, 0, 1]
    assert np.linalg.norm(same) == pytest.approx(1 / np.sqrt((v + w) / 2 + c + 0.25), rel=0.01)
    assert np.linalg.norm(other) == pytest.approx(1 / np.sqrt((v + w) / 2 - c + 0.25), rel=0.01)
    assert np.sign(same[0]) == np.sign(same[1])
    assert np.sign(other[0]) == -np.sign(other[1])


def test_until_then_it_passes_each_number_and_its_negative():
    images = smooth_images(n=2, size=4)
    y = nn.PatchWhitening(3).forward(images)
    patch = images[1, 2:4, 1:3].ravel()
    np.testing.assert_array_equal(y[1, 2, 1], np.concatenate([patch, -patch]))


def test_patches_that_are_all_alike_are_not_blown_up():
    layer = nn.PatchWhitening(2)
    layer.adapt(np.full((3, 5, 5, 2), 7, np.float32))
    assert np.isfinite(layer.weight).all()
    assert np.abs(layer.weight).max() <= 1 / np.sqrt(5e-4) * (1 + 1e-6)


def test_only_the_first_images_count():
    layer = nn.PatchWhitening(3)
    layer.adapt(smooth_images(seed=1))
    before = layer.weight.copy()
    layer.adapt(smooth_images(seed=2) ** 3)
    np.testing.assert_array_equal(layer.weight, before)
    loaded = nn.PatchWhitening(3)
    loaded.load_state_dict(layer.state_dict())
    loaded.adapt(smooth_images(seed=3))
    np.testing.assert_array_equal(loaded.weight, before)


def test_a_trainer_adapts_a_network_to_its_training_images_once():
    rng = np.random.default_rng(0)
    train = ImageDataset.from_arrays(rng.integers(0, 256, (60, 6, 5, 3), np.uint8), np.arange(60) % 4)
    model = nn.Sequential(nn.PatchWhitening(3), nn.ReLU(), nn.GlobalAvgPool2d(), nn.Linear(24, 4), seed=0)
    trainer = Trainer(model, losses.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), batch_size=20)
    trainer.fit(train, epochs=1)
    wanted = nn.PatchWhitening(3)
    wanted.adapt(trainer.normalization.apply(train.images, np.dtype(np.float32)))
    np.testing.assert_array_equal(model[0].weight, wanted.weight)
    assert model[0].is_adapted
    assert model[0].bias.value.any()
    trainer.fit(train, epochs=2)
    np.testing.assert_array_equal(model[0].weight, wanted.weight)


def test_a_trainer_shows_it_images_of_all_classes():
    rng = np.random.default_rng(0)
    labels = np.arange(10_000) % 2  # every second image, and every fourth, is of one class
    images = rng.integers(0, 100, (10_000, 3, 3, 1), np.uint8)
    images[labels == 1] = rng.integers(0, 256, (3, 3, 1))
    train = ImageDataset.from_arrays(images, labels)
    model = nn.Sequential(nn.PatchWhitening(1), nn.Flatten(), nn.Linear(32, 2), seed=0)
    Trainer(model, losses.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), batch_size=1000).fit(
        train, epochs=1
    )
    whole = nn.PatchWhitening(1)
    whole.adapt(Normalization.from_images(images).apply(images, np.dtype(np.float32)))
    np.testing.assert_allclose(np.abs(model[0].weight), np.abs(whole.weight), rtol=0.05, atol=0.01)


def test_images_are_taken_block_by_block_with_the_same_result(monkeypatch):
    images = smooth_images(n=9)
    at_once = nn.PatchWhitening(3)
    at_once.adapt(images)
    monkeypatch.setattr(whitening, "BLOCK", 4)
    in_blocks = nn.PatchWhitening(3)
    in_blocks.adapt(images)
    np.testing.assert_allclose(in_blocks.weight, at_once.weight, rtol=1e-4, atol=1e-5)


def test_in_float64_too():
    layer = nn.PatchWhitening(3).astype(np.float64)
    layer.adapt(smooth_images().astype(np.float64))
    assert layer.weight.dtype == np.float64
    assert layer.forward(smooth_images(2).astype(np.float64)).dtype == np.float64


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="in_channels must be at least 1, got 0"):
        nn.PatchWhitening(0)
    with pytest.raises(ValueError, match="kernel_size"):
        nn.PatchWhitening(3, 0)
    with pytest.raises(ValueError, match=r"eps must be above 0, got 0"):
        nn.PatchWhitening(3, eps=0)
    with pytest.raises(ValueError, match=r"takes \(N, H, W, 3\), got shape \(2, 4, 4, 1\)"):
        nn.PatchWhitening(3).adapt(np.zeros((2, 4, 4, 1), np.float32))
    with pytest.raises(ValueError, match=r"kernel \(2, 2\) does not fit padded input \(1, 4\)"):
        nn.PatchWhitening(3).adapt(np.zeros((2, 1, 4, 3), np.float32))
    for images in (np.zeros((0, 4, 4, 3)), np.zeros((1, 2, 2, 3)), np.full((9, 4, 4, 3), np.nan)):
        with pytest.raises(ValueError, match="needs two patches or more, of finite numbers"):
            nn.PatchWhitening(3).adapt(images.astype(np.float32))
    with pytest.raises(TypeError, match="list"):
        nn.PatchWhitening(3).adapt([[1.0]])
    with pytest.raises(ValueError, match=r"kernel \(4, 4\) does not fit padded input \(3, 5\)"):
        nn.PatchWhitening(3, 4).forward(np.zeros((2, 3, 5, 3), np.float32))
    with pytest.raises(ValueError, match="factor must not be 0, got 0"):
        nn.Multiply(0)
    with pytest.raises(ValueError, match="factor must be finite, got nan"):
        nn.Multiply(float("nan"))
    with pytest.raises(ValueError, match="bias_lr_scale must be at least 0, got -1"):
        nn.BatchNorm2d(3, bias_lr_scale=-1)
    for scale, finite in ((-1, ""), (float("nan"), ""), (float("inf"), " and finite")):
        with pytest.raises(ValueError, match=f"^lr_scale must be at least 0{finite}, got {scale}$"):
            nn.PatchWhitening(3).bias.lr_scale = scale
