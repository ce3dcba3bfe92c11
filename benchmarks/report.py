"""Fill the benchmarks' tables in README.md, kernels/README.md and docs/, and draw their figures, from results files.

    python benchmarks/report.py           # fill and draw
    python benchmarks/report.py --check   # exit 1 where a page or a figure differs from the results

Of each kind of machine the newest file counts that has the section; what was measured with ``--quick``, or of some
rows or backends alone, does not. Where there is no results file, a table stays empty.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import figures
from console import main
from matplotlib.figure import Figure
from PIL import Image
from published import Result, newest, rows_of, source
from rungs import IDEAS, gains

from fastscratch.report.figures import save

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
DRAWING = Path(figures.__file__)
sys.path.append(str(ROOT / "experiments"))

from tables import Options, Tables, fill  # noqa: E402  # the other script that fills pages
from tabular import table  # noqa: E402

ENGINES = ("cython", "numba", "numpy")
COMPILED = ("cython", "numba")
MEMORY = ("MiB, cython / PyTorch", "above the imports")
ENOUGH = 5
"""Rounds for a median; where there are fewer, for an engine is too slow, a table says so."""

FAST = (
    "fast: `use_precision(\"fast\")`, by which 3 x 3 convolutions may take Winograd's F(4x4,3x3), with larger rounding "
    "errors than in the other rows; PyTorch computes as it does there, in full float32 precision."
)
"""What stands below a table that has rows of that precision."""


def _per_machine(section: str, head: Sequence[str], lines: Any) -> str:
    """Return a table for each machine, with a line below that names it."""
    blocks = [table(head, lines(rows_of(one, section))) + source(one, section) for one in newest(section)]
    return "\n".join(blocks)


def _ratio(row: Mapping[str, Any], name: str) -> str:
    ratios = row["ratios"].get(name)
    if not ratios:
        return "-"
    rounds = min(len(row["engines"][engine]["seconds"]) for engine in (name, row["best_torch"]))
    few = f", {rounds} rounds" if rounds < ENOUGH else ""
    return f"{ratios['median']:.2f} ({ratios['least']:.2f} to {ratios['most']:.2f}{few})"


def _milliseconds(row: Mapping[str, Any], name: str) -> str:
    return figures.plain(1e3 * median(row["engines"][name]["seconds"]))


def _backend(row: Mapping[str, Any], backend: str) -> str:
    """Return the name of a backend in a row, which may have its precision in it."""
    return next((name for name in row["engines"] if figures.engine_of(name) == backend), backend)


def vs_torch() -> str:
    """Return PyTorch's time over each backend's for training steps, and the memory of both."""

    def lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
        for row in rows:
            best = row["best_torch"]
            yield [
                f"{_network(row)}, {row['batch']}{', fast' if row['precision'] else ''}",
                str(row["threads"]),
                f"{_milliseconds(row, best)} ({best.removeprefix('torch ')})",
                *(_ratio(row, _backend(row, name)) for name in ENGINES),
                *_memory(row),
            ]

    ratios = (f"PyTorch / {name}" for name in ENGINES)
    head = ["network, batch", "threads", "PyTorch, ms", *ratios, *MEMORY]
    rows = [row for result in newest("vs_torch") for row in rows_of(result, "vs_torch")]
    note = f"\n{FAST}\n" if any(row["precision"] == "fast" for row in rows) else ""
    return _per_machine("vs_torch", head, lines) + note


def compiled() -> str:
    """Return what torch.compile makes of PyTorch's steps and inference, and the ratio to the faster of both."""

    def lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
        for row in rows:
            ways: tuple[list[str], list[str]] = ([], [])  # as it is, compiled
            for name in row["engines"]:
                if name.startswith("torch"):
                    ways[name.endswith(" compiled")].append(name)
            best = [min(names, key=lambda name: median(row["engines"][name]["seconds"])) for names in ways]
            cells = (f"{_milliseconds(row, name)} ({name.split()[1]})" for name in best)
            kind = row.get("kind", "training")  # older files have no other
            what = [f"{_network(row)}, {row['batch']}", kind, str(row["threads"])]
            yield [*what, *cells, *(_ratio(row, _backend(row, name)) for name in COMPILED)]

    ratios = (f"PyTorch / {name}" for name in COMPILED)
    head = ["network, batch", "what", "threads", "PyTorch, ms", "compiled, ms", *ratios]
    return _per_machine("vs_torch_compiled", head, lines)


def _memory(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the peaks of cython's and PyTorch's processes, and what of them came after the imports."""
    engines = [row["engines"].get(name) for name in (_backend(row, "cython"), row["best_torch"])]
    peaks = [f"{engine['peak']:.0f}" if engine else "-" for engine in engines]
    above = [f"{engine['peak'] - engine['imported']:.0f}" if engine else "-" for engine in engines]
    return " / ".join(peaks), " / ".join(above)


def _network(row: Mapping[str, Any]) -> str:
    return {"baseline": "the report's CNN", "vgg": "VGG"}[row["network"]]


def layers() -> str:
    """Return PyTorch's time over each backend's for every convolution alone."""

    def lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
        for row in rows:
            best = row["best_torch"]
            yield [
                f"`{row['layer']}`", row["pass"], str(row["threads"]),
                f"{_milliseconds(row, best)} ({best.removeprefix('torch ')})",
                *(_ratio(row, name) for name in COMPILED),
            ]  # fmt: skip

    head = ["layer", "pass", "threads", "PyTorch, ms", "PyTorch / cython", "PyTorch / numba"]
    return _per_machine("vs_torch_layers", head, lines)


def ops() -> str:
    """Return the milliseconds of every op on every shape, in float32 with all threads."""
    has_jax = any(row["engine"] == "jax" for result in newest("ops") for row in rows_of(result, "ops"))
    shown = {name: f"{name}, ms" for name in ENGINES} | {"torch": "PyTorch, ms"}
    shown |= {"jax": "JAX, ms"} if has_jax else {}

    def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
        threads = max(row["threads"] for row in rows)
        found: dict[tuple[str, str], dict[str, float]] = {}
        for row in rows:
            if row["dtype"] == "float32" and row["threads"] == threads:
                times = found.setdefault((f"`{row['shape']}`, {row['batch']}", row["pass"]), {})
                engine = figures.engine_of(row["engine"])  # the faster one of PyTorch's layouts
                times[engine] = min(row["median"], times.get(engine, row["median"]))
        for what, times in found.items():
            cells = [figures.plain(1e3 * times[name]) if name in times else "-" for name in shown]
            ratio = f"{times['torch'] / times['cython']:.2f}" if {"torch", "cython"} <= times.keys() else "-"
            yield [*what, str(threads), *cells, ratio]

    return _per_machine("ops", ["op and shape, batch", "pass", "threads", *shown.values(), "PyTorch / cython"], lines)


def step() -> str:
    """Return images a second of whole networks, training and inference."""

    def lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
        for row in rows:
            names = [*ENGINES, row["best_torch"]]
            rates = [
                f"{row['batch'] / median(row['engines'][name]['seconds']):,.0f}" if name in row["engines"] else "-"
                for name in names
            ]
            ratios = (_ratio(row, name) for name in COMPILED)
            what = [_network(row), row["kind"], str(row["batch"]), str(row["threads"])]
            yield [*what, *rates, *ratios, *_memory(row)]

    times = (f"PyTorch's time / {name}'s" for name in COMPILED)
    return _per_machine("step", ["network", "what", "batch", "threads", *ENGINES, "PyTorch", *times, *MEMORY], lines)


def start() -> str:
    """Return the seconds from nothing to the first training step, and what the Python of a step takes."""
    from bench_step import start_lines

    blocks = []
    for result in newest("step"):
        rows = map(list, start_lines(result["sections"]["step"]["start"]))
        head = ["engine", "imports, s", "first step, s", "a step's Python, µs"]
        blocks.append(table(head, rows) + source(result, "step"))
    return "\n".join(blocks)


def loaders() -> str:
    """Return images a second of the data loaders."""

    def lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
        for row in rows:
            for name, engine in row["engines"].items():
                rate = row["images"] / median(engine["seconds"])
                label = "fastscratch" if name == "auto" else _loader(name, row["augmentation"])
                yield [row["augmentation"], label, f"{rate:,.0f}", _ratio(row, name)]

    return _per_machine("data", ["augmentation", "loader", "images/s", "best PyTorch's time / its"], lines)


def _loader(name: str, augmentation: str) -> str:
    """Return what PyTorch's loader is: with torchvision's transforms, or whole batches by index."""
    if "by index" in name:
        return name.replace("torch", "PyTorch")
    each = "batches" if augmentation == "none" else "image by image"
    return f"{name.replace('torch', 'torchvision')}, {each}"


def _climbed(result: Result) -> dict[str, list[list[str]]]:
    """Return for each block the lines of its ladder: the rung, threads, milliseconds, gained, in all."""
    by_shape: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(result, "ladder"):
        by_shape.setdefault(f"`{row['shape'].partition(':')[2]}`, {row['batch']} images", []).append(row)
    return {
        name: [
            [row["rung"], str(row["threads"]), *map(figures.plain, (1e3 * row["seconds"], *gain))]
            for row, gain in zip(rows, gains(rows), strict=True)
        ]
        for name, rows in by_shape.items()
    }


def ladder() -> str:
    """Return what each rung of the ladder gains, a table a block."""
    blocks = []
    for result in newest("ladder"):
        for name, lines in _climbed(result).items():
            blocks.append(table([name, "threads", "ms", "times as fast", "in all"], lines))
        blocks[-1] += source(result, "ladder")
    return "\n".join(blocks) + ("\n![The ladder](../docs/images/ladder.png)\n" if blocks else "")


def rung(idea: str) -> str:
    """Return what one rung takes on each ladder, and how many times as fast it is as the rung below."""
    head = ["block", "machine", "threads", "ms", "times as fast"]
    lines = [
        [name, f"{result['machine']['cpu']}, {result['machine']['isa']}", *line[1:4]]
        for result in newest("ladder")
        for name, climbed in _climbed(result).items()
        for line in climbed
        if line[0] == idea
    ]
    return table(head, lines) if lines else ""


def scaling() -> str:
    """Return the straight lines fitted to cost against images, batch, threads and channels."""

    def lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
        for row in rows:
            last = f"{row['last_over_first']:.2f}"
            yield [row["varied"], figures.label_with_layout(row["engine"]), figures.straightness(row), last]

    text = _per_machine("scaling", ["varied", "engine", "R²", "last / first"], lines)
    return text + ("\n![How cost grows](images/scaling.png)\n" if text else "")


def accuracy() -> str:
    """Return the seconds to each test accuracy."""
    from time_to_accuracy import spread

    def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
        targets = list(rows[0]["reached"])
        for name in dict.fromkeys(row["engine"] for row in rows):
            mine = [row for row in rows if row["engine"] == name]
            for target in targets:
                times = spread([row["reached"][target] for row in mine])
                yield [figures.label_of(name), f"{100 * float(target):g} %", times, str(len(mine))]

    text = _per_machine("time_to_accuracy", ["engine", "test accuracy", "seconds", "seeds"], lines)
    return text + ("\n![Test accuracy over seconds of training](images/time-to-accuracy.png)\n" if text else "")


def roofline() -> str:
    """Return the roofline's picture and its two limits."""
    blocks = []
    for result in newest("roofline"):
        limits = result["sections"]["roofline"]["limits"]
        line = [[f"{limits['flops'] / 1e9:.0f} GFLOP/s", f"{limits['bytes'] / 1e9:.1f} GB/s"]]
        blocks.append(table(["matrix product (sgemm)", "memory (a = b + c)"], line) + source(result, "roofline"))
    picture = "\n![Every layer beside the machine's measured speeds](images/roofline.png)\n"
    return "\n".join(blocks) + (picture if blocks else "")


def epoch_time() -> str:
    """Return the picture at the top of the README."""
    rows = _epoch_rows()
    return "![Seconds of an epoch, PyTorch and fastscratch](docs/images/epoch-time.png)\n" if rows else ""


def _epoch_rows() -> list[dict[str, Any]]:
    """Return the training steps of the report's CNN in the newest file: those of the table, for the same numbers."""
    rows = [row for result in newest("vs_torch")[-1:] for row in rows_of(result, "vs_torch")]
    return [row for row in rows if row["network"] == "baseline"]


TABLES: Tables = {
    "vs-torch": vs_torch,
    "compiled": compiled,
    "layers": layers,
    "ops": ops,
    "step": step,
    "start": start,
    "loaders": loaders,
    "ladder": ladder,
    **{f"rung-{word}": functools.partial(rung, idea) for word, idea in IDEAS.items()},
    "scaling": scaling,
    "time-to-accuracy": accuracy,
    "roofline": roofline,
    "epoch-time": epoch_time,
}


def _drawings() -> Iterator[tuple[str, Any, Callable[[], Figure]]]:
    """Yield for each figure of the pages its name, what it shows, and what draws it: the newest file of its section."""
    if rows := _epoch_rows():
        yield "epoch-time", rows, functools.partial(figures.epoch_time, rows)
    for result in newest("ladder")[-1:]:
        first = rows_of(result, "ladder")[0]["shape"]
        rungs = [row for row in rows_of(result, "ladder") if row["shape"] == first]
        yield "ladder", rungs, functools.partial(figures.ladder, rungs)
    for result in newest("scaling")[-1:]:
        rows = rows_of(result, "scaling")
        yield "scaling", rows, functools.partial(figures.scaling, rows)
    for result in newest("roofline")[-1:]:
        part = result["sections"]["roofline"]
        shown = part["rows"], part["limits"], part["settings"]["threads"]
        yield "roofline", shown, functools.partial(figures.roofline, *shown)
    for result in newest("time_to_accuracy")[-1:]:
        rows = rows_of(result, "time_to_accuracy")
        targets = [float(target) for target in rows[0]["reached"]]
        yield "time-to-accuracy", rows, functools.partial(figures.accuracy_curves, rows, targets)


def _described(shown: Any) -> str:
    """Return what a figure's file says of the numbers that it shows, and of the code that drew it."""
    made_of = json.dumps(shown) + DRAWING.read_text()
    return f"sha256 of the rows and of {DRAWING.name}: {hashlib.sha256(made_of.encode()).hexdigest()}"


def draw(folder: Path = IMAGES) -> None:
    """Draw the pages' figures."""
    for name, shown, drawn in _drawings():
        save(drawn(), folder / f"{name}.png", description=_described(shown))


def outdated(folder: Path = IMAGES) -> list[Path]:
    """Return the figures that are missing, show other numbers than the results files have, or were drawn otherwise."""
    files = {folder / f"{name}.png": _described(shown) for name, shown, _ in _drawings()}
    return [file for file, described in files.items() if not file.exists() or _description(file) != described]


def _description(file: Path) -> str | None:
    with Image.open(file) as image:
        text: str | None = image.info.get("Description")
    return text


def run(options: Options) -> int:
    """Fill the tables of measurements and draw the figures, or compare both with the results."""
    if not options.check:
        draw()
        return fill(TABLES, check=False)
    old = outdated()
    for file in old:
        print(f"{file.relative_to(ROOT)} is not what {DRAWING.name} draws of the results; run `make tables`")
    return fill(TABLES, check=True) or int(bool(old))


if __name__ == "__main__":
    sys.exit(main(Options, run))
