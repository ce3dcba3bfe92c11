"""Make a manylinux wheel of a wheel just built: `python tools/repair_wheel.py FOLDER_WITH_WHEEL DIST`.

auditwheel puts GNU OpenMP (libgomp) into the wheel, so that the Cython kernels work where the system has none, under a
name of its own, so that two packages' copies never meet. Here they have to meet: a process with two copies, ours and
PyTorch's, has two pools of threads that fight over the same cores. So the copy gets its usual name back. The loader
takes a library of that name that is in the process already, whoever brought it, and ours where there is none.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

USUAL_NAME = "libgomp.so.1"


def run(*command: str | Path) -> None:
    """Run a command; what it says is shown where it fails only."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed\n{done.stdout}{done.stderr}")


def give_openmp_its_name(unpacked: Path) -> None:
    """Rename auditwheel's copy of libgomp in an unpacked wheel, and in all that is linked with it."""
    for library in unpacked.glob("*.libs/libgomp-*"):
        run("patchelf", "--set-soname", USUAL_NAME, library)
        for extension in unpacked.rglob("*.so"):
            run("patchelf", "--replace-needed", library.name, USUAL_NAME, extension)
        library.rename(library.with_name(USUAL_NAME))


def repair(wheel: Path, folder: Path) -> None:
    """Write the manylinux wheel of `wheel` into `folder`, its tag chosen by auditwheel for the C library it needs."""
    with TemporaryDirectory() as name:
        grafted, unpacked = Path(name, "grafted"), Path(name, "unpacked")
        run("auditwheel", "repair", "--strip", "--wheel-dir", grafted, wheel)
        run(sys.executable, "-m", "wheel", "unpack", "--dest", unpacked, *grafted.iterdir())
        (root,) = unpacked.iterdir()
        give_openmp_its_name(root)
        run(sys.executable, "-m", "wheel", "pack", "--dest-dir", folder, root)


def main() -> None:
    """Repair the one wheel of a folder; where wheels need no repair, copy it."""
    source, folder = map(Path, sys.argv[1:])
    (wheel,) = source.glob("*.whl")
    folder.mkdir(exist_ok=True)
    if sys.platform == "linux":
        repair(wheel, folder)
    else:
        shutil.copy(wheel, folder)


if __name__ == "__main__":
    main()
