"""Runs the code in README.md, docs/ and the docstrings of src/ as tests (Sybil).

Each document has its own names and its own temporary working directory. A Markdown block that
cannot run is preceded by `<!-- skip: next -->`; there should be few.
"""

from __future__ import annotations

import doctest
import gc
import os
import shutil
import tempfile
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

# Tracing a model makes many objects and little garbage: a test of many fits spends a seventh of
# its time in collections otherwise.
gc.set_threshold(20_000, 10, 10)

_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_HOME = "_sybil_home"


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

pytest_collect_file = (_documents + _docstrings).pytest()
