"""Every instruction set that this CPU has, each in a process of its own, held to NumPy; and what is said of others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastscratch_kernels as kernels

if kernels.backends()["cython"] is not None:
    pytest.skip("the Cython kernels are not built here", allow_module_level=True)

from fastscratch_kernels import _tiles

PROGRAM = """
import cases
import fastscratch_kernels as kernels
from tolerances import EXACT, KERNELS, assert_close

CASES = {
    "conv2d": ("plain", "padding", "groups", "depthwise_sixteen", "nine_filters"),
    "conv2d_backward": ("plain", "dilation_stride_padding", "depthwise_sixteen", "seventeen_channels_wide"),
    "conv2d_relu_maxpool2d": ("plain", "padding", "seventeen_filters", "runs_of_forty_eight"),
    "conv2d_relu_maxpool2d_backward": ("plain", "padding", "seventeen_filters", "runs_of_sixteen",
                                       "runs_of_forty_eight", "sixteen_channels_dilated"),
    "maxpool2d": ("overlapping", "padding", "seventeen_channels"),
    "maxpool2d_backward": ("overlapping", "padding", "seventeen_channels"),
    "batchnorm2d": ("evaluation_with_relu", "thirty_five_channels"),
    "batchnorm2d_backward": ("evaluation", "evaluation_with_relu", "thirty_five_channels"),
}
print(kernels.isa())
for op, names in CASES.items():
    chosen = [case for case in cases.CASES[op] if case.id in names]
    assert len(chosen) == len(names), op
    for case in chosen:
        for dtype in cases.DTYPES:
            for fill in cases.fills_of(op):
                arguments = cases.arguments(op, case, fill, dtype)
                tolerance = EXACT if fill in ("integers", "ties") else KERNELS[op, dtype]
                wanted = cases.call(op, *arguments, "numpy")
                for name, got, one in zip(cases.OUTPUTS[op], cases.call(op, *arguments, "cython"), wanted, strict=True):
                    assert_close(got, one, tolerance, f"{op}, {case}, {fill}, {dtype}: {name}")
"""


def run_python(code, isa):
    path = [str(Path(__file__).parents[1]), str(Path(kernels.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "FASTSCRATCH_ISA": isa}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("isa", _tiles.available_isas())
def test_every_instruction_set_of_this_cpu_gives_what_numpy_gives(isa):
    done = run_python(PROGRAM, isa)
    assert (done.returncode, done.stdout.strip()) == (0, isa), done.stderr


@pytest.mark.parametrize("wrong", ["", "AVX2", "sse9", *sorted(set(_tiles.ISAS) - set(_tiles.available_isas()))])
def test_an_instruction_set_that_cannot_be_had_is_told_in_one_line(wrong):
    """By the name in the environment, and to who asks for another one: what is in use stays in use."""
    line = f"FASTSCRATCH_ISA must be one of {', '.join(_tiles.available_isas())} on this CPU, got {wrong!r}"
    done = run_python("import fastscratch_kernels as k; k.use_backend('cython')", wrong)
    assert line in done.stderr
    before = _tiles.isa()
    with pytest.raises(ValueError, match="FASTSCRATCH_ISA must be one of") as error:
        _tiles.use_isa(wrong)
    assert str(error.value) == line
    assert _tiles.isa() == before
