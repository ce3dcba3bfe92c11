"""The C tiles against naive loops in C, without Python between them; `make test-arm64` runs the same on an emulator."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import fastscratch_kernels as kernels

DRIVER = Path(__file__).with_name("tile_driver.c")
TILES = Path(__file__).parents[2] / "kernels" / "fastscratch_kernels"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        pytest.skip("there is no C compiler here")
    program = tmp_path_factory.mktemp("driver") / "tile_driver"
    options = ["-O1", "-fno-math-errno", "-Wno-psabi", f"-I{TILES}"]
    sources = [DRIVER, *sorted(TILES.glob("tile_*.c"))]
    done = subprocess.run([compiler, *options, *sources, "-o", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


def test_every_function_on_every_instruction_set(driver):
    done = subprocess.run([driver], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *isas, verdict = done.stdout.splitlines()
    assert verdict == "all right"
    names = [line.split(":")[0] for line in isas]
    assert names[-1] == "baseline"
    if kernels.backends()["cython"] is None:
        assert kernels.isa() in names


def test_nothing_checked_is_no_success(driver):
    done = subprocess.run([driver, "nonsense"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "no instruction set" in done.stderr
