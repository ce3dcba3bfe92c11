"""Install a wheel as a user would and train with it: `python tools/try_wheel.py DIST`.

Into an empty environment, in an empty folder outside the checkout, with no variable that could lead back here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

SETTINGS = ("FASTSCRATCH_", "PYTHON", "NUMBA_", "VIRTUAL_ENV")


def main() -> None:
    """Try the one wheel of the folder named; exit with a message where a command fails."""
    (wheel,) = Path(sys.argv[1]).resolve().glob("*.whl")
    with TemporaryDirectory(prefix="fastscratch-") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
        # Asked for by name, so that `doctor` fails where the compiled kernels do not work.
        environment |= {"FASTSCRATCH_BACKEND": "cython", "FASTSCRATCH_DATA": folder, "COLUMNS": "120"}
        venv.create(Path(folder, "venv"), with_pip=True)
        binaries = Path(folder, "venv", "Scripts" if sys.platform == "win32" else "bin")

        def run(program: str, *arguments: str) -> None:
            print(f"$ {program} {' '.join(arguments)}", flush=True)
            if code := subprocess.call([binaries / program, *arguments], cwd=folder, env=environment):
                sys.exit(f"{program} failed with exit code {code}")

        run("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))
        run("fastscratch", "doctor")
        run("fastscratch", "train", "--data", "shapes10", "--subsample", "0.02", "--epochs", "1", "--out", "run")
        run("fastscratch", "evaluate", "run")


if __name__ == "__main__":
    main()
