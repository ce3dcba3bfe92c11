"""Build step of the compiled extensions; everything else about the package is in pyproject.toml.

The Cython kernels are optional: where they cannot be built the package still installs, and says so loudly.
`FASTSCRATCH_NO_OPENMP=1` builds them single-threaded, `FASTSCRATCH_SANITIZE=1` for `make test-sanitize`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("kernels/fastscratch_kernels")
TILES = [str(KERNELS / f"tile_{name}.c") for name in ("runtime", "baseline", "avx2", "avx512")]

CYTHON = (
    "_depthwise",
    "_winograd",
    "im2col",
    "conv2d",
    "maxpool2d",
    "avgpool2d",
    "conv2d_relu_maxpool2d",
    "batchnorm2d",
    "relu",
    "optimizer_step",
    "softmax",
    "look_up_levels",
    "crop_images",
)

SANITIZE = os.environ.get("FASTSCRATCH_SANITIZE") == "1"
"""Whether every access is checked: Cython's indices of memoryviews, and what C does with pointers and integers."""

CHECKS = ["-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
FLAGS = ["-fno-math-errno", *(["-O1", *CHECKS] if SANITIZE else ["-O3"])]

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": SANITIZE,
    "wraparound": False,
    "initializedcheck": SANITIZE,
    "cdivision": True,
    "freethreading_compatible": True,
}


class BuildKernels(build_ext):
    """Compile with OpenMP where there is one, and say it loudly where nothing can be compiled."""

    def run(self) -> None:
        """Build; setuptools forgets meanwhile whether it is beside the sources."""
        self.beside = bool(self.inplace)
        super().run()

    def build_extensions(self) -> None:
        """Add the flags that this compiler takes, then build."""
        openmp = [] if os.environ.get("FASTSCRATCH_NO_OPENMP") == "1" else self._openmp_flags()
        if not openmp:
            print("fastscratch: building without OpenMP, the Cython kernels will be single-threaded", file=sys.stderr)
        flags = [*FLAGS, *openmp]
        for extension in self.extensions:
            extension.optional = True  # cythonize makes extensions anew and leaves this out
            extension.extra_compile_args += [*flags, "-Wno-psabi"]
            extension.define_macros += [("FASTSCRATCH_FLAGS", f'"{" ".join(flags)}"')]
            extension.extra_link_args += [*(CHECKS if SANITIZE else []), *openmp]
        self.parallel = self.parallel or os.cpu_count()
        for extension in self.extensions:
            self._remove_old(extension)
        super().build_extensions()
        missing = [extension.name for extension in self.extensions if not self._built(extension).exists()]
        if missing:
            print(
                f"fastscratch: NO CYTHON KERNELS: {', '.join(missing)} could not be built. The package works without "
                "them, slower. Install a C compiler and reinstall; `fastscratch doctor` says what is there.",
                file=sys.stderr,
            )

    def _built(self, extension: Extension) -> Path:
        return Path(self.get_ext_fullpath(extension.name))

    def _remove_old(self, extension: Extension) -> None:
        """Remove what was built from older sources: if this build fails, it is not taken for what these give."""
        newest = max(Path(source).stat().st_mtime for source in [*extension.sources, *extension.depends])
        built = self._built(extension)
        for path in (built, KERNELS / built.name) if self.beside else (built,):
            if path.exists() and path.stat().st_mtime < newest:
                path.unlink()

    def _openmp_flags(self) -> list[str]:
        for flags in (["-fopenmp"], ["-Xpreprocessor", "-fopenmp", "-lomp"]):
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder, "openmp.c")
                source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
                try:
                    objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=flags)
                    self.compiler.link_executable(objects, str(Path(folder, "openmp")), extra_postargs=flags)
                except Exception:  # whatever a compiler says: it has no OpenMP by this flag
                    continue
                return flags
        return []


def kernel(name: str, sources: list[str]) -> Extension:
    """Return the extension of one .pyx file."""
    return Extension(
        f"fastscratch_kernels.{name}",
        [str(KERNELS / f"{name}.pyx"), *sources],
        include_dirs=[str(KERNELS)],
        depends=[str(path) for pattern in ("tile*.h", "*.pxd") for path in KERNELS.glob(pattern)],
    )


setup(
    ext_modules=cythonize(
        [kernel("_tiles", TILES), *(kernel(f"{name}_cython", []) for name in CYTHON)],
        compiler_directives=DIRECTIVES,
        include_path=["kernels"],
        build_dir="build/sanitize" if SANITIZE else None,
    ),
    cmdclass={"build_ext": BuildKernels},
    options={"build": {"build_base": "build/sanitize"}} if SANITIZE else {},  # never mixed with what has no checks
)
