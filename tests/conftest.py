"""Settings every test shares."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """Let SIGINT interrupt, here and in processes that tests start: a job in the background is started deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a fresh Generator with a fixed seed."""
    return np.random.default_rng(20)


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """Keep PyTorch's threads from fighting with BLAS's over the cores; arrays this small are faster without them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
