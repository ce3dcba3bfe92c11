"""What a measurement sets in its process, and a test must not leave to the next."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def denormals_are_numbers_again() -> Iterator[None]:
    """PyTorch is timed with denormals taken as zero; other tests look at what becomes of them."""
    yield
    torch = pytest.importorskip("torch")
    torch.set_flush_denormal(False)
