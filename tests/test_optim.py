"""Optimizers: by hand, against PyTorch, and over one array."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch

import fastscratch_kernels as kernels
from fastscratch import losses, nn
from fastscratch.nn.parameter import Parameter
from fastscratch.optim import SGD, Adam, AdamW
from fastscratch_kernels import optimizer_step_numpy
from optimizer_cases import RULES, SHAPES, assert_same, make_parameters, set_gradients, values_of

# -- the rules -------------------------------------------------------------------------------------------------------


def one_number(value=2.0):
    parameter = Parameter(np.array([value]))
    parameter.name = "weight"
    return parameter


def run(make, gradients, value=2.0):
    """Return the values of one number along steps with the given gradients."""
    parameter = one_number(value)
    optimizer = make([parameter])
    path = []
    for gradient in gradients:
        parameter.set_grad(np.array([gradient]))
        optimizer.step()
        path.append(float(parameter.value[0]))
    return path


def step_both(ours, theirs, optimizer, reference, rng):
    """Let both optimizers take a step by the same gradients."""
    set_gradients(ours, rng)
    for parameter, other in zip(ours, theirs, strict=True):
        other.grad = torch.tensor(parameter.grad)
    optimizer.step()
    reference.step()


def test_sgd_by_hand():
    assert run(lambda p: SGD(p, 0.1), [1.0, -2.0]) == pytest.approx([1.9, 2.1], rel=1e-15)
    assert run(lambda p: SGD(p, 0.1, weight_decay=0.5), [1.0]) == pytest.approx([2 - 0.1 * (1 + 0.5 * 2)], rel=1e-15)


def test_momentum_by_hand():
    # velocities 1, 0.5 * 1 + 3 = 3.5; Nesterov goes along 1 + 0.5 * 1, then 3 + 0.5 * 3.5
    assert run(lambda p: SGD(p, 0.1, momentum=0.5), [1.0, 3.0]) == pytest.approx([1.9, 1.55], rel=1e-15)
    path = run(lambda p: SGD(p, 0.1, momentum=0.5, nesterov=True), [1.0, 3.0])
    assert path == pytest.approx([1.85, 1.85 - 0.475], rel=1e-15)


def test_adam_by_hand():
    # m = 0.5, 1.75; v = 0.25, 2.4375; hats 1, 7/3; 1, 39/7; betas 0.5 and 0.75
    path = run(lambda p: Adam(p, 0.1, betas=(0.5, 0.75), eps=0.5), [1.0, 3.0])
    first = 2 - 0.1 * 1 / (1 + 0.5)
    assert path == pytest.approx([first, first - 0.1 * (7 / 3) / (math.sqrt(39 / 7) + 0.5)], rel=1e-14)


def test_adams_first_step_is_of_the_size_of_the_learning_rate():
    for gradient in (1e-3, 5.0, -1e4):
        path = run(lambda p: Adam(p, 0.01), [gradient])
        assert path == pytest.approx([2 - math.copysign(0.01, gradient)], rel=1e-6)


def test_weight_decay_of_adam_and_adamw_by_hand():
    # Adam's decay passes through the division: the step keeps its size; AdamW's shrinks the value by lr * decay.
    assert run(lambda p: Adam(p, 0.1, weight_decay=0.5), [1e-3]) == pytest.approx([1.9], rel=1e-6)
    assert run(lambda p: AdamW(p, 0.1, weight_decay=0.5), [1e-3]) == pytest.approx([2 * 0.95 - 0.1], rel=1e-5)
    assert run(lambda p: AdamW(p, 0.1, weight_decay=0.5), [0.0]) == pytest.approx([2 * 0.95], rel=1e-15)


def test_a_number_without_gradient_stays():
    for make in (lambda p: SGD(p, 0.1, momentum=0.9), lambda p: Adam(p, 0.1), lambda p: AdamW(p, 0.1, weight_decay=0)):
        assert run(make, [0.0] * 5) == [2.0] * 5


def test_learning_rate_zero_stands_still_but_remembers():
    parameter = one_number()
    optimizer = SGD([parameter], lr=0.0, momentum=0.5)
    parameter.set_grad(np.array([1.0]))
    optimizer.step()
    assert parameter.value[0] == 2.0
    optimizer.lr = 0.1
    optimizer.step()
    assert parameter.value[0] == pytest.approx(2 - 0.1 * 1.5)


def test_defaults_of_adam_and_adamw():
    rng = np.random.default_rng(0)
    for cls, decay in ((Adam, 0.0), (AdamW, 0.01)):
        optimizer = cls(make_parameters(rng))
        assert (optimizer.lr, optimizer.betas, optimizer.eps) == (1e-3, (0.9, 0.999), 1e-8)
        assert optimizer.weight_decay == decay


@pytest.mark.torch
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", RULES)
def test_twenty_steps_follow_torch(name, dtype, rng):
    cls, options = RULES[name]
    ours = make_parameters(rng, dtype)
    theirs = [torch.nn.Parameter(torch.tensor(parameter.value)) for parameter in ours]
    optimizer = cls(ours, **options)
    reference = getattr(torch.optim, cls.__name__)(theirs, **options)
    rtol, atol = (3e-6, 3e-7) if dtype == np.float32 else (1e-13, 1e-15)
    for step in range(20):
        set_gradients(ours, rng)
        for parameter, other in zip(ours, theirs, strict=True):
            other.grad = torch.tensor(parameter.grad)
        if step == 10:  # as a schedule would
            optimizer.lr *= 0.3
            reference.param_groups[0]["lr"] *= 0.3
        optimizer.step()
        reference.step()
        for parameter, other in zip(ours, theirs, strict=True):
            assert parameter.value.dtype == dtype
            np.testing.assert_allclose(parameter.value, other.detach().numpy(), rtol=rtol, atol=atol)


@pytest.mark.torch
@pytest.mark.parametrize("name", RULES)
def test_parameters_with_rates_of_their_own_follow_torch(name, rng):
    cls, options = RULES[name]
    ours = make_parameters(rng, np.float64)
    scales = (3.0, 3.0, 0.0, 0.5)
    for parameter, scale in zip(ours, scales, strict=True):
        parameter.lr_scale = scale
    start = values_of(ours)
    theirs = [torch.nn.Parameter(torch.tensor(parameter.value)) for parameter in ours]
    optimizer = cls(ours, **options)
    rate, decay = optimizer.lr, options.get("weight_decay", 0.01 if cls is AdamW else 0.0)
    # Decay goes with the rate that all have in common, not with a parameter's own.
    groups = [
        {"params": [other], "lr": rate * scale, "weight_decay": decay / scale}
        for other, scale in zip(theirs, scales, strict=True)
        if scale
    ]
    reference = getattr(torch.optim, cls.__name__)(groups, **options)
    for _ in range(5):
        step_both(ours, theirs, optimizer, reference, rng)
    for parameter, other, before, scale in zip(ours, theirs, start, scales, strict=True):
        np.testing.assert_allclose(parameter.value, other.detach().numpy(), rtol=1e-12, atol=1e-15)
        assert np.array_equal(parameter.value, before) == (scale == 0)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("sgd momentum decay", {"velocity": "momentum_buffer"}),
        ("adam decay", {"m": "exp_avg", "v": "exp_avg_sq"}),
        ("adamw options", {"m": "exp_avg", "v": "exp_avg_sq"}),
    ],
)
def test_what_is_remembered_is_what_torch_remembers(name, pairs, rng):
    cls, options = RULES[name]
    ours = make_parameters(rng, np.float64)
    theirs = [torch.nn.Parameter(torch.tensor(parameter.value)) for parameter in ours]
    optimizer = cls(ours, **options)
    reference = getattr(torch.optim, cls.__name__)(theirs, **options)
    for _ in range(3):
        step_both(ours, theirs, optimizer, reference, rng)
    arrays = optimizer.state_dict()["arrays"]
    assert set(arrays) == set(pairs)
    for mine, its in pairs.items():
        flat = np.concatenate([reference.state[other][its].numpy().ravel() for other in theirs])
        np.testing.assert_allclose(arrays[mine], flat, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("name", RULES)
def test_chunks_change_nothing(name, rng, monkeypatch):
    cls, options = RULES[name]
    whole = make_parameters(rng)
    start = values_of(whole)

    def train(parameters):
        optimizer, gradients = cls(parameters, **options), np.random.default_rng(5)
        for _ in range(3):
            set_gradients(parameters, gradients)
            optimizer.step()
        return values_of(parameters), list(optimizer.state_dict()["arrays"].values())

    with kernels.use_backend("numpy"):
        expected = train(whole)
        monkeypatch.setattr(optimizer_step_numpy, "CHUNK", 13)  # borders inside parameters, and a rest
        size = sum(parameter.size for parameter in whole)
        assert size > 13
        assert size % 13
        values, arrays = train([Parameter(value.copy()) for value in start])
    assert_same(values, expected[0])
    assert_same(arrays, expected[1])
    assert not any(np.array_equal(value, before) for value, before in zip(values, start, strict=True))


# -- one array -------------------------------------------------------------------------------------------------------


def test_values_and_gradients_lie_in_two_arrays_in_order(rng):
    parameters = make_parameters(rng)
    before = values_of(parameters)
    optimizer = SGD(parameters, lr=0.1)
    assert optimizer.parameters == parameters
    assert_same(values_of(parameters), before)
    for kind in ("value", "grad"):
        views = [getattr(parameter, kind) for parameter in parameters]
        assert [view.shape for view in views] == SHAPES
        assert all(view.flags.c_contiguous and view.flags.writeable for view in views)
        addresses = [view.ctypes.data for view in views]
        ends = [address + view.nbytes for address, view in zip(addresses, views, strict=True)]
        assert addresses[1:] == ends[:-1]


def test_parameters_may_come_from_an_iterator(rng):
    parameters = make_parameters(rng)
    optimizer = SGD(iter(parameters), lr=0.1)
    assert optimizer.parameters == parameters
    set_gradients(parameters, rng)
    before = values_of(parameters)
    optimizer.step()
    assert not any(map(np.array_equal, values_of(parameters), before))


def test_gradients_set_before_the_optimizer_was_made_count(rng):
    parameters = make_parameters(rng)
    set_gradients(parameters, rng)
    expected = [parameter.value - np.float32(0.1) * parameter.grad for parameter in parameters]
    SGD(parameters, lr=0.1).step()
    assert_same(values_of(parameters), expected)


@pytest.mark.parametrize("name", RULES)
def test_step_leaves_the_gradients_alone(name, rng):
    cls, options = RULES[name]
    parameters = make_parameters(rng)
    optimizer = cls(parameters, **options)
    set_gradients(parameters, rng)
    before = [parameter.grad.copy() for parameter in parameters]
    optimizer.step()
    assert_same([parameter.grad for parameter in parameters], before)


@pytest.mark.parametrize("name", RULES)
def test_step_allocates_nothing(name, rng):
    cls, options = RULES[name]
    parameters = make_parameters(rng, shapes=[(300, 400), (400,)])
    optimizer = cls(parameters, **options)
    set_gradients(parameters, rng)
    for _ in range(3):
        optimizer.step()
    tracemalloc.start()
    try:
        for _ in range(3):
            optimizer.step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000  # bytes: Python's own numbers, where one array would be 480,000


@pytest.mark.parametrize("cls", [SGD, Adam, AdamW])
def test_model_trains_through_the_views(cls, rng):
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3), seed=1)
    criterion = losses.CrossEntropyLoss()
    optimizer = cls(model.parameters(), lr=0.05)
    x = rng.standard_normal((16, 6)).astype(np.float32)
    labels = np.abs(x[:, :3]).argmax(axis=1)
    start, values = [], values_of(model.parameters())
    for _ in range(150):
        start.append(criterion.forward(model.forward(x), labels))
        model.backward(criterion.backward(), input_grad=False)
        optimizer.step()
    assert start[-1] < 0.6 * start[0]
    for parameter, before in zip(model.parameters(), values, strict=True):
        assert not np.array_equal(parameter.value, before)


def test_state_loaded_into_the_model_reaches_the_optimizer(rng):
    model = nn.Sequential(nn.Linear(3, 2), seed=1)
    optimizer = SGD(model.parameters(), lr=1.0)
    model.load_state_dict({name: np.zeros_like(value) for name, value in model.state_dict().items()})
    set_gradients(model.parameters(), rng)
    optimizer.step()
    assert_same(values_of(model.parameters()), [-parameter.grad for parameter in model.parameters()])


def test_huge_gradients_neither_warn_nor_raise(rng):
    parameters = make_parameters(rng)
    optimizer = Adam(parameters)
    for parameter in parameters:
        parameter.set_grad(np.full(parameter.shape, 1e30))
    with np.errstate(all="raise"):
        optimizer.step()
    assert all(np.isfinite(parameter.value).all() for parameter in parameters)
