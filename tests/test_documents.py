"""The code in README.md, docs/ and the docstrings runs (parsed by Sybil).

Each page is one test with its own names and its own folder. A block that cannot run is preceded by
`<!-- skip: next -->`; there should be few.
"""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

ROOT = Path(__file__).resolve().parents[1]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MARKDOWN = Sybil([PythonCodeBlockParser(doctest_optionflags=FLAGS), SkipParser()])
DOCSTRINGS = Sybil([DocTestParser(optionflags=FLAGS)])


def holding(code: str, pattern: str) -> list[str]:
    """Return the files below the root that hold the text `code`."""
    files = sorted(ROOT.glob(pattern))
    return [str(f.relative_to(ROOT)) for f in files if code in f.read_text(encoding="utf-8")]


def run(parsers: Sybil, name: str) -> None:
    examples = list(parsers.parse(ROOT / name))
    assert examples, f"{name} holds no example"
    for example in examples:
        example.evaluate()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_readme() -> None:
    run(MARKDOWN, "README.md")


@pytest.mark.slow
@pytest.mark.parametrize("name", holding("```python", "docs/**/*.md"))
def test_page(name: str) -> None:
    run(MARKDOWN, name)


@pytest.mark.parametrize("name", holding(">>> ", "src/**/*.py"))
def test_docstrings(name: str) -> None:
    run(DOCSTRINGS, name)
