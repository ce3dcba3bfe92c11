"""The scripts as a user starts them: everything in small, one run again, the times."""

import subprocess
import sys
from pathlib import Path

import pytest
import recheck
import store
import study
import timing
from options import ROOT
from plan import EXPERIMENTS, Plan, Scope

from fastscratch.models import IDEAS

QUICK = ["--data", "shapes10", "--share", "0.005", "--epochs", "1", "--seeds", "1"]


def script(name, *arguments):
    command = [sys.executable, str(ROOT / "experiments" / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.timeout(400)
def test_everything_in_small(tmp_path):
    results = tmp_path / "results"
    done = script("study.py", *QUICK, "--threads", 1, "--results", results, "--work", tmp_path / "work")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = Plan(Scope("shapes10", 0.005, 1, 1)).ordered()
    assert f"{len(jobs)} runs, 0 of them done" in done.stdout
    assert set(results.rglob("*.json")) == {store.path_of(results, job.name) for job in jobs}
    assert not list((tmp_path / "work").rglob("*.safetensors"))

    again = script("study.py", *QUICK, "--results", results, "--work", tmp_path / "work")
    assert f"{len(jobs)} runs, {len(jobs)} of them done" in again.stdout

    pages = ["--results", results, "--readme", tmp_path / "README.md", "--page", tmp_path / "page.html"]
    done = script("write_up.py", *QUICK, *pages, "--no-figures")  # they are drawn, but not rendered
    assert done.returncode == 0, done.stdout + done.stderr
    pictures = [picture for experiment in EXPERIMENTS for picture in experiment.pictures]
    text = (tmp_path / "README.md").read_text()
    assert text.count("\n![") == len(pictures) - 1  # the times were not measured
    assert "✓ holds" in text


@pytest.fixture
def tiny(pictures, tmp_path):
    """Return the options of a study on the pictures, one run of which has been made, and that run."""
    which = {"data": pictures, "epochs": 1, "seeds": 1, "results": str(tmp_path / "results")}
    job = next(job for job in Plan(Scope(pictures, epochs=1, seeds=1)).ordered() if job.name == "batch_size/8-seed-0")
    assert study.do([job], Path(which["results"]), tmp_path / "work", threads=1) == []
    return which, job


def test_a_run_made_again_has_the_same_bits(tiny, capsys):
    which, job = tiny
    assert recheck.run(recheck.Options(**which, name=job.name)) == 0
    assert "batch_size/8-seed-0: every number has the same bits" in capsys.readouterr().out


def test_a_run_from_before_a_setting_existed_is_compared_as_well(tiny):
    which, job = tiny
    path = store.path_of(Path(which["results"]), job.name)
    result = store.read(path)
    del result["config"]["without"]
    store.write(path, result)
    assert recheck.run(recheck.Options(**which, name=job.name)) == 0


def test_a_number_that_differs_is_named(tiny, capsys):
    which, job = tiny
    path = store.path_of(Path(which["results"]), job.name)
    result = store.read(path)
    loss = result["history"]["train_loss"][0]
    result["history"]["train_loss"][0] = loss + 1e-15
    result["history"]["seconds"][0] = 1e9
    result["made"]["commit"] = "abc123456"
    store.write(path, result)
    assert recheck.run(recheck.Options(**which, name=job.name)) == 1
    out = capsys.readouterr().out
    assert "1 numbers differ" in out
    assert f"history.train_loss.0: {loss + 1e-15} then, {loss} now" in out
    assert "commit: abc123456 then, " in out


def test_what_cannot_be_made_again_is_told_in_one_line(tiny):
    which, _ = tiny
    with pytest.raises(ValueError, match="unknown run 'batch_size/8-seed-1'; did you mean 'batch_size/8-seed-0'"):
        recheck.run(recheck.Options(**which, name="batch_size/8-seed-1"))
    with pytest.raises(ValueError, match=r"batch_size/16-seed-0 has not been run: there is no .*16-seed-0\.json"):
        recheck.run(recheck.Options(**which, name="batch_size/16-seed-0"))


def test_differences_are_found_wherever_they_are():
    kept = {"history": {"loss": [1.0, 2.0], "seconds": [3.0]}, "made": {"cpu": "a"}, "weights": "ab", "best": None}
    again = {"history": {"loss": [1.0, 2.5], "seconds": [4.0]}, "made": {"cpu": "b"}, "weights": "cd", "more": 1}
    assert list(recheck.differences(kept, again)) == [
        "  history.loss.1: 2.0 then, 2.5 now", "  weights: ab then, cd now", "  more: None then, 1 now"
    ]  # fmt: skip
    assert list(recheck.differences({"a": [1]}, {"a": [1, 2]})) == ["  a: [1] then, [1, 2] now"]


@pytest.mark.torch
def test_each_work_is_timed_once_on_each_engine_that_does_it(pictures, tmp_path, monkeypatch):
    options = timing.Options(data=pictures, results=str(tmp_path), rounds=2)
    works = list(timing.wanted(options))
    assert len({(engine, str(work)) for engine, work in works}) == len(works)
    of_the_report = [work for _, work in works if work["model"] == "baseline"]
    assert sum(work["augment"] == "flip-crop" for work in of_the_report) == 1  # PyTorch does not train it
    assert sum(work["batch_size"] == 4 for work in of_the_report) == 2
    without = [work["without"] for _, work in works if work["model"] == "improved" and work["batch_size"] == 512]
    assert sorted(without) == [[], *([idea] for idea in sorted(IDEAS))]

    asked = []

    def measured(what):
        if len(asked) == len(works) + 1 and not stops:
            stops.append(what)
            raise KeyboardInterrupt
        asked.append(what["engine"])
        return len(asked) / 4

    stops = []
    monkeypatch.setattr(timing, "measured_apart", measured)
    with pytest.raises(KeyboardInterrupt):
        timing.run(options)
    assert timing.run(options) == 0  # goes on in the second round
    found = store.read(tmp_path / "timing.json")
    assert len(asked) == 2 * len(works)
    times = [row["seconds_per_step"] for row in found["rows"]]
    assert times == [[i / 4, (i + len(works)) / 4] for i in range(1, len(works) + 1)]
    assert timing.run(options) == 0  # what is complete is measured again, from the beginning
    assert len(asked) == 4 * len(works)
    assert [path.name for path in tmp_path.iterdir()] == ["timing.json"]


@pytest.mark.torch
def test_a_step_takes_time(pictures):
    what = {"work": {"batch_size": 8, "augment": "report"}, "data": pictures, "share": 1.0, "threads": 1}
    assert 0 < timing.measured_apart({"engine": "torch", "seconds": 0.05, **what}) < 60
    assert 0 < timing.seconds_per_step(engine="fastscratch", seconds=0.05, **what) < 60
    with pytest.raises(ValueError, match=r"fastscratch, {'batch_size': 0}: timing\.py: batch_size must be at least 1"):
        timing.measured_apart({"engine": "fastscratch", "seconds": 1.0, **what, "work": {"batch_size": 0}})


def test_what_has_changed_since_a_run_is_told():
    then = {"cpu": "a", "isa": "avx2", "platform": "x", "commit": "1", "versions": {"numpy": "1", "numba": None}}
    now = {"cpu": "a", "isa": "avx512", "platform": "x", "commit": "2", "versions": {"numpy": "2", "numba": None}}
    assert list(recheck.changes(then, then)) == []
    assert list(recheck.changes(then, now)) == [("isa", "avx2", "avx512"), ("commit", "1", "2"), ("numpy", "1", "2")]
