"""What several files of kernel tests ask for."""

import pytest

import fastscratch_kernels as kernels


@pytest.fixture
def all_is_shared(monkeypatch):
    """Let Numba's kernels share all that has more than one chunk, however little work it is."""
    if kernels.backends()["numba"] is None:
        from fastscratch_kernels import _parallel

        monkeypatch.setattr(_parallel, "WORTH", 1e-12)
        monkeypatch.setattr(_parallel, "LONG", 1e-12)
