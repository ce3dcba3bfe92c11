"""Imports run down only: cli -> report, interop -> training -> data, models -> nn, losses, optim -> kernels -> NumPy.

Read off the sources with `ast`, so that an import inside a function counts too; what only a type checker sees does not.
"""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = (
    ("fastscratch_kernels",),
    ("fastscratch.nn", "fastscratch.losses", "fastscratch.optim", "fastscratch.placement", "fastscratch.schedules"),
    (
        "fastscratch.models",
        "fastscratch.data",
        "fastscratch.gradcheck",
        "fastscratch.check_layer",
        "fastscratch.differences",
        "fastscratch.layer_bench",
        "fastscratch.layer_checks_backward",
        "fastscratch.layer_checks_forward",
    ),
    ("fastscratch.training",),
    (
        "fastscratch.report",
        "fastscratch.interop",
        "fastscratch.config",
        "fastscratch.doctor",
        "fastscratch.op_cases",
        "fastscratch.pictures",
        "fastscratch.profiling",
        "fastscratch.run",
        "fastscratch.trained",
        "fastscratch.verify",
        "fastscratch.warm_up",
    ),
    ("fastscratch.cli", "fastscratch.__main__"),
)
"""From the lowest to the highest; a room imports rooms below, and of its own floor without going round in circles."""

NUMPY_ALONE = 3
"""The floors, counted from below, that import NumPy and the standard library; of the third, data may read files."""

ONLY_IN = {
    "numba": "fastscratch_kernels",
    "llvmlite": "fastscratch_kernels",
    "torch": "fastscratch.interop",
    "torchvision": "fastscratch.interop",
    "onnx": "fastscratch.interop",
    "matplotlib": "fastscratch.report",
    "tyro": "fastscratch.cli",
    "pooch": "fastscratch.data",
}
"""Heavy or optional packages, and the one room that may know them."""

ROOMS = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


@dataclass(frozen=True)
class Import:
    """`module` imports `target`, a module of this project or the name of another package."""

    module: str
    target: str
    lazy: bool


def module_name(path):
    base = ROOT / "kernels" if "kernels" in path.relative_to(ROOT).parts else ROOT
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FOLDERS = (ROOT / "fastscratch", ROOT / "kernels" / "fastscratch_kernels")
FILES = {module_name(path): path for folder in FOLDERS for path in folder.rglob("*.py")}


def room_of(module):
    """Return the room that a module belongs to; None for the package itself, whose face is above all."""
    return next((room for room in ROOMS if module == room or module.startswith(f"{room}.")), None)


def imports_of(module):
    """Yield every import of a module but those under TYPE_CHECKING."""
    path = FILES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]

    def targets(node):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                inside = f"{source}.{alias.name}"
                if inside in FILES:
                    yield inside
                elif (source, alias.name) != ("fastscratch", "__version__"):
                    yield source

    def walk(node, lazy):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        for target in targets(node):
            yield Import(module, target if target in FILES else target.split(".")[0], lazy)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False)


IMPORTS = [found for module in FILES for found in imports_of(module) if found.target != module]


def circle_in(graph):
    """Return one circle of a graph {node: set of nodes} as a list, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        path.append(node)
        for following in sorted(graph.get(node, ())):
            if circle := visit(following):
                return circle
        path.pop()
        done.add(node)
        return None

    return next((circle for node in sorted(graph) if (circle := visit(node))), None)


def test_every_module_has_a_floor():
    homeless = [module for module in FILES if room_of(module) is None and module != "fastscratch"]
    assert not homeless, "give it a place in FLOORS"
    assert {room_of(module) for module in FILES} - {None} == set(ROOMS), "a room of FLOORS has no files"


def test_imports_run_down_only():
    wrong = [
        f"{found.module} imports {found.target}"
        for found in IMPORTS
        if (home := room_of(found.module)) is not None
        and found.target in FILES
        and (found.target == "fastscratch" or ROOMS[room_of(found.target)] > ROOMS[home])
    ]
    assert not wrong


def test_rooms_do_not_import_each_other_in_a_circle():
    graph = {}
    for found in IMPORTS:
        home, there = room_of(found.module), room_of(found.target)
        if home and there and home != there:
            graph.setdefault(home, set()).add(there)
    assert graph["fastscratch.nn"] == {"fastscratch_kernels"}
    assert circle_in(graph) is None


def test_modules_do_not_import_each_other_in_a_circle():
    """When they are loaded; an import inside a function may close a circle of one room, where it has to."""
    graph = {}
    for found in IMPORTS:
        if found.target in FILES and not found.lazy:
            graph.setdefault(found.module, set()).add(found.target)
    # A package's __init__ gathers what its modules define: that they import siblings of it is no circle.
    for module in FILES:
        if FILES[module].name == "__init__.py":
            graph.pop(module, None)
    assert circle_in(graph) is None


def test_the_lower_floors_know_numpy_alone():
    known = {*sys.stdlib_module_names, "numpy", "fastscratch", "fastscratch_kernels"}
    allowed = {
        "fastscratch_kernels": {"threadpoolctl", "numba", "llvmlite"},
        "fastscratch.data": {"PIL", "pooch", "requests"},
    }
    wrong = [
        f"{found.module} imports {found.target}"
        for found in IMPORTS
        if (home := room_of(found.module)) is not None
        and ROOMS[home] < NUMPY_ALONE
        and found.target.split(".")[0] not in known | allowed.get(home, set())
    ]
    assert not wrong


@pytest.mark.parametrize(("package", "room"), ONLY_IN.items())
def test_heavy_packages_have_one_door(package, room):
    users = {found.module for found in IMPORTS if found.target == package}
    assert {module for module in users if room_of(module) != room} == set()


def test_no_module_of_the_project_is_longer_than_400_lines():
    long = {module: n for module, path in FILES.items() if (n := len(path.read_text("utf-8").splitlines())) > 400}
    assert not long


def test_the_reader_of_imports_sees_what_there_is():
    """The tests above are worth what this reads."""
    found = {(one.module, one.target, one.lazy) for one in IMPORTS}
    assert ("fastscratch.nn.conv", "fastscratch_kernels.checked", False) in found
    assert ("fastscratch.nn.conv", "fastscratch.nn.init", False) in found
    assert ("fastscratch.models", "fastscratch.nn", False) in found
    assert ("fastscratch.nn.module", "fastscratch.nn.summary", True) in found
    assert ("fastscratch_kernels.im2col_numpy", "numpy", False) in found
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}}) is None
