"""Training in forks, in threads, in processes that start together, and beside PyTorch: each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastscratch_kernels as kernels

COMPILED = [name for name in ("numba", "cython") if kernels.backends()[name] is None]
TIMEOUT = 60


def start_python(code, **environment):
    """Start a process that can import what the tests can, and `short_training`."""
    path = [str(Path(__file__).parent), str(Path(kernels.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "FASTSCRATCH_NUM_THREADS": "2", **environment}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    """Return what a process printed; fail where it failed, and do not wait for ever."""
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        pytest.fail(f"not done after {TIMEOUT} seconds")
    assert process.returncode == 0, err
    return out.strip(), err.strip()


FORK = """
import os, signal
from short_training import Training
training = Training()
training.train()
child = os.fork()
if child == 0:
    signal.alarm(30)  # a child that hangs ends by itself
bits = training.train()
if child == 0:
    with open(path, "wb") as file:
        file.write(bits)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
with open(path, "rb") as file:
    print(file.read() == bits)
"""


TOLD = "forked after the Cython kernels' OpenMP was loaded: they use one thread here"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("backend", COMPILED)
def test_a_process_forks_after_training_and_the_child_trains_on(backend, tmp_path):
    """GNU OpenMP alone would hang in the child; and one thread or two give the same bits."""
    code = f"path = {str(tmp_path / 'bits')!r}\n{FORK}"
    out, err = finish(start_python(code, FASTSCRATCH_BACKEND=backend))
    assert out.split() == ["0", "True"]
    assert (TOLD in err) == (backend == "cython")


FORK_OF_PYTORCH = """
import os, signal
import torch
import fastscratch_kernels  # and none of its kernels
torch.set_num_threads(2)
torch.nn.functional.relu(torch.ones(4_000_000))  # makes a team of OpenMP's
child = os.fork()
if child == 0:
    signal.alarm(30)
    from short_training import Training
    Training().train()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.torch
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("backend", COMPILED)
def test_a_process_forks_after_pytorch_and_the_child_loads_the_kernels(backend):
    """They are linked to the library that PyTorch brought, whose threads the child lacks."""
    out, err = finish(start_python(FORK_OF_PYTORCH, FASTSCRATCH_BACKEND=backend))
    assert out == "0", err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.skipif("cython" not in COMPILED, reason="the Cython kernels are not built")
def test_a_fork_of_a_process_without_openmp_has_all_threads():
    code = """
import os
from fastscratch_kernels import get_num_threads
child = os.fork()
if child == 0:
    from short_training import Training
    Training().train()
    print(get_num_threads(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert finish(start_python(code, FASTSCRATCH_BACKEND="cython")) == ("2", "")


@pytest.mark.parametrize("backend", COMPILED)
def test_four_threads_train_at_once_and_get_the_bits_of_one_after_the_other(backend):
    code = """
from concurrent.futures import ThreadPoolExecutor
from short_training import Training
alone = [Training(seed).train() for seed in range(4)]
with ThreadPoolExecutor(4) as pool:
    together = list(pool.map(lambda seed: Training(seed).train(), range(4)))
print(len(set(alone)), together == alone)
"""
    out, _ = finish(start_python(code, FASTSCRATCH_BACKEND=backend))
    assert out == "4 True"


def test_four_processes_compile_at_once_into_one_cache(tmp_path):
    if "numba" not in COMPILED:
        pytest.skip("Numba is not here")
    code = """
import numpy as np, fastscratch_kernels as k
x = np.random.default_rng(0).standard_normal((2, 4, 4, 3), dtype=np.float32)
for name in ("numpy", "numba"):
    k.use_backend(name)
    print((k.im2col(x, 2).tobytes() + k.maxpool2d(x, 2)[0].tobytes()).hex())
"""
    cold = [start_python(code, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(4)]
    results = [finish(process) for process in cold]
    results.append(finish(start_python(code, NUMBA_CACHE_DIR=str(tmp_path))))
    for out, _ in results:
        reference, compiled = out.split()
        assert compiled == reference
    assert any("compiling Numba kernels" in err for _, err in results[:4])
    assert list(tmp_path.rglob("*.nbi"))
    assert results[-1][1] == ""  # what the four left behind is whole: the last one compiled nothing


BESIDE_TORCH = """
import hashlib
{imports}

def theirs():
    nn = torch.nn
    torch.manual_seed(0)
    torch.set_num_threads(2)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3136, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    nn.functional.cross_entropy(model(torch.randn(64, 3, 16, 16)), torch.arange(64) % 10).backward()
    optimizer.step()
    return b"".join(parameter.detach().numpy().tobytes() for parameter in model.parameters())

def ours(backend):
    with kernels.use_backend(backend):
        return Training().train()

for bits in (*map(ours, {backends}), theirs(), *map(ours, {backends})):
    print(hashlib.sha256(bits).hexdigest())
"""


@pytest.mark.torch
def test_it_does_not_matter_whether_pytorch_is_imported_first_or_last():
    pytest.importorskip("torch")
    imports = ["import torch", "from short_training import Training\nimport fastscratch_kernels as kernels"]
    codes = [BESIDE_TORCH.format(imports="\n".join(order), backends=COMPILED) for order in (imports, imports[::-1])]
    first, last = (finish(process)[0].split() for process in [start_python(code) for code in codes])
    assert first == last
    assert len(first) == 2 * len(COMPILED) + 1
    assert first[: len(COMPILED)] == first[len(COMPILED) + 1 :]


@pytest.mark.skipif(kernels.backends()["cython"] is not None, reason="the Cython kernels are not built")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell a process's memory")
def test_threads_that_have_ended_give_their_memory_back():
    code = """
import threading
import numpy as np, fastscratch_kernels as k

def resident():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024

x, w = np.ones((128, 15, 15, 32), np.float32), np.ones((5, 5, 32, 64), np.float32)
dy = np.ones((128, 11, 11, 64), np.float32)

def threads(count):
    for _ in range(count):
        thread = threading.Thread(target=k.conv2d_backward, args=(dy, x, w))
        thread.start()
        thread.join()

threads(4)
before = resident()
threads(16)
print(resident() - before)
"""
    out, _ = finish(start_python(code, FASTSCRATCH_BACKEND="cython"))
    assert float(out) < 16  # MiB; what one of them works in is larger than one
