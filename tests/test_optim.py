"""Optimizers: by hand, against PyTorch, resumed, and what they refuse."""

from __future__ import annotations

import copy
import math
import tracemalloc

import numpy as np
import pytest
import torch

from fastscratch import losses, nn, optim
from fastscratch.nn.module import Parameter
from fastscratch.optim import OPTIMIZERS, SGD, Adam, AdamW

SHAPES = [(3, 5, 2, 4), (4,), (7, 3), (3,)]

# Every option alone and together; the defaults are in it, too.
RULES = {
    "sgd": (SGD, {"lr": 0.1}),
    "sgd decay": (SGD, {"lr": 0.1, "weight_decay": 0.05}),
    "sgd momentum": (SGD, {"lr": 0.1, "momentum": 0.8}),
    "sgd momentum decay": (SGD, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.05}),
    "sgd nesterov": (SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
    "sgd nesterov decay": (SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.05}),
    "adam": (Adam, {}),
    "adam options": (Adam, {"lr": 0.02, "betas": (0.7, 0.95), "eps": 1e-3}),
    "adam beta 0": (Adam, {"lr": 0.02, "betas": (0.0, 0.0), "eps": 0.1}),
    "adam decay": (Adam, {"lr": 0.02, "weight_decay": 0.3}),
    "adamw": (AdamW, {}),
    "adamw options": (AdamW, {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-2, "weight_decay": 0.3}),
    "adamw no decay": (AdamW, {"lr": 0.02, "weight_decay": 0.0}),
}


def make_parameters(rng, dtype=np.float32, shapes=SHAPES):
    parameters = [Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]
    for index, parameter in enumerate(parameters):
        parameter.name = f"{index}.weight"
    return parameters


def set_gradients(parameters, rng):
    """Set random gradients of sizes between 1e-4 and 1; of one number never any."""
    for parameter in parameters:
        grad = rng.standard_normal(parameter.shape) * 10.0 ** rng.uniform(-4, 0, parameter.shape)
        grad.flat[0] = 0.0
        parameter.set_grad(grad.astype(parameter.value.dtype))


def values_of(parameters):
    return [parameter.value.copy() for parameter in parameters]


def assert_same(first, second):
    for left, right in zip(first, second, strict=True):
        np.testing.assert_array_equal(left, right)


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
        set_gradients(ours, rng)
        for parameter, other in zip(ours, theirs, strict=True):
            other.grad = torch.tensor(parameter.grad)
        optimizer.step()
        reference.step()
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

    expected = train(whole)
    monkeypatch.setattr(optim, "CHUNK", 13)  # borders inside parameters, and a rest
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


# -- state -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", RULES)
def test_resumed_optimizer_goes_on_with_the_same_bits(name, dtype, rng):
    cls, options = RULES[name]
    parameters = make_parameters(rng, dtype)
    optimizer = cls(parameters, **options)
    for _ in range(4):
        set_gradients(parameters, rng)
        optimizer.step()
    optimizer.lr = 0.0123
    state = copy.deepcopy(optimizer.state_dict())
    assert state["scalars"] == {"lr": 0.0123, "step": 4}
    others = [Parameter(parameter.value.copy()) for parameter in parameters]
    resumed = cls(others, **options)
    resumed.load_state_dict(state)
    for _ in range(4):
        set_gradients(parameters, rng)
        for parameter, other in zip(parameters, others, strict=True):
            other.set_grad(parameter.grad)
        optimizer.step()
        resumed.step()
    assert_same(values_of(parameters), values_of(others))
    assert_same(optimizer.state_dict()["arrays"].values(), resumed.state_dict()["arrays"].values())


def test_state_is_a_copy_both_ways(rng):
    parameters = make_parameters(rng)
    optimizer = Adam(parameters)
    set_gradients(parameters, rng)
    optimizer.step()
    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    optimizer.step()
    assert_same(state["arrays"].values(), kept["arrays"].values())
    optimizer.load_state_dict(state)
    state["arrays"]["m"][...] = 99
    assert_same(optimizer.state_dict()["arrays"].values(), kept["arrays"].values())


def broken(change):
    def make(state):
        change(state)
        return state

    return make


BAD_STATES = {
    "empty": (lambda state: {}, r"arrays of Adam are \['m', 'v'\], got \[\]"),
    "v is missing": (broken(lambda s: s["arrays"].pop("v")), r"arrays of Adam are \['m', 'v'\], got \['m'\]"),
    "of SGD": (
        broken(lambda s: s["arrays"].update(velocity=s["arrays"].pop("m"))),
        r"arrays of Adam are \['m', 'v'\], got \['v', 'velocity'\]",
    ),
    "no scalars": (broken(lambda s: s.pop("scalars")), r"scalars of Adam are \['lr', 'step'\], got \[\]"),
    "extra scalar": (broken(lambda s: s["scalars"].update(eps=1)), r"got \['eps', 'lr', 'step'\]"),
    "of another model": (
        broken(lambda s: s["arrays"].update(v=np.zeros(7, np.float32))),
        r"v of Adam has shape \(148,\) and dtype float32, got \(7,\) and float32",
    ),
    "of another dtype": (
        broken(lambda s: s["arrays"].update(m=np.zeros(148))),
        r"m of Adam has shape \(148,\) and dtype float32, got \(148,\) and float64",
    ),
    "negative step": (broken(lambda s: s["scalars"].update(step=-1)), "step must be a number of steps, got -1"),
    "half a step": (broken(lambda s: s["scalars"].update(step=0.5)), "step must be a number of steps, got 0.5"),
    "negative lr": (broken(lambda s: s["scalars"].update(lr=-1.0)), "lr must be at least 0, got -1.0"),
}


@pytest.mark.parametrize("name", BAD_STATES)
def test_bad_states_are_refused_and_change_nothing(name, rng):
    change, message = BAD_STATES[name]
    parameters = make_parameters(rng)
    optimizer = Adam(parameters)
    set_gradients(parameters, rng)
    optimizer.step()
    before = optimizer.state_dict()
    state = copy.deepcopy(before)
    for array in state["arrays"].values():
        array += 1
    state["scalars"] = {"lr": 0.5, "step": 9}
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(change(state))
    after = optimizer.state_dict()
    assert after["scalars"] == before["scalars"]
    assert_same(after["arrays"].values(), before["arrays"].values())


# -- misuse ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_step_before_any_backward(dtype, rng):
    parameters = make_parameters(rng, dtype)
    before = values_of(parameters)
    optimizer = Adam(parameters)
    with pytest.raises(RuntimeError, match=r"no gradient for '0\.weight', .*, '3\.weight': call model"):
        optimizer.step()
    parameters[0].set_grad(np.ones(parameters[0].shape))
    parameters[2].set_grad(np.ones(parameters[2].shape))
    with pytest.raises(RuntimeError, match=r"no gradient for '1\.weight', '3\.weight': call model\.backward before"):
        optimizer.step()
    assert_same(values_of(parameters), before)
    assert optimizer.state_dict()["scalars"]["step"] == 0
    set_gradients(parameters, rng)
    optimizer.step()
    assert optimizer.state_dict()["scalars"]["step"] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_that_are_nan_are_not_taken_for_missing(dtype, rng):
    parameters = make_parameters(rng, dtype)
    optimizer = SGD(parameters, lr=0.1)
    with np.errstate(invalid="ignore"):
        computed = np.array(np.inf, dtype) - np.array(np.inf, dtype)
    for parameter, nan in zip(parameters, (np.nan, -np.nan, computed, -computed), strict=True):
        parameter.set_grad(np.full(parameter.shape, nan, dtype))
    optimizer.step()
    assert all(np.isnan(parameter.value).all() for parameter in parameters)


def test_second_optimizer_does_not_take_the_missing_gradients_of_the_first_for_gradients(rng):
    parameters = make_parameters(rng)
    Adam(parameters)
    with pytest.raises(RuntimeError, match="no gradient for"):
        SGD(parameters, lr=0.1).step()


def test_parameters_that_moved_away():
    model = nn.Sequential(nn.Linear(3, 2), seed=0)
    optimizer = SGD(model.parameters(), lr=0.1)
    model.astype(np.float64)
    with pytest.raises(RuntimeError, match=r"parameter '0\.weight' no longer lies .* make the optimizer after astype"):
        optimizer.step()


@pytest.mark.parametrize("kind", ["value", "grad"])
def test_one_array_that_was_replaced(kind, rng):
    parameters = make_parameters(rng)
    optimizer = SGD(parameters, lr=0.1)
    set_gradients(parameters, rng)
    setattr(parameters[2], kind, getattr(parameters[2], kind).copy())
    before = values_of(parameters)
    with pytest.raises(RuntimeError, match=r"parameter '2\.weight' no longer lies in this optimizer's arrays"):
        optimizer.step()
    assert_same(values_of(parameters), before)


def test_second_optimizer_takes_over(rng):
    parameters = make_parameters(rng)
    first = SGD(parameters, lr=0.1)
    set_gradients(parameters, rng)
    expected = [parameter.value - np.float32(0.5) * parameter.grad for parameter in parameters]
    second = SGD(parameters, lr=0.5)
    second.step()
    assert_same(values_of(parameters), expected)
    with pytest.raises(RuntimeError, match="given to another optimizer"):
        first.step()


def one(dtype=np.float32):
    return Parameter(np.zeros(3, dtype))


def twice():
    parameter = one()
    parameter.name = "0.bias"
    return [one(), parameter, parameter]


BAD_ARGUMENTS = {
    "no parameters": (lambda: SGD([], 0.1), ValueError, "at least one parameter, got none"),
    "one parameter": (lambda: SGD(one(), 0.1), TypeError, "takes a list of Parameters, .* got Parameter"),
    "a model": (lambda: SGD(nn.Linear(2, 2), 0.1), TypeError, r"model\.parameters\(\), got Linear"),
    "arrays": (lambda: SGD([np.zeros(3)], 0.1), TypeError, r"takes Parameters, model\.parameters\(\), got ndarray"),
    "twice": (lambda: SGD(twice(), 0.1), ValueError, "parameter '0.bias' is listed twice"),
    "empty": (lambda: SGD([Parameter(np.zeros((0, 3)))], 0.1), ValueError, r"'' holds no numbers: shape \(0, 3\)"),
    "integers": (lambda: SGD([one(np.int64)], 0.1), TypeError, "parameters are float32 or float64, '' is int64"),
    "mixed": (lambda: SGD([one(), one(np.float64)], 0.1), TypeError, "one dtype: '' is float32, '' is float64"),
    "sgd lr": (lambda: SGD([one()], -0.1), ValueError, "lr must be at least 0, got -0.1"),
    "adam lr": (lambda: Adam([one()], math.nan), ValueError, "lr must be at least 0, got nan"),
    "infinite lr": (lambda: AdamW([one()], math.inf), ValueError, "lr must be at least 0, got inf"),
    "lr text": (lambda: Adam([one()], "1e-3"), TypeError, "lr must be a number, got '1e-3'"),
    "momentum 1": (lambda: SGD([one()], 0.1, 1.0), ValueError, "momentum must be at least 0 and below 1, got 1.0"),
    "momentum -1": (lambda: SGD([one()], 0.1, -1.0), ValueError, "momentum must be at least 0 and below 1, got -1.0"),
    "nesterov": (lambda: SGD([one()], 0.1, nesterov=True), ValueError, "nesterov needs a momentum above 0"),
    "sgd decay": (lambda: SGD([one()], 0.1, weight_decay=-1), ValueError, "weight_decay must be at least 0, got -1"),
    "adam decay": (lambda: Adam([one()], weight_decay=-1), ValueError, "weight_decay must be at least 0, got -1"),
    "beta 1": (lambda: Adam([one()], betas=(1.0, 0.9)), ValueError, "beta 1 must be at least 0 and below 1, got 1.0"),
    "beta 2": (lambda: Adam([one()], betas=(0.9, -0.1)), ValueError, "beta 2 must be at least 0 and below 1, got -0.1"),
    "one beta": (lambda: Adam([one()], betas=0.9), ValueError, "betas must be two numbers, got 0.9"),
    "three betas": (lambda: Adam([one()], betas=(0.9,) * 3), ValueError, "betas must be two numbers"),
    "eps 0": (lambda: AdamW([one()], eps=0.0), ValueError, "eps must be above 0, got 0.0"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments_are_refused_in_one_line(name):
    make, error, message = BAD_ARGUMENTS[name]
    with pytest.raises(error, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_refused_parameters_are_left_alone(rng):
    parameters = make_parameters(rng)
    arrays = [parameter.value for parameter in parameters]
    with pytest.raises(ValueError, match="listed twice"):
        SGD([*parameters, parameters[0]], lr=0.1)
    assert all(parameter.value is array for parameter, array in zip(parameters, arrays, strict=True))
    assert all(parameter.grad is None for parameter in parameters)


@pytest.mark.parametrize("bad", [-1e-3, math.nan, math.inf])
def test_learning_rate_that_is_set_is_checked(bad, rng):
    optimizer = SGD(make_parameters(rng), lr=0.1)
    with pytest.raises(ValueError, match="lr must be at least 0, got"):
        optimizer.lr = bad
    assert optimizer.lr == 0.1
    optimizer.lr = np.float32(0.5)
    assert optimizer.lr == 0.5
    assert type(optimizer.lr) is float


def test_names_and_repr(rng):
    assert list(OPTIMIZERS.items()) == [("sgd", SGD), ("adam", Adam), ("adamw", AdamW)]
    assert repr(AdamW(make_parameters(rng), lr=3e-4)) == "AdamW(148 parameters, lr=0.0003)"
