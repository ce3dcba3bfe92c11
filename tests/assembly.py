"""Machine code of LLVM's intermediate form, for a machine that this one need not be."""

import pytest


def assembly(module, machine):
    """Return the assembly of `module` for "x86_64" or "aarch64"; skip the test where llvmlite has no such target."""
    binding = pytest.importorskip("llvmlite.binding")
    module.triple = f"{machine}-unknown-linux-gnu"
    try:
        binding.initialize_all_targets()
        binding.initialize_all_asmprinters()
        target = binding.Target.from_triple(module.triple).create_target_machine()
    except RuntimeError as error:
        pytest.skip(f"this llvmlite knows no {machine}: {error}")
    return target.emit_assembly(binding.parse_assembly(str(module)))
