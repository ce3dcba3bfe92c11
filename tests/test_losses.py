"""Cross entropy and KL divergence: by hand, by differences, by their identity, and against PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fastscratch import losses
from fastscratch.losses import LOSSES, CrossEntropyLoss, KLDivLoss, entropy, log_softmax, softmax

BOTH = [CrossEntropyLoss, KLDivLoss]
# float32: a few roundings of numbers near 10; the gradient's entries are near 1/N.
TOLERANCE = {np.float32: {"rtol": 2e-6, "atol": 1e-7}, np.float64: {"rtol": 1e-13, "atol": 1e-16}}


def random_batch(rng, n, k, kind, dtype=np.float64, spread=3.0):
    """Return logits, and class ids, or soft targets some of whose entries are 0."""
    logits = (spread * rng.standard_normal((n, k))).astype(dtype)
    if kind == "ids":
        return logits, rng.integers(0, k, n)
    soft = rng.random((n, k)) * (rng.random((n, k)) < 0.7)
    soft[np.arange(n), rng.integers(0, k, n)] += 0.5
    return logits, (soft / soft.sum(axis=1, keepdims=True)).astype(dtype)


def one_hot(ids, k, dtype=np.float64):
    return np.eye(k, dtype=dtype)[ids]


# -- by hand ---------------------------------------------------------------------------------------------------------


def test_by_hand_class_ids():
    # exp of the rows: (1, 2, 1), (3, 1, 4); probabilities (1/4, 1/2, 1/4), (3/8, 1/8, 1/2)
    logits = np.log([[1.0, 2.0, 1.0], [3.0, 1.0, 4.0]])
    for criterion in (CrossEntropyLoss(), KLDivLoss()):  # class ids have no entropy
        assert criterion.forward(logits, [1, 0]) == pytest.approx((math.log(2) + math.log(8 / 3)) / 2, rel=1e-15)
        np.testing.assert_allclose(
            criterion.backward(), np.array([[1 / 4, -1 / 2, 1 / 4], [-5 / 8, 1 / 8, 1 / 2]]) / 2, rtol=1e-14
        )


def test_by_hand_soft_targets():
    logits = np.log([[1.0, 2.0, 1.0]])
    q = np.array([[0.5, 0.0, 0.5]])
    assert CrossEntropyLoss().forward(logits, q) == pytest.approx(math.log(4), rel=1e-15)
    assert KLDivLoss().forward(logits, q) == pytest.approx(math.log(4) - math.log(2), rel=1e-15)


def test_by_hand_label_smoothing():
    # q = 0.7 one-hot + 0.1 each
    logits = np.log([[1.0, 2.0, 1.0]])
    q = np.array([0.1, 0.8, 0.1])
    log_p = np.log([0.25, 0.5, 0.25])
    criterion = CrossEntropyLoss(label_smoothing=0.3)
    assert criterion.forward(logits, [1]) == pytest.approx(-(q @ log_p), rel=1e-14)
    np.testing.assert_allclose(criterion.backward(), [[0.15, -0.3, 0.15]], rtol=1e-13)
    assert KLDivLoss(label_smoothing=0.3).forward(logits, [1]) == pytest.approx(q @ (np.log(q) - log_p), rel=1e-13)


def test_undecided_network_loses_log_k_and_a_perfect_one_nothing():
    assert CrossEntropyLoss().forward(np.zeros((5, 10), np.float32), [0, 3, 9, 9, 1]) == pytest.approx(math.log(10))
    assert CrossEntropyLoss().forward(np.array([[100.0, 0.0]]), [0]) == 0.0
    q = np.array([[0.25, 0.75], [0.5, 0.5]])
    assert KLDivLoss().forward(np.log(q), q) == pytest.approx(0, abs=1e-16)


def test_calling_is_forward():
    logits, ids = random_batch(np.random.default_rng(0), 4, 3, "ids")
    assert CrossEntropyLoss(0.1)(logits, ids) == CrossEntropyLoss(0.1).forward(logits, ids)


# -- gradients by differences ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 2), (3, 5), (2, 17)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["ids", "soft", "sum is not quite 1"])
@pytest.mark.parametrize("loss", BOTH)
def test_gradient_is_the_central_difference(loss, kind, smoothing, shape, rng):
    logits, targets = random_batch(rng, *shape, "ids" if kind == "ids" else "soft")
    if kind == "sum is not quite 1":
        targets = targets * (1 + 9e-4)
    criterion = loss(smoothing)
    criterion.forward(logits, targets)
    analytic = criterion.backward()
    step = 1e-5
    numeric = np.empty_like(logits)
    for index in np.ndindex(shape):
        moved = logits.copy()
        moved[index] += step
        up = criterion.forward(moved, targets)
        moved[index] -= 2 * step
        numeric[index] = (up - criterion.forward(moved, targets)) / (2 * step)
    assert np.linalg.norm(analytic - numeric) < 1e-8 * np.linalg.norm(numeric) + 1e-10
    np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", BOTH)
def test_rows_of_the_gradient_sum_to_zero(loss, rng):
    criterion = loss(0.05)
    criterion.forward(*random_batch(rng, 6, 9, "soft"))
    np.testing.assert_allclose(criterion.backward().sum(axis=1), 0, atol=1e-16)


# -- the identity ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("kind", ["ids", "soft"])
@pytest.mark.parametrize(("n", "k"), [(1, 2), (32, 10), (7, 1000)])
def test_cross_entropy_is_kl_divergence_plus_entropy(n, k, kind, smoothing, rng):
    logits, targets = random_batch(rng, n, k, kind)
    cross, divergence = CrossEntropyLoss(smoothing), KLDivLoss(smoothing)
    q = one_hot(targets, k) if kind == "ids" else targets
    wanted = (1 - smoothing) * q + smoothing / k
    mean_entropy = -np.where(wanted > 0, wanted * np.log(np.where(wanted > 0, wanted, 1)), 0).sum() / n
    left, right = cross.forward(logits, targets), divergence.forward(logits, targets) + mean_entropy
    assert left == pytest.approx(right, rel=1e-14)
    assert (mean_entropy > 0.01) == (kind == "soft" or smoothing > 0)  # the identity says something here
    np.testing.assert_array_equal(cross.backward(), divergence.backward())  # the same bits
    np.testing.assert_allclose(entropy(wanted).mean(), mean_entropy, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("loss", BOTH)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ids_and_one_hot_targets_have_the_same_bits(loss, smoothing, dtype, rng):
    logits, ids = random_batch(rng, 8, 10, "ids", dtype)
    by_id, by_row = loss(smoothing), loss(smoothing)
    assert by_id.forward(logits, ids) == by_row.forward(logits, one_hot(ids, 10, dtype))
    np.testing.assert_array_equal(by_id.backward(), by_row.backward())


def test_entropy_by_hand():
    value = entropy([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, [1.5 * math.log(2), 0, math.log(3)], rtol=1e-14)
    assert not np.signbit(value[1])  # 0, not -0
    np.testing.assert_allclose(entropy([0.5, 0.5]), math.log(2), rtol=1e-15)
    np.testing.assert_allclose(entropy(np.full((2, 3, 4), 0.25)), np.full((2, 3), math.log(4)), rtol=1e-15)


# -- against PyTorch -------------------------------------------------------------------------------------------------


def torch_loss(loss, logits, targets, smoothing):
    """Return PyTorch's value and gradient."""
    z = torch.tensor(logits, requires_grad=True)
    if loss is CrossEntropyLoss:
        value = F.cross_entropy(z, torch.tensor(targets), label_smoothing=smoothing)
    else:
        k = logits.shape[1]
        q = targets if targets.ndim == 2 else one_hot(targets, k, logits.dtype)
        q = torch.tensor(((1 - smoothing) * q + smoothing / k).astype(logits.dtype))
        value = F.kl_div(F.log_softmax(z, dim=1), q, reduction="batchmean")
    value.backward()
    return value.item(), z.grad.numpy()


@pytest.mark.torch
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["ids", "soft"])
@pytest.mark.parametrize(("n", "k"), [(1, 2), (1, 10), (32, 10), (5, 2), (3, 1), (4, 20_000)])
@pytest.mark.parametrize("loss", BOTH)
def test_parity_with_torch(loss, n, k, kind, smoothing, dtype, rng):
    logits, targets = random_batch(rng, n, k, kind, dtype)
    criterion = loss(smoothing)
    value = criterion.forward(logits, targets)
    gradient = criterion.backward()
    expected_value, expected_gradient = torch_loss(loss, logits, targets, smoothing)
    scale = math.log(k) + 1  # the terms that a small divergence is the difference of
    precision = 1e-6 if dtype == np.float32 else 1e-14
    assert isinstance(value, float)
    assert value == pytest.approx(expected_value, abs=precision * scale)
    assert gradient.dtype == dtype
    assert gradient.shape == (n, k)
    tolerance = TOLERANCE[dtype]
    if k > 10_000:  # PyTorch adds K smoothed targets one after the other, and is off by its own rounding
        tolerance = {name: 20 * value for name, value in tolerance.items()}
    np.testing.assert_allclose(gradient, expected_gradient, **tolerance)


@pytest.mark.parametrize("loss", BOTH)
def test_float32_stays_near_float64_for_many_classes(loss, rng):
    logits, ids = random_batch(rng, 4, 20_000, "ids", np.float32)
    single, double = loss(0.1), loss(0.1)
    assert single.forward(logits, ids) == pytest.approx(double.forward(logits.astype(np.float64), ids), rel=1e-6)
    np.testing.assert_allclose(single.backward(), double.backward(), rtol=2e-6, atol=1e-9)


def test_one_class_has_nothing_to_learn():
    for loss in BOTH:
        criterion = loss(0.1)
        value = criterion.forward(np.array([[3.0], [-2.0]]), [0, 0])
        assert value == 0.0
        assert math.copysign(1, value) == 1  # 0, not -0
        np.testing.assert_array_equal(criterion.backward(), [[0.0], [0.0]])


# -- numbers that are large, or none ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", BOTH)
def test_stable_for_large_logits(loss, dtype):
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4]], dtype)
    criterion = loss()
    with np.errstate(all="raise"):  # whatever the caller's settings
        assert criterion.forward(logits, [1, 0, 1]) == pytest.approx((2e4 + math.log(3) + math.log(2)) / 3, rel=1e-6)
        gradient = criterion.backward()
    third, half = 1 / 3, 1 / 2
    expected = np.array([[1, -1, 0], [third - 1, third, third], [half, half - 1, 0]]) / 3
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-12)


def test_shifting_all_logits_changes_nothing(rng):
    logits, ids = random_batch(rng, 4, 6, "ids")
    assert CrossEntropyLoss()(logits + 1000, ids) == pytest.approx(CrossEntropyLoss()(logits, ids), rel=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["ids", "soft"])
@pytest.mark.parametrize("loss", BOTH)
def test_logits_that_are_not_finite_make_such_a_loss(loss, kind, bad, rng):
    for column in range(3):
        logits, targets = random_batch(rng, 2, 3, kind, np.float32)
        logits[1, column] = bad
        criterion = loss()
        assert not math.isfinite(criterion.forward(logits, targets))
        assert criterion.backward().shape == (2, 3)


def test_scalar_is_summed_in_float64():
    # In float32 a running sum of 2^24 + 1 + 1 + ... stays at 2^24.
    n = 64
    logits = np.zeros((n, 2), np.float32)
    logits[0, 1] = 2.0**24
    logits[1:, 1] = 1.0
    rest = math.log1p(math.exp(1.0))
    assert CrossEntropyLoss().forward(logits, np.zeros(n, int)) * n == pytest.approx(2**24 + (n - 1) * rest, abs=1e-4)


# -- softmax ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(4,), (3, 5), (2, 3, 7)])
def test_softmax_and_its_logarithm(shape, dtype, rng):
    z = rng.standard_normal(shape).astype(dtype)
    kept = z.copy()
    expected = np.exp(z.astype(np.float64)) / np.exp(z.astype(np.float64)).sum(axis=-1, keepdims=True)
    assert softmax(z).dtype == log_softmax(z).dtype == dtype
    np.testing.assert_allclose(softmax(z), expected, rtol=1e-6)
    np.testing.assert_allclose(log_softmax(z), np.log(expected), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(z, kept)


def test_softmax_refuses_what_it_cannot_take():
    with pytest.raises(TypeError, match="logits must be float32 or float64, got int64"):
        softmax([1, 2])
    for bad in (np.float64(1.0), np.zeros((3, 0))):
        with pytest.raises(ValueError, match=r"logits must be \(\.\.\., K\)"):
            log_softmax(bad)


# -- manners ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", BOTH)
def test_inputs_are_not_changed_and_results_not_shared(loss, rng):
    logits, soft = random_batch(rng, 3, 4, "soft")
    kept = logits.copy(), soft.copy()
    criterion = loss()
    value = criterion.forward(logits, soft)
    first = criterion.backward()
    keep_first = first.copy()
    first[...] = np.nan
    logits[...], soft[...] = np.nan, np.nan  # the loss holds nothing of the caller's
    np.testing.assert_array_equal(criterion.backward(), keep_first)
    assert criterion.forward(*kept) == value


@pytest.mark.parametrize("layout", ["reversed", "fortran", "strided", "read-only"])
@pytest.mark.parametrize("loss", BOTH)
def test_any_memory_layout(loss, layout, rng):
    logits, soft = random_batch(rng, 4, 6, "soft")
    wide = np.zeros((8, 12))
    wide[::2, ::2] = logits
    read_only = logits.copy()
    read_only.flags.writeable = False
    same = {
        "reversed": logits[::-1].copy()[::-1],
        "fortran": np.asfortranarray(logits),
        "strided": wide[::2, ::2],
        "read-only": read_only,
    }[layout]
    plain, other = loss(), loss()
    assert other.forward(same, soft) == pytest.approx(plain.forward(logits, soft), rel=1e-14)
    np.testing.assert_allclose(other.backward(), plain.backward(), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64])
def test_ids_of_any_integer_dtype(dtype, rng):
    logits, ids = random_batch(rng, 5, 7, "ids")
    assert CrossEntropyLoss()(logits, ids.astype(dtype)) == CrossEntropyLoss()(logits, ids)


def test_soft_targets_take_the_dtype_of_the_logits(rng):
    logits, soft = random_batch(rng, 5, 7, "soft", np.float32)
    criterion = CrossEntropyLoss()
    criterion.forward(logits, soft.astype(np.float64))
    assert criterion.backward().dtype == np.float32


def test_backward_is_that_of_the_last_forward(rng):
    first, second = random_batch(rng, 3, 4, "ids"), random_batch(rng, 5, 4, "ids")
    criterion, fresh = CrossEntropyLoss(), CrossEntropyLoss()
    criterion.forward(*first)
    criterion.forward(*second)
    fresh.forward(*second)
    np.testing.assert_array_equal(criterion.backward(), fresh.backward())


@pytest.mark.parametrize("loss", BOTH)
def test_backward_needs_a_forward(loss):
    with pytest.raises(RuntimeError, match=f"{loss.__name__}.backward needs a forward before it"):
        loss().backward()


Z = np.zeros((2, 3), np.float32)
Q = np.full((2, 3), 1 / 3)

BAD_INPUTS = {
    "integer logits": (np.zeros((2, 3), int), [0, 1], TypeError, "logits must be float32 or float64, got int64"),
    "half logits": (np.zeros((2, 3), np.float16), [0, 1], TypeError, "float32 or float64, got float16"),
    "flat logits": (np.zeros(3), [0], ValueError, r"logits must be \(N, K\).*got \(3,\)"),
    "image logits": (np.zeros((2, 1, 1, 3)), [0, 1], ValueError, r"got \(2, 1, 1, 3\)"),
    "empty batch": (np.zeros((0, 3)), [], ValueError, r"got \(0, 3\)"),
    "no classes": (np.zeros((2, 0)), [0, 0], ValueError, r"got \(2, 0\)"),
    "too few ids": (Z, [0], ValueError, r"ids \(2,\) or probabilities \(2, 3\), got \(1,\)"),
    "column of ids": (Z, [[0], [1]], ValueError, r"got \(2, 1\)"),
    "transposed soft": (Z, Q.T, ValueError, r"got \(3, 2\)"),
    "float ids": (Z, [0.0, 1.0], TypeError, "must be integer ids, got float64"),
    "boolean ids": (Z, [True, False], TypeError, "must be integer ids, got bool"),
    "names as ids": (Z, ["cat", "dog"], TypeError, "must be integer ids, got <U3"),
    "integer soft": (Z, [[1, 0, 0], [0, 1, 0]], TypeError, "must be floating probabilities, got int64"),
    "id too large": (Z, [0, 3], ValueError, "class ids must be from 0 to 2, got 0 to 3"),
    "negative id": (Z, [-1, 2], ValueError, "class ids must be from 0 to 2, got -1 to 2"),
    "rows of sum 0.5": (Z, [[1.0, 0, 0], [0.5, 0, 0]], ValueError, "row 1 sums to 0.5"),
    "rows of sum 1.002": (Z, 1.002 * Q, ValueError, "row 0 sums to 1.002"),
    "negative soft": (Z, [[1.0, 0, 0], [1.5, -0.5, 0]], ValueError, "row 1 sums to 1, its smallest entry is -0.5"),
    "nan soft": (Z, [[np.nan, 0, 1], [1.0, 0, 0]], ValueError, "row 0 sums to nan"),
    "infinite soft": (Z, [[1.0, 0, 0], [np.inf, -np.inf, 1]], ValueError, "row 1 sums to nan"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
@pytest.mark.parametrize("loss", BOTH)
def test_bad_inputs_are_refused_in_one_line(loss, name):
    logits, targets, error, message = BAD_INPUTS[name]
    criterion = loss()
    with pytest.raises(error, match=message) as caught:
        criterion.forward(logits, targets)
    assert "\n" not in str(caught.value)
    with pytest.raises(RuntimeError):  # nothing was kept of it
        criterion.backward()


@pytest.mark.parametrize("bad", [-0.1, 1.0, 1.5, math.nan, math.inf])
@pytest.mark.parametrize("loss", BOTH)
def test_label_smoothing_out_of_range(loss, bad):
    with pytest.raises(ValueError, match=r"label_smoothing must be at least 0 and below 1, got"):
        loss(label_smoothing=bad)


@pytest.mark.parametrize("bad", [[-1.0, 2.0], [[1.0, 0.0], [math.nan, 1.0]], [0.5, 0.6], 0.5, np.zeros((3, 0))])
def test_entropy_is_of_distributions(bad):
    with pytest.raises(ValueError, match=r"each row of probabilities must|\(\.\.\., K\) with K at least 1"):
        entropy(bad)
    with pytest.raises(TypeError, match="probabilities must be floating, got int64"):
        entropy([0, 1])


@pytest.mark.parametrize("bad", ["0.1", None, True, [0.1]])
def test_label_smoothing_of_another_type(bad):
    with pytest.raises(TypeError, match="label_smoothing must be a number, got"):
        CrossEntropyLoss(label_smoothing=bad)


def test_names_and_repr():
    assert losses.LOSSES is LOSSES
    assert list(LOSSES.items()) == [("cross-entropy", CrossEntropyLoss), ("kl-divergence", KLDivLoss)]
    assert repr(KLDivLoss(0.1)) == "KLDivLoss(label_smoothing=0.1)"
