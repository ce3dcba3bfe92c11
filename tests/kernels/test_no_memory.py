"""Where a kernel finds no memory to work in, it raises MemoryError; it does not crash, nor return half an answer."""

import subprocess
import sys

import pytest

import fastscratch_kernels as kernels

pytestmark = [
    pytest.mark.skipif(kernels.backends()["cython"] is not None, reason="the Cython kernels are not built"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does"),
]

PROGRAM = """
import resource
import numpy as np
import fastscratch_kernels as kernels

kernels.use_backend("cython")
kernels.set_num_threads(2)
image, large = np.zeros((2, 8, 8, 4), np.float32), np.zeros((2, 1200, 1200, 4), np.float32)
w, y = np.zeros((3, 3, 4, 8), np.float32), np.empty((2, 1200, 1200, 8), np.float32)
wide, ww = np.zeros((2, 256, 256, 32), np.float32), np.zeros((3, 3, 32, 32), np.float32)
wy, wdx, wdw, wdb = np.empty_like(wide), np.empty_like(wide), np.empty_like(ww), np.empty(32, np.float32)
pooled, argmax = np.zeros((2, 600, 600, 8), np.float32), np.zeros((2, 600, 600, 8), np.uint8)
each, same = np.zeros((3, 3, 1, 4), np.float32), np.empty_like(large)
dx, dw, db, deach = np.empty_like(large), np.empty_like(w), np.empty(8, np.float32), np.empty_like(each)
kernels.conv2d(image, w, padding=1)  # the threads are there from now on

# Every result has its array, so that NumPy asks for no memory: whether some is left on the heap is chance.
CALLS = {
    "forward": lambda: kernels.conv2d(large, w, padding=1, out=y),
    "backward": lambda: kernels.conv2d_backward(y, large, w, padding=1, dx=dx, dw=dw, db=db),
    "forward, Winograd": lambda: kernels.conv2d(wide, ww, padding=1, out=wy, algorithm="winograd"),
    "backward, Winograd": lambda: kernels.conv2d_backward(
        wy, wide, ww, padding=1, dx=wdx, dw=wdw, db=wdb, algorithm="winograd"
    ),
    "forward, depthwise": lambda: kernels.conv2d(large, each, padding=1, groups=4, out=same),
    "backward, depthwise": lambda: kernels.conv2d_backward(
        same, large, each, padding=1, groups=4, dx=dx, dw=deach, db=db[:4]
    ),
    "block": lambda: kernels.conv2d_relu_maxpool2d(large, w, padding=1, out=pooled, argmax=argmax),
    "block, backward": lambda: kernels.conv2d_relu_maxpool2d_backward(
        pooled, argmax, large, w, padding=1, dx=dx, dw=dw, db=db
    ),
}
for name, call in CALLS.items():
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used, -1))
    try:
        call()
        print(name, "found memory")
    except MemoryError as error:
        print(name, "|", error)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
assert kernels.conv2d(image, w + 1, np.ones(8, np.float32), padding=1).tolist() == np.ones((2, 8, 8, 8)).tolist()
"""


def test_without_memory_a_kernel_says_so_and_works_on_afterwards():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    assert all(line.endswith("| no memory for the working arrays of a convolution") for line in lines), done.stdout
