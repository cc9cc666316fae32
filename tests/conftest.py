"""Fixtures that several test files share."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import keras
import pytest
from hypothesis import settings

# Tracing a model makes many objects and little garbage: a test of many fits spends a seventh of
# its time in collections otherwise.
gc.set_threshold(20_000, 10, 10)

# How many inputs each property tries: few and always the same ones, fewer still on JAX and torch,
# or many. They are the same at each run: a check that has passed passes again.
for profile, examples in {"fast": 20, "backend": 8, "thorough": 150}.items():
    settings.register_profile(
        profile,
        max_examples=examples,
        derandomize=True,
        print_blob=True,
        database=None,
        deadline=None,
    )
_default = "fast" if keras.backend.backend() == "tensorflow" else "backend"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", _default))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest fast test first: the other process runs short ones beside it."""
    items.sort(key=lambda item: item.name != "test_readme")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: `SYNTHRAY_DATA`, or `../shared/data` from the project's root."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("SYNTHRAY_DATA", default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"real data not found: no folder {folder}; set SYNTHRAY_DATA")
    return folder
