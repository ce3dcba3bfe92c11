"""The stubs of the compiled modules, which type checkers and editors read in their place."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import fastscratch_kernels as kernels
from fastscratch_kernels import _registry

FOLDER = Path(kernels.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.pyx"))


def stub(module):
    """Return the functions of a stub: name -> its parameters as ast has them."""
    tree = ast.parse((FOLDER / f"{module}.pyi").read_text(encoding="utf-8"))
    return {node.name: node.args for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_compiled_module_has_a_stub():
    assert MODULES
    assert sorted(path.stem for path in FOLDER.glob("*.pyi")) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_stub_names_what_the_module_has(module):
    if kernels.backends()["cython"] is not None:
        pytest.skip("the Cython kernels are not built here")
    compiled = importlib.import_module(f"fastscratch_kernels.{module}")
    public = {
        name: inspect.signature(value)
        for name, value in vars(compiled).items()
        if inspect.isroutine(value) and value.__module__ == compiled.__name__ and not name.startswith("_")
    }
    wanted = stub(module)
    assert set(public) == set(wanted)
    for name, signature in public.items():
        assert list(signature.parameters) == [parameter.arg for parameter in wanted[name].args], name
        defaults = [p.default for p in signature.parameters.values() if p.default is not p.empty]
        assert defaults == [ast.literal_eval(default) for default in wanted[name].defaults], name


@pytest.mark.parametrize("op", _registry.KERNELS)
def test_a_stub_has_the_types_of_its_twin(op):
    reference = inspect.get_annotations(_registry.kernel(op, "numpy"))
    parameters = stub(_registry.KERNELS[op]["cython"])[op].args
    shown = {parameter.arg: ast.unparse(parameter.annotation) for parameter in parameters}
    assert {**shown, "return": "None"} == reference
