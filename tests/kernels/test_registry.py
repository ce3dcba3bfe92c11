"""The table op x backend, the choice of a backend, and what is said where it cannot be had."""

import importlib
import inspect
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import cases
import fastscratch_kernels as kernels
from fastscratch_kernels import _registry

README = Path(__file__).parents[2] / "kernels" / "README.md"
X, W = np.ones((1, 4, 4, 2), np.float32), np.ones((3, 3, 2, 4), np.float32)


@pytest.fixture(autouse=True)
def unchanged_selection():
    """Leave the process's choice as it was, and fail a test that does not restore what it says it restores."""
    before = _registry._selected
    yield
    _registry._selected = before


@pytest.fixture
def broken_numba(monkeypatch):
    """Stand in for a machine whose Numba cannot be imported."""

    def refuse(name, package=None):
        if name.endswith("_numba"):
            raise ImportError("No module named 'numba'")
        return importlib.import_module(name, package)

    table = {
        op: {**row, "numba": row["numpy"].replace("_numpy", "_numba")} for op, row in _registry.KERNELS.items()
    }
    monkeypatch.setattr(_registry, "KERNELS", table)
    monkeypatch.setattr(_registry, "_reasons", {})
    monkeypatch.setattr(_registry, "_functions", {})
    fake = type("importlib", (), {"import_module": staticmethod(refuse)})
    monkeypatch.setattr(_registry, "importlib", fake)


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


# -- the table ---------------------------------------------------------------------------------------------------------


def test_every_op_has_a_reference_and_is_public_and_is_tested():
    assert set(_registry.KERNELS) == set(cases.CASES) == set(cases.OUTPUTS)
    for op, row in _registry.KERNELS.items():
        assert "numpy" in row
        assert set(row) <= set(_registry.BACKENDS)
        assert op in kernels.__all__
        assert callable(getattr(kernels, op))


@pytest.mark.parametrize("op", cases.CASES)
def test_the_twins_of_an_op_have_the_same_parameters(op):
    def parameters(backend):
        function = _registry.kernel(op, backend)
        return list(inspect.signature(getattr(function, "py_func", function)).parameters)

    for backend in kernels.available(op):
        assert parameters(backend) == parameters("numpy"), backend


def test_a_module_is_called_for_its_backend():
    for op, row in _registry.KERNELS.items():
        for backend, module in row.items():
            assert module.endswith(f"_{backend}"), (op, module)


def test_the_readme_shows_the_table():
    """One row an op: the op, then for each backend the module, or a dash."""
    lines = README.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    head = next(row for row in rows if row[0] == "op")
    assert [name.lower() for name in head[1:]] == list(_registry.BACKENDS)
    shown = {row[0]: dict(zip(_registry.BACKENDS, row[1:], strict=True)) for row in rows if row[0] in _registry.KERNELS}
    files = {"numpy": ".py", "numba": ".py", "cython": ".pyx"}
    wanted = {
        op: {name: f"{row[name]}{files[name]}" if name in row else "-" for name in _registry.BACKENDS}
        for op, row in _registry.KERNELS.items()
    }
    assert shown == wanted


def test_the_readme_names_files_that_are_there():
    text = README.read_text(encoding="utf-8")
    for name in re.findall(r"`([\w/]+\.(?:py|pyx|md|h))`", text):
        found = [*README.parents[1].glob(name), *README.parent.rglob(name), *README.parents[1].glob(f"tests/**/{name}")]
        assert found or "myop" in name, name


# -- the choice --------------------------------------------------------------------------------------------------------


def test_use_backend_as_a_call_holds_from_there_on():
    kernels.use_backend("numpy")
    assert kernels.selected_backend() == "numpy"
    assert {kernels.active_backend(op) for op in cases.CASES} == {"numpy"}


def test_use_backend_as_a_block_ends_with_it():
    kernels.use_backend("auto")
    with kernels.use_backend("numpy"):
        assert kernels.selected_backend() == "numpy"
        with kernels.use_backend("auto"):
            assert kernels.selected_backend() == "auto"
        assert kernels.selected_backend() == "numpy"
    assert kernels.selected_backend() == "auto"


def test_use_backend_as_a_block_ends_with_an_error_too():
    kernels.use_backend("auto")
    with pytest.raises(KeyError), kernels.use_backend("numpy"):
        raise KeyError
    assert kernels.selected_backend() == "auto"


def test_the_backend_argument_holds_for_one_call():
    kernels.use_backend("auto")
    kernels.conv2d(X, W, backend="numpy")
    assert kernels.selected_backend() == "auto"


def test_the_choice_holds_in_every_thread():
    seen = []
    with kernels.use_backend("numpy"):
        thread = threading.Thread(target=lambda: seen.append(kernels.selected_backend()))
        thread.start()
        thread.join()
    assert seen == ["numpy"]


def test_the_backend_argument_of_one_thread_does_not_reach_another():
    """One thread asks for backends by argument, over and over; the choice that others see must not flicker."""
    kernels.use_backend("auto")
    seen, stop = set(), threading.Event()

    def look():
        while not stop.is_set():
            seen.add(kernels.selected_backend())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread = threading.Thread(target=look)
        thread.start()
        for _ in range(3000):
            _registry.kernel("im2col", "numpy")
        stop.set()
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert seen == {"auto"}


def test_auto_takes_the_first_of_its_order():
    kernels.use_backend("auto")
    for op in cases.CASES:
        can = kernels.available(op)
        assert kernels.active_backend(op) == next(name for name in ("cython", "numba", "numpy") if name in can)


@pytest.mark.parametrize("name", ["cuda", "", "NumPy", None])
def test_an_unknown_backend_is_refused_and_changes_nothing(name):
    kernels.use_backend("numpy")
    with pytest.raises(ValueError, match=f"backend must be one of auto, numpy, numba, cython, got {name!r}"):
        kernels.use_backend(name)
    assert kernels.selected_backend() == "numpy"


@pytest.mark.parametrize("function", [kernels.available, kernels.active_backend, _registry.kernel])
def test_an_unknown_op_is_refused(function):
    with pytest.raises(ValueError, match=r"op must be one of im2col, col2im, .*, got 'conv3d'"):
        function("conv3d")


# -- what cannot be had ------------------------------------------------------------------------------------------------


def test_backends_says_why_one_is_missing_and_what_to_do(broken_numba):
    reasons = kernels.backends()
    assert reasons["numpy"] is None
    assert reasons["numba"] == "No module named 'numba' (cure: pip install numba)"


@pytest.mark.parametrize(
    "ask",
    [
        lambda: kernels.use_backend("numba"),
        lambda: kernels.conv2d(X, W, backend="numba"),
        lambda: _registry.kernel("conv2d", "numba"),
    ],
    ids=["use_backend", "argument", "kernel"],
)
def test_an_explicit_request_that_cannot_be_met_raises(broken_numba, ask):
    kernels.use_backend("numpy")
    with pytest.raises(kernels.BackendUnavailableError) as error:
        ask()
    assert str(error.value) == "backend 'numba' is not available: No module named 'numba' (cure: pip install numba)"
    assert kernels.selected_backend() == "numpy"


def test_auto_goes_on_without_it_and_says_so(broken_numba):
    kernels.use_backend("auto")
    assert kernels.active_backend("conv2d") != "numba"
    assert "numba" not in kernels.available("conv2d")


def test_a_backend_without_the_op_is_said_not_replaced(monkeypatch):
    """Nothing falls back silently: a column with a hole raises where the hole is met."""
    table = {op: dict(row) for op, row in _registry.KERNELS.items()}
    table["im2col"]["numba"] = "im2col_numpy"  # something that can be imported
    table["conv2d"].pop("numba", None)
    monkeypatch.setattr(_registry, "KERNELS", table)
    monkeypatch.setattr(_registry, "_reasons", {"numpy": None, "numba": None, "cython": "not built"})
    monkeypatch.setattr(_registry, "_functions", {})
    assert kernels.im2col(X, 2, backend="numba").shape == (1, 3, 3, 8)
    with pytest.raises(kernels.BackendUnavailableError, match="'numba' has no kernel for 'conv2d'; these have: numpy"):
        kernels.conv2d(X, W, backend="numba")


# -- the environment ---------------------------------------------------------------------------------------------------


def test_the_environment_chooses_a_backend():
    done = run_python("import fastscratch_kernels as k; print(k.active_backend())", FASTSCRATCH_BACKEND="numpy")
    assert (done.returncode, done.stdout.strip()) == (0, "numpy"), done.stderr


def test_a_wrong_name_in_the_environment_is_told():
    done = run_python("import fastscratch_kernels as k; k.active_backend()", FASTSCRATCH_BACKEND="fast")
    assert "FASTSCRATCH_BACKEND must be one of auto, numpy, numba, cython, got 'fast'" in done.stderr


def test_use_backend_overrules_a_wrong_name_in_the_environment():
    code = "import fastscratch_kernels as k; k.use_backend('numpy'); print(k.active_backend())"
    assert run_python(code, FASTSCRATCH_BACKEND="fast").stdout.strip() == "numpy"


def test_a_numpy_run_imports_no_compiler():
    code = (
        "import sys, numpy as np, fastscratch_kernels as k;"
        "k.use_backend('numpy'); k.maxpool2d(np.ones((1, 2, 2, 1)), 2);"
        "print([name for name in sys.modules if 'numba' in name or 'cython' in name.lower()])"
    )
    done = run_python(code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
