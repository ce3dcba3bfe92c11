"""What is timed: the same batches, the same work after every reset."""

import time

import engine_fastscratch
import numpy as np
import pytest
import shapes
from engine_fastscratch import FastscratchEngine
from loading import exhaust, moments
from tasks import Batches, Task

import fastscratch_kernels as kernels
from fastscratch_kernels import _registry


@pytest.fixture
def engine():
    with kernels.use_backend("numpy"):
        yield FastscratchEngine("numpy")


def test_batches_repeat_after_an_epoch_and_after_rewinding():
    batches = Batches(7, 3)
    first, second, third = batches.take(), batches.take(), batches.take()
    assert len(set(first) | set(second)) == 6
    np.testing.assert_array_equal(first, third)
    batches.rewind()
    np.testing.assert_array_equal(batches.take(), first)


def test_a_reset_goes_back_to_the_first_weights_and_the_first_batch(engine):
    task = engine.training("baseline", 2, 8)
    first = [task.result()[0] for _ in range(3)]
    assert len({float(loss) for loss in first}) == 3, "it trains"
    task.reset()
    assert [task.result()[0] for _ in range(3)] == first


def test_time_resets_wakes_and_counts():
    calls = []
    task = Task(lambda: calls.append("call"), list, lambda: calls.append("reset"))
    assert task.time(3) > 0
    assert calls == ["reset", "call", "reset", "call", "call", "call"]


def test_waking_may_take_a_while():
    calls = []
    task = Task(lambda: calls.append(time.sleep(0.002)), list)
    assert task.time(1, wake=0.02) >= 0.002
    assert 3 <= len(calls) <= 11


def test_long_calls_need_no_waking():
    calls = []
    task = Task(lambda: calls.append("call"), list, lambda: calls.append("reset"))
    assert task.time(2, wake=None) > 0
    assert calls == ["reset", "call", "call"]


def test_loading_goes_through_one_epoch_after_the_other(engine, monkeypatch):
    served = []
    monkeypatch.setattr(engine_fastscratch, "exhaust", lambda batches: served.append([x.shape for x, _ in batches]))
    task = engine.loading("report", 4, 10)
    task.call()
    task.call()
    assert served == [[(4, 32, 32, 3)] * 2] * 2
    assert task.result() == []


@pytest.mark.torch
@pytest.mark.parametrize("augment", ["none", "flip-crop"])
def test_the_other_loader_serves_as_many_images(augment, monkeypatch):
    import engine_torch

    served = []
    monkeypatch.setattr(engine_torch, "exhaust", lambda batches: served.extend((x.shape, y.shape) for x, y in batches))
    engine_torch.TorchEngine("contiguous").loading(augment, 4, 10).call()
    assert served == [((4, 3, 32, 32), (4,))] * 2


@pytest.mark.torch
@pytest.mark.parametrize("workers", [0, None])
def test_both_loaders_normalize_alike(engine, workers):
    from engine_torch import TorchEngine

    ours = engine.loading("none", 4, 8).result()
    theirs = TorchEngine("contiguous", workers=workers).loading("none", 4, 8).result()
    # By index, levels are scaled and moved in two operations, not in three.
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=0 if workers == 0 else 1e-6)


@pytest.mark.torch
def test_batches_by_index_are_augmented():
    import torch
    from batches_torch import IndexedBatches

    torch.manual_seed(0)
    served = list(IndexedBatches("flip-crop", 4, 10))
    assert [(x.shape, y.shape) for x, y in served] == [((4, 3, 32, 32), (4,))] * 2
    lowest = torch.stack([x.amin() for x, _ in served]).min()
    bordered = [int((image == image.amin((1, 2), keepdim=True)).all(2).any()) for x, _ in served for image in x]
    assert lowest < -1.5
    assert sum(bordered) > 4, "most are shifted, and a border of zeros comes in"


def test_an_epoch_is_exhausted():
    batches = iter(range(3))
    exhaust(batches)
    assert list(batches) == []


@pytest.mark.torch
def test_a_reset_of_the_other_engine_keeps_memory_and_begins_anew():
    from engine_torch import TorchEngine

    task = TorchEngine("contiguous").training("baseline", 2, 8)
    first = [float(task.result()[0]) for _ in range(3)]
    assert len(set(first)) == 3
    task.reset()
    assert [float(task.result()[0]) for _ in range(3)] == first


def test_without_kernels_a_step_changes_nothing(engine, monkeypatch):
    monkeypatch.setattr(_registry, "_functions", dict(_registry._functions))
    task = engine.training_without_kernels("baseline", 2, 4)
    kernel = _registry.kernel("adam_step")
    assert kernel("anything", at="all") is None
    assert task.time(2) > 0


def test_moments_do_not_depend_on_the_order():
    x = np.arange(8.0).reshape(2, 4)
    forward, backward = moments([(x[0], 0), (x[1], 0)]), moments([(x[1], 0), (x[0], 0)])
    assert forward == backward == [3.5, 17.5]


@pytest.mark.torch
@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("name", shapes.ALL)
def test_every_op_is_the_same_on_both_engines(engine, name):
    from engine_torch import TorchEngine

    for backward in (False, True) if getattr(shapes.ALL[name], "both_ways", True) else (False,):
        ours = engine.op(shapes.ALL[name], 1, "float64", backward).result()
        theirs = TorchEngine("channels_last").op(shapes.ALL[name], 1, "float64", backward).result()
        for got, wanted in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.torch
def test_learners_start_from_the_same_weights(engine, rng):
    from engine_torch import TorchEngine

    images, labels = rng.standard_normal((6, 32, 32, 3), dtype=np.float32), rng.integers(0, 10, 6)
    ours, theirs = engine.learner("baseline", 3), TorchEngine("channels_last").learner("baseline", 3)
    for learner in (ours, theirs):
        for _ in range(3):
            learner.train(images, labels, 1e-3)
    np.testing.assert_array_equal(ours.predict(images), theirs.predict(images))


@pytest.mark.torch
def test_learners_have_the_rates_of_their_parameters_and_have_seen_images(engine, rng):
    from engine_torch import TorchEngine

    images, labels = rng.standard_normal((64, 32, 32, 3), dtype=np.float32), rng.integers(0, 10, 64)
    ours = engine.learner("speedrun", 3, images)
    theirs = TorchEngine("channels_last").learner("speedrun", 3, images)
    for learner in (ours, theirs):
        learner.train(images, labels, 1e-3)
    twins = dict(theirs._model.named_parameters())
    for name, parameter in ours._model.named_parameters():
        twin = twins[name].detach().numpy()
        if parameter.lr_scale != 1:
            np.testing.assert_allclose(parameter.value, twin, atol=1e-2 * 64e-3, err_msg=name)
            assert np.abs(twin - (name.endswith("weight"))).max() == pytest.approx(1e-3 * parameter.lr_scale, rel=0.05)


def test_thread_counts_double_up_to_the_most():
    import scaling

    assert [scaling.thread_counts(most) for most in (1, 2, 6, 16)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8, 16]]


def test_at_each_point_the_faster_layout_counts():
    import scaling

    lines = {"torch a": [(1, 2.0), (2, 5.0)], "torch b": [(1, 3.0), (2, 4.0)], "cython": [(1, 1.0), (2, 2.0)]}
    cython = {"cython": lines["cython"]}
    assert scaling.with_faster_torch(lines, min) == {"torch a, b": [(1, 2.0), (2, 4.0)]} | cython
    assert scaling.with_faster_torch(lines, max) == {"torch b, a": [(1, 3.0), (2, 5.0)]} | cython
    lines["torch b"][1] = (2, 6.0)
    assert scaling.with_faster_torch(lines, min) == {"torch a": lines["torch a"]} | cython
