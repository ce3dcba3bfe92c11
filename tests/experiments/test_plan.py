"""The plan: which runs there are, in which order, and that none is made twice."""

import pytest
from design import Experiment, Setting
from plan import EXPERIMENTS, Plan, Scope, describe

from fastscratch.config import TrainConfig


def experiment(name, *settings, **fixed):
    return Experiment(name=name, title=name, fixed=TrainConfig(**fixed), settings=settings)


TWO = (
    experiment("first", Setting(name="a", changes={"lr": 0.1}, seeds=2, twins=1), Setting(name="b", changes={})),
    experiment("second", Setting(name="c", changes={"lr": 0.1}), Setting(name="d", changes={"lr": 0.2}, seeds=1)),
)


def test_one_seed_of_everything_comes_first_and_shared_runs_come_once():
    names = [job.name for job in Plan(Scope("shapes10"), TWO).ordered()]
    assert names == [
        "first/a-seed-0", "first/b-seed-0", "second/d-seed-0", "first/a-seed-0-torch",
        "first/a-seed-1", "first/b-seed-1",
        "first/b-seed-2", "first/a-seed-2",
    ]  # fmt: skip


def test_a_shared_run_is_found_from_both_sides():
    plan = Plan(Scope("shapes10"), TWO)
    first, second = TWO
    assert plan.find(second, second.settings[0], "fastscratch", 1).name == "first/a-seed-1"
    assert [job.name for job in plan.jobs_of(second)] == [
        "first/a-seed-0", "first/a-seed-1", "first/a-seed-2", "second/d-seed-0"
    ]  # fmt: skip
    assert plan.find(second, second.settings[0], "fastscratch", 2).name == "first/a-seed-2"  # the first has two seeds
    assert plan.find(first, first.settings[1], "torch", 5).name == "first/b-seed-5-torch"  # not planned, has a place


def test_only_and_engines_choose():
    plan = Plan(Scope("shapes10"), TWO)
    assert [job.name for job in plan.ordered(["second"], ["torch"])] == []
    assert [job.name for job in plan.ordered(["first"], ["torch"])] == ["first/a-seed-0-torch"]
    with pytest.raises(ValueError, match="unknown experiment third; known: first, second"):
        plan.ordered(["third"])
    with pytest.raises(ValueError, match="unknown engine jax; known: fastscratch, torch"):
        plan.ordered(engines=["jax"])


def test_scope_makes_less_of_everything():
    fixed = experiment("one", Setting(name="tenth", changes={"subsample": 0.1}, seeds=1, twins=3), epochs=20)
    job = Plan(Scope("shapes10", share=0.01, epochs=2, seeds=2), [fixed]).ordered()[0]
    assert job.config == TrainConfig(data="shapes10", subsample=0.1 * 0.01, epochs=2, seed=0)
    assert job.test_share == 0.01
    names = [job.name for job in Plan(Scope("shapes10", seeds=2), [fixed]).ordered()]
    assert names == ["one/tenth-seed-0", "one/tenth-seed-0-torch", "one/tenth-seed-1", "one/tenth-seed-1-torch"]


def test_estimates_grow_with_the_work():
    settings = [
        Setting(name=name, changes=changes, seeds=1, twins=1)
        for name, changes in (("32", {}), ("4", {"batch_size": 4}), ("half", {"subsample": 0.5}))
    ]
    here, torch = [], []
    for job in Plan(Scope("shapes10"), [experiment("one", *settings)]).ordered():
        (here if job.engine == "fastscratch" else torch).append(job.seconds)
    assert here[1] > 1.5 * here[0]
    assert here[2] == here[0] / 2
    assert all(b > a for a, b in zip(here, torch, strict=True))


def test_a_design_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="each setting needs a name of its own, got a, a"):
        experiment("one", Setting(name="a", changes={}), Setting(name="a", changes={"lr": 1.0}))
    with pytest.raises(ValueError, match="lr must be a positive"):
        experiment("one", Setting(name="a", changes={"lr": -1.0}))
    with pytest.raises(ValueError, match="a keeps images apart for validation and cannot have twins"):
        experiment("one", Setting(name="a", changes={"validation": 0.1}, twins=1))


def test_the_experiments_of_the_report_fit_into_six_hours_of_two_cores():
    jobs = Plan(Scope()).ordered()
    of_the_report = [job for job in jobs if job.config.model == "baseline"]  # another network has time of its own
    hours = sum(job.seconds / (2 if job.engine == "torch" else 1) for job in of_the_report) / 3600
    assert hours < 6
    listing = describe(jobs)
    assert listing.count("\n") == len(jobs) + 1
    assert f"{len(jobs)} runs" in listing
    assert len({job.name for job in jobs}) == len(jobs)
    assert {job.experiment for job in jobs} == {one.name for one in EXPERIMENTS}
