"""Print the oldest versions that pyproject.toml allows, one `name==version` a line: `python tools/lower_bounds.py`.

Of all that is needed to build, to run, and to test: with Numba and the experiments' pages, without PyTorch.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

EXTRAS = ("numba", "experiments", "test")


def main() -> None:
    """Read the bounds, each the first of its requirement: `name>=version`."""
    settings = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    extras = settings["project"]["optional-dependencies"]
    requirements = settings["build-system"]["requires"] + settings["project"]["dependencies"]
    for requirement in requirements + [one for extra in EXTRAS for one in extras[extra]]:
        name, separator, version = requirement.partition(">=")
        if not separator:
            raise SystemExit(f"pyproject.toml: {requirement!r} has no lower bound")
        print(f"{name}=={version.split(',')[0]}")


if __name__ == "__main__":
    main()
