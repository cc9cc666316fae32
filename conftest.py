"""Runs the code in README.md, docs/ and the docstrings of src/ as tests (Sybil).

Each document has its own names and its own temporary working directory. A Markdown block that
cannot run is preceded by `<!-- skip: next -->`; there should be few.

Coverage is not measured in documents, nor where the scripts of `benchmarks/` and `examples/` run:
it takes a quarter of the time, and what these use must have a test of its own.
"""

from __future__ import annotations

import doctest
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_HOME = "_sybil_home"
_TESTS = Path(__file__).parent / "tests"
_OF_SCRIPTS = ("base_preset", "benchmarks", "examples", "speed", "study")


def _enter(namespace: dict[str, Any]) -> None:
    folder = tempfile.mkdtemp(prefix="synthray-docs-")
    namespace[_HOME] = (os.getcwd(), folder)
    os.chdir(folder)


def _leave(namespace: dict[str, Any]) -> None:
    home, folder = namespace[_HOME]
    namespace.clear()
    os.chdir(home)
    shutil.rmtree(folder, ignore_errors=True)


_documents = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=_FLAGS), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/*/*.md"],
    setup=_enter,
    teardown=_leave,
)
_docstrings = Sybil(
    parsers=[DocTestParser(optionflags=_FLAGS)],
    path="src",
    pattern="*.py",
    setup=_enter,
    teardown=_leave,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave documents and scripts out of the coverage."""
    unmeasured = {_TESTS / f"test_{name}.py" for name in _OF_SCRIPTS}
    for item in items:
        if not item.path.is_relative_to(_TESTS) or item.path in unmeasured:
            item.add_marker("no_cover")


pytest_collect_file = (_documents + _docstrings).pytest()
