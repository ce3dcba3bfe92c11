"""Learning rates over time: by hand, against PyTorch, and resumed."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from fastscratch import nn, optim, schedules
from fastscratch.nn.parameter import Parameter
from fastscratch.schedules import SCHEDULES, ConstantLR, CosineLR, MultiStepLR, OneCycleLR, StepLR

BASE = 0.3


def optimizer(lr=BASE):
    return optim.SGD([Parameter(np.zeros(2))], lr=lr)


MAKERS = {
    "constant": ConstantLR,
    "step": lambda o: StepLR(o, step_size=3, gamma=0.7),
    "multistep": lambda o: MultiStepLR(o, milestones=[2, 5, 6], gamma=0.5),
    "cosine": lambda o: CosineLR(o, total_steps=12, final_lr=0.01),
    "cosine with warm-up": lambda o: CosineLR(o, total_steps=12, warmup_steps=4, final_lr=0.01),
    "onecycle": lambda o: OneCycleLR(o, max_lr=0.9, total_steps=12, pct_start=0.25),
}


def walk(schedule, steps):
    """Return the optimizer's learning rate at t = 0 ... steps."""
    rates = [schedule.optimizer.lr]
    for _ in range(steps):
        schedule.step()
        rates.append(schedule.optimizer.lr)
    return rates


# -- by hand ---------------------------------------------------------------------------------------------------------


def test_constant():
    assert walk(ConstantLR(optimizer()), 5) == [BASE] * 6


def test_step_by_hand():
    rates = walk(StepLR(optimizer(1.0), step_size=2, gamma=0.5), 6)
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert walk(StepLR(optimizer(1.0), step_size=1), 2) == pytest.approx([1, 0.1, 0.01])


def test_multistep_by_hand():
    rates = walk(MultiStepLR(optimizer(1.0), milestones=(1, 4), gamma=0.5), 5)
    assert rates == [1, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert walk(MultiStepLR(optimizer(1.0), [1]), 1) == pytest.approx([1, 0.1])


def test_cosine_by_hand():
    half = math.sqrt(0.5)
    expected = [1.0, (1 + half) / 2, 0.5, (1 - half) / 2, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(walk(CosineLR(optimizer(1.0), total_steps=4), 6), expected, atol=1e-16)
    rates = walk(CosineLR(optimizer(1.0), total_steps=4, final_lr=0.2), 6)
    np.testing.assert_allclose(rates, 0.2 + 0.8 * np.array(expected), rtol=1e-15)


def test_warm_up_by_hand():
    rates = walk(CosineLR(optimizer(1.0), total_steps=5, warmup_steps=3), 7)
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75, 1.0, 0.5, 0.0, 0.0, 0.0], atol=1e-16)


def test_one_cycle_by_hand():
    schedule = OneCycleLR(optimizer(), 1.0, total_steps=7, pct_start=3 / 7, div_factor=4, final_div_factor=10)
    low, last = 0.25, 0.025
    half = math.sqrt(0.5)
    down = [last + (1 - last) * (1 + c) / 2 for c in (half, 0, -half)]
    np.testing.assert_allclose(
        walk(schedule, 9), [low, (1 + low) / 2, 1.0, *down, last, last, last, last], rtol=1e-14
    )


# -- against PyTorch -------------------------------------------------------------------------------------------------


def torch_rates(make, steps, lr=BASE):
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedule = make(theirs)
    rates = [theirs.param_groups[0]["lr"]]
    for _ in range(steps):
        theirs.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SequentialLR's own use of a deprecated argument
            schedule.step()
        rates.append(theirs.param_groups[0]["lr"])
    return rates


TORCH = {
    "step": (
        lambda o: StepLR(o, step_size=3, gamma=0.7),
        lambda o: lr_scheduler.StepLR(o, step_size=3, gamma=0.7),
        20,
    ),
    "step, PyTorch's gamma": (
        lambda o: StepLR(o, step_size=1),
        lambda o: lr_scheduler.StepLR(o, step_size=1),
        5,
    ),
    "multistep": (
        lambda o: MultiStepLR(o, [1, 2, 7], gamma=0.3),
        lambda o: lr_scheduler.MultiStepLR(o, [1, 2, 7], gamma=0.3),
        10,
    ),
    "multistep, PyTorch's gamma": (
        lambda o: MultiStepLR(o, [3]),
        lambda o: lr_scheduler.MultiStepLR(o, [3]),
        5,
    ),
    "cosine": (
        lambda o: CosineLR(o, total_steps=50, final_lr=0.02),
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=50, eta_min=0.02),
        50,
    ),
    "cosine to 0": (
        lambda o: CosineLR(o, total_steps=7),
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=7),
        7,
    ),
    "cosine with warm-up": (
        lambda o: CosineLR(o, total_steps=50, warmup_steps=9, final_lr=0.02),
        lambda o: lr_scheduler.SequentialLR(
            o,
            [
                lr_scheduler.LinearLR(o, start_factor=1 / 10, total_iters=9),
                lr_scheduler.CosineAnnealingLR(o, T_max=41, eta_min=0.02),
            ],
            milestones=[9],
        ),
        50,
    ),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", TORCH)
def test_parity_with_torch(name):
    ours, theirs, steps = TORCH[name]
    np.testing.assert_allclose(walk(ours(optimizer()), steps), torch_rates(theirs, steps), rtol=1e-10, atol=1e-15)


@pytest.mark.torch
@pytest.mark.parametrize("total", [1, 2, 3, 4, 5, 10, 97])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pct_start": 0.0},
        {"pct_start": 0.35},
        {"pct_start": 0.9, "div_factor": 3.0, "final_div_factor": 7.0},
    ],
    ids=str,
)
def test_one_cycle_parity_with_torch(options, total):
    ours = walk(OneCycleLR(optimizer(), 0.8, total, **options), total - 1)
    expected = torch_rates(
        lambda o: lr_scheduler.OneCycleLR(o, 0.8, total_steps=total, cycle_momentum=False, **options), total - 1
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_one_cycle_with_its_peak_at_the_first_step():
    # PyTorch divides by zero here.
    assert OneCycleLR(optimizer(), 0.8, total_steps=4, pct_start=0.25).lr_at(0) == 0.8


# -- the counter and the state ---------------------------------------------------------------------------------------


def test_all_schedules_are_covered():
    assert {name.split()[0] for name in MAKERS} == set(SCHEDULES)
    assert schedules.SCHEDULES is SCHEDULES
    for name, make in MAKERS.items():
        assert type(make(optimizer())) is SCHEDULES[name.split()[0]]


@pytest.mark.parametrize("name", MAKERS)
def test_interval(name):
    expected = "step" if name.split()[0] in ("cosine", "onecycle") else "epoch"
    assert MAKERS[name](optimizer()).interval == expected


@pytest.mark.parametrize("name", MAKERS)
def test_lr_at_is_what_step_sets_and_sets_nothing(name):
    schedule, reference = MAKERS[name](optimizer()), MAKERS[name](optimizer())
    schedule.step()
    before = schedule.optimizer.lr
    ahead = [schedule.lr_at(t) for t in range(20)]
    assert schedule.optimizer.lr == before
    assert walk(reference, 19) == ahead
    assert all(isinstance(rate, float) for rate in ahead)


@pytest.mark.parametrize("name", MAKERS)
def test_rates_move_and_end(name):
    rates = walk(MAKERS[name](optimizer()), 40)
    assert (len(set(rates)) > 2) == (name != "constant")
    assert len(set(rates[12:])) == 1 or name == "step"  # at their last value when the steps are over


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("taken", [0, 1, 5, 15])
def test_resumed_schedule_goes_on_with_the_same_bits(name, taken):
    undisturbed = MAKERS[name](optimizer())
    walk(undisturbed, taken)
    state = json.loads(json.dumps(undisturbed.state_dict()))
    resumed = MAKERS[name](optimizer(lr=0.123))  # the base is in the state
    resumed.load_state_dict(state)
    assert resumed.optimizer.lr == undisturbed.optimizer.lr
    assert walk(resumed, 8) == walk(undisturbed, 8)


def test_next_step_overrides_a_rate_set_by_hand():
    schedule = StepLR(optimizer(1.0), step_size=1, gamma=0.5)
    schedule.optimizer.lr = 77.0
    schedule.step()
    assert schedule.optimizer.lr == 0.5


def test_repr():
    schedule = StepLR(optimizer(1.0), step_size=1, gamma=0.5)
    schedule.step()
    assert repr(schedule) == "StepLR(t=1, lr=0.5)"


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({}, ValueError, r"state of StepLR is \['base_lr', 't'\], got \[\]"),
        ({"t": 1}, ValueError, r"got \['t'\]"),
        ({"t": 1, "base_lr": 0.1, "gamma": 0.1}, ValueError, r"got \['base_lr', 'gamma', 't'\]"),
        ({"t": -1, "base_lr": 0.1}, ValueError, "t must be at least 0, got -1"),
        ({"t": 1.5, "base_lr": 0.1}, TypeError, "t must be an int, got 1.5"),
        ({"t": 1, "base_lr": math.nan}, ValueError, "base_lr must be at least 0, got nan"),
        ({"t": 1, "base_lr": "0.1"}, TypeError, "base_lr must be a number, got '0.1'"),
    ],
)
def test_bad_states_are_refused_and_change_nothing(state, error, message):
    schedule = StepLR(optimizer(), step_size=1, gamma=0.5)
    schedule.step()
    before = schedule.state_dict(), schedule.optimizer.lr
    with pytest.raises(error, match=message):
        schedule.load_state_dict(state)
    assert (schedule.state_dict(), schedule.optimizer.lr) == before


# -- settings that are refused ---------------------------------------------------------------------------------------

BAD_SETTINGS = {
    "step_size 0": (lambda o: StepLR(o, 0), ValueError, "step_size must be at least 1, got 0"),
    "step_size 1.5": (lambda o: StepLR(o, 1.5), TypeError, "step_size must be an int, got 1.5"),
    "gamma 0": (lambda o: StepLR(o, 1, gamma=0.0), ValueError, "gamma must be above 0, got 0.0"),
    "gamma nan": (lambda o: StepLR(o, 1, gamma=math.nan), ValueError, "gamma must be above 0, got nan"),
    "gamma text": (lambda o: StepLR(o, 1, gamma="0.1"), TypeError, "gamma must be a number, got '0.1'"),
    "no milestones": (lambda o: MultiStepLR(o, []), ValueError, r"one or more increasing epochs, got \[\]"),
    "milestones fall": (lambda o: MultiStepLR(o, [3, 2]), ValueError, r"increasing epochs, got \[3, 2\]"),
    "milestones repeat": (lambda o: MultiStepLR(o, [1, 2, 2]), ValueError, r"increasing epochs, got \[1, 2, 2\]"),
    "milestone 0": (lambda o: MultiStepLR(o, [0, 2]), ValueError, "a milestone must be at least 1, got 0"),
    "milestone gamma": (lambda o: MultiStepLR(o, [2], gamma=-1.0), ValueError, "gamma must be above 0, got -1.0"),
    "cosine over 0": (lambda o: CosineLR(o, 0), ValueError, "total_steps must be at least 1, got 0"),
    "warm-up below 0": (lambda o: CosineLR(o, 9, -1), ValueError, "warmup_steps must be at least 0, got -1"),
    "warm-up 0.5": (lambda o: CosineLR(o, 9, 0.5), TypeError, "warmup_steps must be an int, got 0.5"),
    "only warm-up": (lambda o: CosineLR(o, 9, 9), ValueError, "warmup_steps must be below total_steps 9, got 9"),
    "final_lr": (lambda o: CosineLR(o, 9, final_lr=-0.1), ValueError, "final_lr must be at least 0, got -0.1"),
    "max_lr 0": (lambda o: OneCycleLR(o, 0.0, 9), ValueError, "max_lr must be above 0, got 0.0"),
    "max_lr inf": (lambda o: OneCycleLR(o, math.inf, 9), ValueError, "max_lr must be above 0 and finite, got inf"),
    "cycle over 0": (lambda o: OneCycleLR(o, 0.1, 0), ValueError, "total_steps must be at least 1, got 0"),
    "pct_start 1": (lambda o: OneCycleLR(o, 1, 9, 1.0), ValueError, "pct_start must be at least 0 and below 1, got 1"),
    "pct_start -0.1": (lambda o: OneCycleLR(o, 1, 9, -0.1), ValueError, "pct_start must be at least 0 and below 1"),
    "div_factor": (lambda o: OneCycleLR(o, 1, 9, div_factor=0.5), ValueError, "div_factor must be at least 1, got 0.5"),
    "final_div": (lambda o: OneCycleLR(o, 1, 9, final_div_factor=0), ValueError, "final_div_factor must be at least 1"),
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_bad_settings_are_refused_and_leave_the_optimizer_alone(name):
    make, error, message = BAD_SETTINGS[name]
    untouched = optimizer()
    with pytest.raises(error, match=message) as caught:
        make(untouched)
    assert "\n" not in str(caught.value)
    assert untouched.lr == BASE


@pytest.mark.parametrize("make", [lambda o: StepLR(o, 1, gamma=10), lambda o: MultiStepLR(o, range(1, 402), gamma=10)])
def test_a_rate_that_no_float_holds_is_refused(make):
    schedule = make(optimizer())
    with pytest.raises(ValueError, match=r"learning rate of .* is too large for a float at t = 400"):
        schedule.lr_at(400)
    for _ in range(308):
        schedule.step()
    before = schedule.state_dict()
    with pytest.raises(ValueError, match="too large for a float at t = 309"):
        schedule.step()
    with pytest.raises(ValueError, match="too large for a float at t = 400"):
        schedule.load_state_dict({"t": 400, "base_lr": 2.0})
    assert schedule.state_dict() == before


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_of_an_optimizer(name):
    options = {"step": [1], "multistep": [[1]], "cosine": [9], "onecycle": [0.1, 9]}
    with pytest.raises(TypeError, match="a schedule takes an Optimizer, got ReLU: "):
        SCHEDULES[name](nn.ReLU(), *options.get(name, []))


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match="t is at least 0, got -1"):
        ConstantLR(optimizer()).lr_at(-1)
