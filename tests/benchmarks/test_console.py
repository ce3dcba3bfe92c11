"""What options may say, and what is done where a backend is missing."""

import console
import pytest

from fastscratch_kernels import BackendUnavailableError


def test_a_missing_backend_is_left_out_and_told(monkeypatch, capsys):
    monkeypatch.setattr(console, "backends", lambda: {"cython": "not compiled", "numba": None, "numpy": None})
    assert console.chosen_backends("cython,numba,numpy") == ["numba", "numpy"]
    assert capsys.readouterr().err == "... without cython: not compiled\n"
    with pytest.raises(BackendUnavailableError, match="cython: not compiled"):
        console.chosen_backends("cython")
    with pytest.raises(ValueError, match="backends must be some of cython, numba, numpy, got 'nix'"):
        console.chosen_backends("nix")


def test_one_is_chosen():
    assert console.chosen_one("engine", "b", ("a", "b")) == "b"
    for wrong in ("a,b", "", "c"):
        with pytest.raises(ValueError, match=f"engine must be one of a, b, got '{wrong}'"):
            console.chosen_one("engine", wrong, ("a", "b"))
