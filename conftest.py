"""Runs the code blocks of the pages and the examples of the docstrings as tests."""

from __future__ import annotations

from doctest import ELLIPSIS, NORMALIZE_WHITESPACE

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser
from sybil.parsers.rest import DocTestParser

FLAGS = ELLIPSIS | NORMALIZE_WHITESPACE


@pytest.fixture
def in_a_folder_of_its_own(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page's code write files where they are thrown away."""
    monkeypatch.chdir(str(tmp_path))


pytest_collect_file = (
    Sybil(
        parsers=[PythonCodeBlockParser(doctest_optionflags=FLAGS)],
        patterns=["*.md"],
        fixtures=["in_a_folder_of_its_own"],
    )
    + Sybil(
        parsers=[DocTestParser(optionflags=FLAGS)],
        patterns=["fastscratch/**/*.py", "kernels/**/*.py"],
        fixtures=["in_a_folder_of_its_own"],
    )
).pytest()
