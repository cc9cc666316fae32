"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: `SYNTHRAY_DATA`, or `../shared/data` from the project's root."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("SYNTHRAY_DATA", default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"real data not found: no folder {folder}; set SYNTHRAY_DATA")
    return folder
