"""What options may say, and what is done where a backend is missing."""

import importlib
import importlib.util
import sys

import console
import pytest

from fastscratch import data
from fastscratch_kernels import BackendUnavailableError


def test_a_missing_backend_is_left_out_and_told(monkeypatch, capsys):
    monkeypatch.setattr(console, "backends", lambda: {"cython": "not compiled", "numba": None, "numpy": None})
    assert console.chosen_backends("cython,numba,numpy") == ["numba", "numpy"]
    assert capsys.readouterr().err == "... without cython: not compiled\n"
    with pytest.raises(BackendUnavailableError, match="cython: not compiled"):
        console.chosen_backends("cython")
    with pytest.raises(ValueError, match="backends must be some of cython, numba, numpy, got 'nix'"):
        console.chosen_backends("nix")


def test_what_is_compared_with_has_to_be_there():
    console.need("numpy")
    with pytest.raises(ModuleNotFoundError, match="with nix and nothing, which cannot be imported"):
        console.need("nix", "numpy", "nothing")


@pytest.mark.parametrize("script", ["vs_torch", "bench_step", "bench_data", "roofline", "scaling", "time_to_accuracy"])
def test_without_pytorch_one_line_says_how_to_install_it(monkeypatch, capsys, script):
    module = importlib.import_module(script)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", [f"{script}.py"])
    backends = [] if script == "bench_data" else ["--backends", "numpy"]
    monkeypatch.setattr(data, "load", lambda name: None)
    assert console.main(module.Options, module.run, backends) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"{script}.py: this compares with torch")
    assert told.err.count("\n") == 1


def test_one_is_chosen():
    assert console.chosen_one("engine", "b", ("a", "b")) == "b"
    for wrong in ("a,b", "", "c"):
        with pytest.raises(ValueError, match=f"engine must be one of a, b, got '{wrong}'"):
            console.chosen_one("engine", wrong, ("a", "b"))
