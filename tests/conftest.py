"""Settings every test shares."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a fresh Generator with a fixed seed."""
    return np.random.default_rng(20)
