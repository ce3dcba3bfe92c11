"""Compile the Numba kernels ahead, so that no training run has to wait for it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import numpy as np

from fastscratch.op_cases import Call


def warm_up(calls: Iterable[Call]) -> Iterator[Call]:
    """Run each call in float32 and in float64 on the Numba backend by each algorithm, which compiles what it needs.

    Parameters
    ----------
    calls : iterable of Call
        See `op_cases.every_call`.

    Yields
    ------
    Call
        The one just done. What is compiled lies in `fastscratch_kernels.numba_cache` from then on.

    Raises
    ------
    BackendUnavailableError
        If Numba cannot be had.
    """
    logger = logging.getLogger("fastscratch_kernels")
    before = logger.level
    logger.setLevel(logging.ERROR)  # that kernels are compiled need not be said here
    try:
        for call in calls:
            for dtype in (np.float32, np.float64):
                for _ in call.run_each_algorithm(dtype, "numba"):
                    pass
            yield call
    finally:
        logger.setLevel(before)
