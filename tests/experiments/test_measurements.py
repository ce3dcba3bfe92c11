"""What is measured beside training: gradients at fixed weights, and a rising learning rate."""

import dataclasses

import gradient_noise
import numpy as np
import pytest
import range_sweep
import runner
import study

from fastscratch.training import NonFiniteLossError


def test_moments_of_known_vectors():
    # Two vectors, (1, 0) and (3, 0): mean 2, variance 2; of the mean's square 4, half the variance is noise.
    signal, noise = gradient_noise.moments(np.array([2.0, 0.0]), (1 + 9) / 2, 2)
    assert (signal, noise) == (3.0, 2.0)


def test_moments_have_no_bias(rng):
    true, variance, count = np.array([1.0, -2.0, 0.0]), 4.0, 3
    estimates = []
    for _ in range(4000):
        vectors = true + rng.normal(0, np.sqrt(variance / 3), (count, 3))
        estimates.append(gradient_noise.moments(vectors.mean(0), float((vectors**2).sum(1).mean()), count))
    signal, noise = np.mean(estimates, axis=0)
    assert signal == pytest.approx(5.0, abs=0.1)
    assert noise == pytest.approx(variance, abs=0.1)


def test_gradients_are_measured_and_leave_the_training_alone(make_job, monkeypatch, tmp_path):
    job = dataclasses.replace(make_job(epochs=2), measure=gradient_noise.measure)
    monkeypatch.setattr(gradient_noise, "BATCH_SIZES", (4, 8))
    result = study.perform(job, tmp_path, threads=1)
    rows = result["found"]["rows"]
    assert [(row["epoch"], row["batch_size"]) for row in rows] == [(0, 4), (0, 8), (1, 4), (1, 8), (2, 4), (2, 8)]
    assert [row["batches"] for row in rows] == [15, 7] * 3
    assert all(row["noise"] > 0 for row in rows)
    assert rows[0]["noise"] > 1.2 * rows[1]["noise"]  # half the images, twice the noise

    trainer, train = runner.prepare(job.config)
    weights = trainer.model.state_dict()
    gradient_noise.spread(trainer, train)
    assert all(np.array_equal(weights[name], array) for name, array in trainer.model.state_dict().items())


def test_the_sweep_rises_by_one_factor(make_job, tmp_path):
    job = dataclasses.replace(make_job(epochs=1, lr=1e-6), measure=range_sweep.measure)
    found = study.perform(job, tmp_path, threads=1)["found"]
    assert len(found["lr"]) == len(found["loss"]) == 8
    assert found["lr"][0] == 1e-6
    assert found["lr"][-1] == 1.0
    np.testing.assert_allclose(np.diff(np.log(found["lr"])), np.log(1e6) / 7, rtol=1e-4)


def test_a_sweep_that_blows_up_keeps_what_it_has(make_job, tmp_path, monkeypatch):
    monkeypatch.setattr(range_sweep, "HIGHEST", 1e30)
    job = dataclasses.replace(make_job(epochs=1, lr=1e-6), measure=range_sweep.measure)
    found = study.perform(job, tmp_path, threads=1)["found"]
    assert 0 < len(found["lr"]) == len(found["loss"]) < 8
    with pytest.raises(NonFiniteLossError):
        study.perform(make_job(epochs=1, lr=1e30), tmp_path / "as a run", threads=1)
