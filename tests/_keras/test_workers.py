"""Temporary files: they lie in a folder of their process, and the next one cleans up."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthray._keras import workers


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stands for the temporary folder of the machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    workers.private_folder.cache_clear()
    yield tmp_path
    workers.private_folder.cache_clear()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux tells which processes run")
def test_folders_of_processes_that_are_gone_are_removed(root: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    start = f"synthray-{platform.node()}-"
    names = [f"{start}{ended.pid}-a", f"{start}{os.getpid()}-b", "synthray-another-host-1-a"]
    for name in names:
        (root / name / "assets").mkdir(parents=True)
    with workers.temporary_files_apart():
        folder = Path(tempfile.mkdtemp())
    assert folder.parent == Path(workers.private_folder())
    assert {path.name for path in root.iterdir()} == {*names[1:], folder.parent.name}
    assert tempfile.gettempdir() == str(root)


def test_workers_have_their_temporary_files_there(root: Path) -> None:
    code = "import tempfile; print(tempfile.mkdtemp())"
    with workers.environment():
        made = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert Path(made.stdout.decode()).parent == Path(workers.private_folder())
