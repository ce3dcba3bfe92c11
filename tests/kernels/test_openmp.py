"""GNU OpenMP is told once how long to wait, and nothing of that is left behind."""

import os
import re
import subprocess
import sys

import pytest

import fastscratch_kernels as kernels
from fastscratch_kernels import _openmp

pytestmark = pytest.mark.skipif(kernels.backends()["cython"] is not None, reason="the Cython kernels are not built")

PROGRAM = """
import os
import fastscratch_kernels
assert fastscratch_kernels.backends()["cython"] is None
print(os.environ.get("GOMP_SPINCOUNT"))
"""


def spins(**settings):
    """Return what the variable is after the kernels were loaded, and what each library says that it has read."""
    clean = {name: value for name, value in os.environ.items() if name not in _openmp.SETTINGS}
    environment = clean | {"OMP_DISPLAY_ENV": "verbose"} | settings
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    said = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)
    if not said:
        pytest.skip("the kernels were built without GNU OpenMP")
    return done.stdout.strip(), set(said)


def test_the_kernels_library_waits_a_short_time_and_the_environment_is_as_it_was():
    assert spins() == ("None", {str(_openmp.SPINS)})


def test_what_the_user_has_set_holds():
    assert spins(GOMP_SPINCOUNT="77") == ("77", {"77"})
    told, said = spins(OMP_WAIT_POLICY="active")
    assert told == "None"
    assert str(_openmp.SPINS) not in said


def test_a_failed_import_leaves_nothing_behind(monkeypatch):
    for name in _openmp.SETTINGS:
        monkeypatch.delenv(name, raising=False)

    def fail():
        with _openmp.short_waits():
            assert os.environ["GOMP_SPINCOUNT"] == str(_openmp.SPINS)
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert "GOMP_SPINCOUNT" not in os.environ
