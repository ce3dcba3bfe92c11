"""`import fastscratch` brings nothing that a user of the layers alone does not need, and so is quick."""

import os
import subprocess
import sys

import pytest

HEAVY = (
    "numba", "torch", "matplotlib", "PIL", "pooch", "rich", "tyro", "safetensors", "requests", "threadpoolctl",
    "unittest", "asyncio",
)  # fmt: skip


def run_python(code):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FASTSCRATCH_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("package", ["fastscratch", "fastscratch_kernels", "fastscratch.losses", "fastscratch.optim"])
def test_the_import_brings_nothing_heavy(package):
    loaded = run_python(f"import sys, {package}; print(*sys.modules)").split()
    assert package in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_numpy_brings_none_of_it_either():
    """Else the test above would blame the wrong one."""
    loaded = run_python("import sys, numpy; print(*sys.modules)").split()
    assert [name for name in HEAVY if name in loaded] == []


def test_a_network_runs_without_anything_heavy():
    code = (
        "import sys, numpy as np, fastscratch as fs\n"
        "model = fs.models.baseline((22, 22, 3))\n"
        "y = model(np.zeros((1, 22, 22, 3), np.float32)); model.backward(y)\n"
        "fs.use_backend('numpy'); print(*sys.modules)"
    )
    loaded = run_python(code).split()
    allowed = {"numba"}  # where Numba is the fastest backend that works here, "auto" takes it
    assert [name for name in HEAVY if name in loaded and name not in allowed] == []


def test_the_public_names_are_there():
    code = (
        "import fastscratch as fs; from fastscratch import data, losses, nn, optim, schedules;"
        "print(fs.__version__, *[name for name in fs.__all__ if not hasattr(fs, name)])"
    )
    assert len(run_python(code).split()) == 1


@pytest.mark.parametrize("name", ["data", "losses", "optim", "schedules", "Trainer"])
def test_a_name_is_imported_when_it_is_asked_for(name):
    code = (
        "import sys, fastscratch as fs; modules = {'fastscratch.training', f'fastscratch.{name}'} & sys.modules.keys();"
        "print(name in dir(fs), getattr(fs, name) is not None, *modules - {'fastscratch.losses', 'fastscratch.optim'})"
    )
    assert run_python(f"name = {name!r}; {code}") == "True True"


def test_an_unknown_name_is_an_attribute_error():
    assert "no attribute 'Trainor'" in run_python(
        "import fastscratch\ntry: fastscratch.Trainor\nexcept AttributeError as error: print(error)"
    )
