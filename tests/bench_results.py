"""A results file of made-up numbers, with every section that the pages are filled from."""

from __future__ import annotations

import math
from typing import Any

from rungs import LADDERS

ENGINES = {"torch contiguous": 4.4, "torch channels_last": 4.0, "cython": 1.0, "numba": 2.0, "numpy": 10.0}
"""Engine -> how many times as long as cython it takes."""


def machine(**changes: Any) -> dict[str, Any]:
    return {
        "cpu": "Some CPU",
        "isa": "avx2",
        "cores": 2,
        "date": "2026-01-02",
        "commit": "0123abcde",
        "versions": {"torch": "2.9", "numpy": "2.4", "numba": None},
    } | changes


def measured(seconds: float, engines: dict[str, float] = ENGINES) -> dict[str, Any]:
    """Return what `contest.as_row` returns, for a row in which cython takes `seconds`."""
    rounds = (0.98, 0.99, 1.0, 1.01, 1.02)
    return {
        "best_torch": "torch channels_last",
        "engines": {
            name: {"seconds": [seconds * factor * r for r in rounds], "peak": 50.0 + factor, "imported": 40.0}
            for name, factor in engines.items()
        },
        "ratios": {
            name: {"median": engines["torch channels_last"] / factor, "least": 0.5, "most": 9.0}
            for name, factor in engines.items()
        },
    }


def section(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    load = {"busy": 0.01, "average": [0, 0, 0]}
    settings = {"quick": False, "threads": 2}
    return {"settings": settings, "rows": rows, "failures": [], "load_before": load, "load_after": load} | more


def line(varied: str, engine: str, factor: float) -> dict[str, Any]:
    x = [1.0, 2.0] if varied == "threads" else [64.0, 128.0, 256.0, 512.0]
    y = [factor * value for value in x]
    fit = {"slope": factor, "intercept": 0.0, "r2": 1.0, "last_over_first": y[-1] / y[0]}
    return {"varied": varied, "engine": engine, "x": x, "y": y} | fit


def history(speed: float) -> list[dict[str, float]]:
    return [{"epoch": e, "seconds": 6.0 * e * speed, "accuracy": 0.8 - 0.4 / math.sqrt(e)} for e in range(1, 21)]


def results(**changes: Any) -> dict[str, Any]:
    """Return a whole file; `changes` are the machine's."""
    steps = [
        {"network": "baseline", "kind": "training", "batch": batch, "threads": 2} | measured(1e-4 * batch**0.9)
        for batch in (4, 8, 16, 32, 64, 128)
    ]
    layers = [
        {"layer": f"vgg.conv{n}", "pass": way, "batch": 32, "threads": 2, "flops": 10**9 * n, "bytes": 10**8 // n}
        | measured(0.02 * n)
        for n in range(1, 7)
        for way in ("forward", "backward")
    ]
    rungs = [
        {
            "shape": shape, "batch": 32, "backend": "cython", "rung": rung.name, "threads": 1 + (n > 3),
            "seconds": 2.0 / 3**n, "rounds": [2.0 / 3**n] * 3 if n else [2.0 / 32],
        }
        for shape, ladder in LADDERS.items()
        for n, rung in enumerate(ladder)
    ]  # fmt: skip
    scales = [
        line(varied, engine, ENGINES[engine])
        for varied in ("images", "batch", "threads", "channels")
        for engine in ("torch channels_last", "cython", "numba")
    ]
    runs = [
        {
            "engine": engine, "seed": seed, "history": history(speed + 0.1 * seed),
            "reached": {"0.7": 96 * (speed + 0.1 * seed), "0.75": None},
        }
        for seed in range(2)
        for engine, speed in (("torch channels_last", 4.0), ("cython", 1.0), ("numba", 2.0))
    ]  # fmt: skip
    ops = [
        {"shape": "conv2d:vgg.conv2", "batch": 32, "pass": way, "dtype": dtype, "engine": engine, "threads": threads}
        | {"median": 0.01 * factor / threads}
        for way in ("forward", "backward")
        for dtype in ("float32", "float64")
        for threads in (1, 2)
        for engine, factor in ENGINES.items()
    ]
    return {
        "machine": machine(**changes),
        "sections": {
            "ops": section(ops),
            "vs_torch": section([
                *({key: value for key, value in row.items() if key != "kind"} | {"precision": ""} for row in steps),
                {"network": "vgg", "batch": 32, "precision": "", "threads": 2} | measured(0.1),
            ]),
            "vs_torch_compiled": section([
                {"network": "vgg", "batch": 32, "precision": "", "threads": 2}
                | kind
                | measured(0.1, ENGINES | {"torch contiguous compiled": 4.2, "torch channels_last compiled": 4.1})
                for kind in ({}, {"kind": "inference"})
            ]),
            "vs_torch_layers": section(layers),
            "step": section(steps, start=[{"engine": "numba", "import_seconds": 0.5, "first_seconds": 1.5}]),
            "data": section([{"augmentation": "report", "batch": 128, "images": 9984, "threads": 2} | measured(1.0)]),
            "ladder": section(rungs),
            "scaling": section(scales),
            "roofline": section(layers, limits={"flops": 1.5e11, "bytes": 2e10}),
            "time_to_accuracy": section(runs),
        },
    }
