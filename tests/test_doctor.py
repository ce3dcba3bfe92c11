"""The doctor: what it looks at, and what it calls trouble."""

import importlib.metadata
import os
import subprocess
import sys

import pytest
import threadpoolctl

import fastscratch_kernels
from fastscratch.doctor import examine
from small_run import call


def find(findings, topic):
    return [finding for finding in findings if finding.topic == topic]


@pytest.fixture(autouse=True)
def usual_surroundings(monkeypatch, tmp_path):
    """Let nothing on the machine that runs the tests look like trouble."""
    monkeypatch.setenv("FASTSCRATCH_DATA", str(tmp_path))
    monkeypatch.delenv("FASTSCRATCH_BACKEND", raising=False)
    monkeypatch.setattr(fastscratch_kernels, "get_num_threads", lambda: 1)
    monkeypatch.setattr(threadpoolctl, "threadpool_info", list)


def test_everything_is_looked_at(tmp_path):
    findings = examine()
    topics = [finding.topic for finding in findings]
    wanted = {"fastscratch", "Python", "system", "processor", "NumPy", "BLAS", "OpenMP", "threads", "backend taken"}
    assert wanted <= set(topics)
    for name, reason in fastscratch_kernels.backends().items():
        (finding,) = find(findings, f"backend {name}")
        tiles = f"instruction set {fastscratch_kernels.isa()}, built by {fastscratch_kernels.built_by()}"
        works = f"works, {tiles}" if name == "cython" else "works"
        assert finding.text == (works if reason is None else f"not available: {reason}")
    (cache,) = find(findings, "cache of data")
    assert cache.text == f"{tmp_path} (there, writable)"
    assert all("\n" not in finding.text for finding in findings)
    assert not [finding for finding in findings if finding.trouble]


def test_a_package_that_is_not_installed_is_trouble(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    (finding,) = find(examine(), "fastscratch")
    assert finding.trouble
    assert finding.text.startswith("not installed, imported from ")


def test_blas_and_its_kernel(monkeypatch):
    library = {
        "user_api": "blas",
        "internal_api": "openblas",
        "filepath": "/lib/libopenblas.so",
        "version": "0.3.30",
        "architecture": "Zen",
        "num_threads": 2,
    }
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: [library])
    (finding,) = find(examine(), "BLAS")
    assert finding.text == "libopenblas.so, version 0.3.30, kernel Zen, threads: 2"


def test_two_openmp_runtimes_are_trouble(monkeypatch):
    runtimes = [{"user_api": "openmp", "filepath": f"/lib/{name}.so", "num_threads": 2} for name in ("gomp", "iomp5")]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: runtimes)
    found = find(examine(), "OpenMP")
    assert [finding.text for finding in found[:2]] == ["/lib/gomp.so", "/lib/iomp5.so"]
    assert [finding.trouble for finding in found] == [False, False, True]


@pytest.mark.parametrize(
    ("reason", "text"), [(None, "none: the Cython kernels use one thread"), ("not built", "no runtime loaded")]
)
def test_no_openmp(monkeypatch, reason, text):
    monkeypatch.setattr(fastscratch_kernels, "backends", lambda: {"numpy": None, "numba": None, "cython": reason})
    (finding,) = find(examine(), "OpenMP")
    assert (finding.text, finding.trouble) == (text, False)


def test_the_kernels_runtime_is_found(tmp_path):
    """In a process of its own: the tests before this one have loaded every library."""
    if fastscratch_kernels.backends()["cython"] is not None:
        pytest.skip("the Cython kernels are not built here")
    program = "from fastscratch.doctor import examine; print([f.text for f in examine() if f.topic == 'OpenMP'])"
    environment = os.environ | {"FASTSCRATCH_DATA": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert "no runtime loaded" not in done.stdout


def test_more_threads_than_cores_are_trouble(monkeypatch):
    cores = fastscratch_kernels.available_cores()
    monkeypatch.setattr(fastscratch_kernels, "get_num_threads", lambda: cores + 1)
    assert find(examine(), "threads")[-1].trouble


def test_a_backend_that_cannot_be_had_is_trouble_when_it_was_asked_for(monkeypatch):
    def unavailable(op="conv2d"):
        raise fastscratch_kernels.BackendUnavailableError("backend 'cython' is not available: not built")

    monkeypatch.setenv("FASTSCRATCH_BACKEND", "cython")
    monkeypatch.setattr(fastscratch_kernels, "active_backend", unavailable)
    (finding,) = find(examine(), "backend taken")
    assert finding.trouble
    assert finding.text == "backend 'cython' is not available: not built"


def test_a_cache_below_a_file_is_trouble(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTSCRATCH_DATA", str(tmp_path / "file" / "data"))
    (finding,) = find(examine(), "cache of data")
    assert finding.trouble
    assert "is a file, not a folder" in finding.text


def test_a_data_root_that_is_a_file_is_trouble(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTSCRATCH_DATA", str(tmp_path / "file"))
    (finding,) = find(examine(), "cache of data")
    assert finding.trouble


def test_a_cache_that_cannot_be_written_is_trouble(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # file modes do not bind root, who may run this
    (finding,) = find(examine(), "cache of data")
    assert finding.trouble
    assert finding.text == f"{tmp_path}: not writable"


def test_exit_codes(monkeypatch, tmp_path):
    code, out, err = call("doctor")
    assert (code, err) == (0, "")
    assert out.endswith("all is well\n")
    assert "\x1b" not in out
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTSCRATCH_DATA", str(tmp_path / "file" / "data"))
    code, out, err = call("doctor")
    assert (code, err) == (1, "")
    assert "trouble: cache of data: " in out
