"""Every benchmark runs once, in its quick form; nobody looks at the times."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"

SCRIPTS = {
    "vs_torch": ["vs_torch.py", "--rows", "vgg-32-fast", "--backends", "cython"],
    "vs_torch_layers": ["vs_torch.py", "--layers", "--backends", "cython"],
    "step": ["bench_step.py", "--networks", "baseline", "--kinds", "inference", "--backends", "cython"],
    "data": ["bench_data.py"],
    "roofline": ["roofline.py", "--backends", "cython"],
    "ladder": ["ladder.py"],
    "scaling": ["scaling.py", "--backends", "cython"],
    "compare": ["compare.py", "--base", "HEAD", "--backend", "numpy", "--rows", "baseline-4"],
    "time_to_accuracy": ["time_to_accuracy.py", "--backends", "cython", "--data", "pictures"],
}
"""Section of the results file -> the command that makes it."""


def run(*arguments, timeout=300, cwd=ROOT):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, cwd=cwd)


def draw_pictures(folder):
    """Make the smallest data set that a network can learn from."""
    for part in ("train", "test"):
        for name in ("black", "white"):
            place = folder / part / name
            place.mkdir(parents=True)
            Image.new("RGB", (32, 32), name).save(place / "0.png")


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SCRIPTS)
def test_quick_run(name, tmp_path):
    script, *options = SCRIPTS[name]
    if name == "compare" and not (ROOT / ".git").exists():
        pytest.skip("compares commits")
    path = tmp_path / "results.json"
    draw_pictures(tmp_path / "pictures")
    # With one thread: on a busy machine several wait for each other actively.
    done = run(BENCHMARKS / script, *options, "--threads", 1, "--quick", "--out", path, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    part = json.loads(path.read_text())["sections"][name]
    assert part["rows"]
    assert not part["failures"]
    assert part["settings"]["quick"]
    assert f"results: {path}" in done.stdout
    pictures = re.findall(r"^figure: (.+)$", done.stdout, re.MULTILINE)
    assert all(Path(picture).is_file() for picture in pictures)
    assert len(pictures) == (name in ("roofline", "scaling", "time_to_accuracy"))


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.timeout(600)
def test_every_op_once():
    done = run("-m", "pytest", BENCHMARKS / "bench_ops.py", "--quick", "--benchmark-disable", "-q", timeout=600)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 300


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ops_are_timed_into_the_results_file(tmp_path):
    path = tmp_path / "results.json"
    how = ["--quick", "-q", "-k", "baseline.dense2 and numpy and float32", "--benchmark-max-time=0.001"]
    done = run("-m", "pytest", BENCHMARKS / "bench_ops.py", *how, "--results", path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(path.read_text())["sections"]["ops"]["rows"]
    assert [row["pass"] for row in rows] == ["forward", "backward"]
    assert {row["shape"] for row in rows} == {"linear:baseline.dense2"}
    for row in rows:
        assert row["gflops"] == pytest.approx(row["flops"] / row["median"] / 1e9)
        assert row["share_of_sgemm"] > 0
        assert row["share_of_bandwidth"] > 0


MISTAKES = {
    "rows": (["vs_torch.py", "--rows", "nix"], "rows must be some of baseline-4, "),
    "backends": (["vs_torch.py", "--backends", ","], "backends must be some of cython, numba, numpy, got ','"),
    "fast": (
        ["vs_torch.py", "--rows", "vgg-32-fast", "--backends", "numpy"],
        "fast rows are measured with backend cython alone, got rows 'vgg-32-fast' and backends numpy",
    ),
    "threads": (["vs_torch.py", "--threads", "0"], "threads must be at least 1, got 0"),
    "rounds": (["vs_torch.py", "--rounds", "0"], "rounds must be at least 1, got 0"),
    "starts": (["vs_torch.py", "--starts", "0"], "starts must be at least 1, got 0"),
    "images": (["vs_torch.py", "--images", "3"], "images must be at least 128, a batch, got 3"),
    "option": (["roofline.py", "--nix"], "unknown option --nix"),
    "batches": (["bench_step.py", "--batches", "4,x"], "batches must be whole numbers of at least 1, got '4,x'"),
    "batch": (["bench_data.py", "--batch", "0"], "batch must be from 1 to the number of images, 5120, got 0"),
    "ladder": (["ladder.py", "--batch", "0"], "batch must be at least 1, got 0"),
    "backend": (["ladder.py", "--backend", "numpy"], "backend must be one of cython, numba, got 'numpy'"),
    "one": (["compare.py", "--base", "HEAD", "--backend", "cython,numba"], "must be one of cython, numba, numpy, got"),
    "model": (["time_to_accuracy.py", "--model", "speedrun"], "model must be one of baseline, improved, got"),
    "targets": (["time_to_accuracy.py", "--targets", "70,0"], "targets must be percentages, by comma, got '70,0'"),
    "augment": (["time_to_accuracy.py", "--augment", "nix"], "augment must be one of none, report, "),
    "data": (["time_to_accuracy.py", "--data", "nix"], "unknown data set 'nix'; known: auto, cifar10, "),
    "epochs": (["time_to_accuracy.py", "--epochs", "0"], "epochs must be at least 1, got 0"),
    "base": (["compare.py", "--base", "nix"], "there is no commit 'nix'"),
    "no_base": (["compare.py"], "missing"),
    "scaling": (["scaling.py", "--seconds", "0"], "seconds and budget must be positive"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(name):
    (script, *options), message = MISTAKES[name]
    done = run(BENCHMARKS / script, *options)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{script}: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("script", sorted({command[0] for command in SCRIPTS.values()}))
def test_help(script):
    done = run(BENCHMARKS / script, "--help")
    assert done.returncode == 0
    assert "--quick" in done.stdout
