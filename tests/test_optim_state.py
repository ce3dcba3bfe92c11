"""Optimizers: their state, and what they refuse."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from fastscratch import nn
from fastscratch.nn.parameter import Parameter
from fastscratch.optim import OPTIMIZERS, SGD, Adam, AdamW
from optimizer_cases import RULES, assert_same, make_parameters, set_gradients, values_of

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


def test_state_of_an_optimizer_that_took_no_step(rng):
    fresh, used = make_parameters(rng), make_parameters(rng)
    optimizer = Adam(used, lr=0.5)
    set_gradients(used, rng)
    optimizer.step()
    optimizer.load_state_dict(Adam(fresh, lr=0.25).state_dict())
    state = optimizer.state_dict()
    assert state["scalars"] == {"lr": 0.25, "step": 0}
    assert not any(array.any() for array in state["arrays"].values())


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
    "infinite lr": (lambda: AdamW([one()], math.inf), ValueError, "lr must be at least 0 and finite, got inf"),
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
    "eps 0 in float32": (
        lambda: Adam([one()], eps=1e-45),
        ValueError,
        r"eps must be at least 3\.72e-37 for float32 and beta 2 0\.999, got 1e-45",
    ),
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
    with pytest.raises(ValueError, match=r"lr must be at least 0( and finite)?, got"):
        optimizer.lr = bad
    assert optimizer.lr == 0.1
    optimizer.lr = np.float32(0.5)
    assert optimizer.lr == 0.5
    assert type(optimizer.lr) is float


def test_names_and_repr(rng):
    assert list(OPTIMIZERS.items()) == [("sgd", SGD), ("adam", Adam), ("adamw", AdamW)]
    assert repr(AdamW(make_parameters(rng), lr=3e-4)) == "AdamW(148 parameters, lr=0.0003)"


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("steps", [0, 3])
def test_a_copy_of_model_and_optimizer_trains_on_by_itself(name, steps, rng):
    cls, options = RULES[name]
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2), seed=0)
    model[0].bias.lr_scale = 0.5
    optimizer = cls(model.parameters(), **options)

    def step(parameters, optimizer, seed):
        set_gradients(parameters, np.random.default_rng(seed))
        optimizer.step()

    for seed in range(steps):
        step(model.parameters(), optimizer, seed)
    others, other = copy.deepcopy((model, optimizer))
    before = [value.copy() for value in values_of(model.parameters())]
    step(others.parameters(), other, seed=9)
    assert_same(values_of(model.parameters()), before)
    step(model.parameters(), optimizer, seed=9)
    assert_same(values_of(model.parameters()), values_of(others.parameters()))
    assert other.state_dict()["scalars"] == optimizer.state_dict()["scalars"]
    assert_same(other.state_dict()["arrays"].values(), optimizer.state_dict()["arrays"].values())


def test_a_copy_asks_for_gradients_too(rng):
    optimizer = copy.deepcopy(SGD(make_parameters(rng), lr=0.1))
    with pytest.raises(RuntimeError, match="no gradient for"):
        optimizer.step()
