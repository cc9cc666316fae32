"""Runs the code in README.md, docs/ and the docstrings of src/ as tests (Sybil); saves time.

Each document has its own names and its own temporary working directory. A Markdown block that
cannot run is preceded by `<!-- skip: next -->`; there should be few.

TensorFlow rewrites the graph of each function before its first call. For models that train for some
steps that takes a quarter of the time of the tests, so it does so where they ask for it: the
suite of all backends (`backend`), and what is compared with another process (`optimized`).
"""

from __future__ import annotations

import doctest
import gc
import os
import shutil
import sys
import tempfile
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

# Tracing a model makes many objects and little garbage: a test of many fits spends a seventh of
# its time in collections otherwise.
gc.set_threshold(20_000, 10, 10)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let TensorFlow, where a test module has imported it, rewrite graphs or not."""
    if (tf := sys.modules.get("tensorflow")) is not None:
        asked = any(item.get_closest_marker(name) for name in ("backend", "optimized"))
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not asked})


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
