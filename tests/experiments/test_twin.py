"""The PyTorch twin: it does what fastscratch does, and a stop changes nothing."""

import dataclasses

import agreement
import numpy as np
import pytest
import study
from runner import whole

twin = pytest.importorskip("twin")
pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_torch_thread")]

CASES = {
    "report": {"augment": "report", "schedule": "step"},
    "cosine": {"schedule": "cosine", "warmup_epochs": 0.5},
    "soft": {"label_smoothing": 0.1},
    "kl": {"loss": "kl-divergence", "label_smoothing": 0.1},
    "one_hot_kl": {"loss": "kl-divergence"},
}


def without_times(result):
    return {**result, "history": {name: column for name, column in result["history"].items() if name != "seconds"}}


@pytest.mark.parametrize("case", CASES)
def test_both_engines_see_the_same(case, make_job, tmp_path):
    results = [
        study.perform(make_job(engine, **CASES[case]), tmp_path / engine, threads=1)
        for engine in ("fastscratch", "torch")
    ]
    here, torch = results
    np.testing.assert_allclose(torch["batches"]["first"], here["batches"]["first"], rtol=2e-4, atol=2e-5)
    assert torch["history"]["lr"] == here["history"]["lr"]
    assert torch["final"].keys() == here["final"].keys()
    for part in here["final"]:
        assert torch["final"][part]["fingerprint"] == here["final"][part]["fingerprint"]
        assert torch["final"][part]["loss"] == pytest.approx(here["final"][part]["loss"], rel=1e-3)
    assert torch["made"]["threads"] == 1
    assert torch["weights"] != here["weights"]  # other roundings: it was not fastscratch that trained


def test_a_twin_that_was_killed_gives_the_bits_of_an_undisturbed_one(make_job, tmp_path, monkeypatch):
    job = make_job("torch", augment="report", schedule="step")
    undisturbed = study.perform(job, tmp_path / "whole", threads=1)
    evaluate, calls = twin.Twin.evaluate, []

    def killed(self, dataset):
        calls.append(dataset)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return evaluate(self, dataset)

    monkeypatch.setattr(twin.Twin, "evaluate", killed)
    with pytest.raises(KeyboardInterrupt):
        study.perform(job, tmp_path / "killed", threads=1)
    monkeypatch.undo()
    resumed = study.perform(job, tmp_path / "killed", threads=1)
    assert without_times(resumed) == without_times(undisturbed)


def test_without_roundings_both_engines_are_the_same(make_job, tmp_path):
    job = dataclasses.replace(make_job("torch", augment="flip-crop", lr=3e-3), measure=agreement.measure)
    result = study.perform(job, tmp_path, threads=1)
    losses = {name: np.array(values) for name, values in result["found"].items()}
    assert [len(values) for values in losses.values()] == [8] * 4
    single = abs(losses["float32"] - losses["float32-torch"]).max()
    double = abs(losses["float64"] - losses["float64-torch"]).max()
    assert double < 1e-11
    assert 1e-8 < single < 1e-3
    np.testing.assert_allclose(losses["float32"], losses["float64"], atol=1e-3)
    assert losses["float32"].tolist() == study.perform(make_job(augment="flip-crop", lr=3e-3), tmp_path / "run")[
        "batches"]["first"][:8]  # fmt: skip


def test_what_a_twin_cannot_do_is_refused(make_job, pictures, tmp_path):
    with pytest.raises(ValueError, match="the twin trains by plain adam only, got sgd"):
        twin.Twin(make_job("torch", optimizer="sgd").config, tmp_path, whole(pictures))
    study.perform(make_job("torch", epochs=1), tmp_path, threads=1)
    with pytest.raises(ValueError, match="is the state of another run"):
        twin.Twin(make_job("torch", lr=0.1).config, tmp_path, whole(pictures))
