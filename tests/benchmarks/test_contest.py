"""Engines in processes of their own: they do the same work in turn, and what goes wrong is told."""

import os
import signal
import subprocess
import sys
import textwrap

import contest
import numpy as np
import pytest
from contest import Contestant, EngineError, Measured, Pace
from worker import summary

TASK = {"kind": "training", "network": "baseline", "batch": 2, "count": 8}
SHORT = Pace(rounds=2, seconds=1e-4, wake=0.0)
NUMPY = contest.fastscratch_contestant("numpy")


@pytest.mark.timeout(300)
def test_two_processes_take_turns():
    with contest.started([NUMPY, Contestant("again", NUMPY.settings)], threads=1) as processes:
        measured = contest.compete(processes, TASK, SHORT)
    assert list(measured) == ["numpy", "again"]
    for one in measured.values():
        assert len(one.seconds) == 2
        assert all(second > 0 for second in (*one.seconds, one.first_seconds, one.import_seconds))
        assert 0 < one.imported < one.peak


@pytest.mark.timeout(300)
def test_rounds_of_several_starts_stand_behind_each_other(monkeypatch):
    begun = []
    started = contest.started
    monkeypatch.setattr(contest, "started", lambda *all: begun.append(all) or started(*all))
    pace = Pace(rounds=2, seconds=1e-4, budget=1e-9, wake=0.0)
    again, seen, variables = Contestant("again", NUMPY.settings), [], {"MALLOC_TRIM_THRESHOLD_": "1000000"}
    found = contest.compete_anew([NUMPY, again], 1, TASK, pace, 2, extra=variables, examine=seen.append)
    measured = contest.merged(found)
    assert list(measured) == ["numpy", "again"]
    assert all(len(one.seconds) == 4 for one in measured.values()), "no budget ends a start early"
    assert begun == [([NUMPY, again], 1, variables), ([again, NUMPY], 1, variables)]
    assert [process.contestant.name for process in seen] == ["numpy", "again", "again", "numpy"]


@pytest.fixture(scope="module")
def both_engines():
    with contest.started([*contest.torch_contestants(), NUMPY], threads=1) as processes:
        yield processes


@pytest.mark.torch
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["training", "inference"])
@pytest.mark.parametrize("network", ["baseline", "vgg"])
def test_both_engines_come_to_the_same(both_engines, network, kind):
    measured = contest.compete(both_engines, {**TASK, "network": network, "kind": kind}, SHORT, tolerance=1e-4)
    row = contest.as_row(measured)
    assert row["best_torch"].startswith("torch ")
    assert row["ratios"][row["best_torch"]] == {"median": 1, "least": 1, "most": 1}


@pytest.mark.timeout(300)
def test_an_error_in_a_worker_comes_back_in_words():
    with contest.started([NUMPY], threads=1) as [process]:
        with pytest.raises(EngineError, match="numpy: KeyError: 'nix'"):
            process.ask(do="prepare", **TASK | {"network": "nix"})
        assert process.ask(do="memory")["peak"] > 0  # and the worker goes on


def test_a_worker_that_dies_is_noticed():
    with contest.started([NUMPY], threads=1) as [process]:
        process._process.kill()
        with pytest.raises(EngineError, match="ended with code"):
            process.ask(do="memory")


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for it")
def test_a_worker_ends_with_the_process_that_started_it():
    program = textwrap.dedent(
        f"""
        import os, signal, contest
        with contest.started([contest.fastscratch_contestant("numpy")], 1) as [process]:
            process.ask(do="prepare", **{TASK})
            process.send(do="time", calls=100_000)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    # Returns when no process holds the standard error stream any more: within a moment, or after all those steps.
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_a_backend_that_does_not_exist_is_refused():
    refused = pytest.raises(EngineError, match="nix: ValueError: backend must be one of")
    with refused, contest.started([contest.fastscratch_contestant("nix")], 1):
        pass


def compare(got, wanted, tolerance=contest.TOLERANCE):
    contest._compare("b", [summary(got)], "a", [summary(wanted)], tolerance)


def test_other_results_end_the_contest():
    compare(np.array([1.001]), np.array([1.0]))
    with pytest.raises(EngineError, match=r"b and a come to different results: 1\.01 and 1 where the root mean"):
        compare(np.array([1.01]), np.array([1.0]))
    with pytest.raises(EngineError):
        compare(np.array([float("nan")]), np.array([1.0]))


@pytest.mark.parametrize("shape", [(2, 3, 3, 8), (8, 32, 32, 64)], ids=["whole", "sample"])
def test_results_are_compared_number_by_number(rng, shape):
    wanted = rng.standard_normal(shape, dtype=np.float32)
    compare(wanted + 1e-4 * rng.standard_normal(shape, dtype=np.float32), wanted)  # other orders of sums round less
    channel = wanted.copy()
    channel[..., 5] *= 1.01
    mixed = rng.permutation(wanted.ravel()).reshape(shape)
    for wrong in (-wanted, mixed, wanted[::-1], wanted.swapaxes(1, 2), channel, wanted + np.float32(0.01)):
        with pytest.raises(EngineError, match="come to different results"):
            compare(wrong, wanted)


def test_one_number_that_is_none_fails_wherever_it_is(rng):
    wanted = rng.standard_normal((8, 32, 32, 64), dtype=np.float32)
    wrong = wanted.copy()
    wrong[3, 4, 5, 6] = np.nan
    with pytest.raises(EngineError, match="different results: nan and"):
        compare(wrong, wanted)


def test_ratio_is_taken_within_a_round():
    ours, theirs = Measured([1.0, 2.0, 4.0]), Measured([3.0, 8.0, 8.0])
    assert contest.ratio(ours, theirs) == (3.0, 2.0, 4.0)
    assert contest.ratio(Measured([1.0]), theirs) == (3.0, 3.0, 3.0), "rounds that one side left out do not count"


def test_best_torch_has_the_smallest_median():
    measured = {"cython": Measured([0.1]), "torch a": Measured([1.0, 3.0, 3.0]), "torch b": Measured([2.0, 2.0, 9.0])}
    assert contest.best_torch(measured) == "torch b"


def test_environment_sets_threads_and_takes_handicaps_out(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    found = contest.environment(3, {"MALLOC_TRIM_THRESHOLD_": "1"})
    assert "OPENBLAS_CORETYPE" not in found
    assert {found[name] for name in contest.THREAD_VARIABLES} == {"3"}
    assert found["MALLOC_TRIM_THRESHOLD_"] == "1"
    assert found["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"seconds": 0}, {"budget": -1}])
def test_pace_refuses(wrong):
    with pytest.raises(ValueError, match=r"at least 1|must be positive"):
        Pace(**wrong)
