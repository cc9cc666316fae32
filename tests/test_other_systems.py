"""What is not there on every system: locks, some signals and flags, and files about the system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import synthray as sr
from synthray._files import free_memory, held, slug

SCRIPT = """
import os, signal, sys
import keras, joblib, matplotlib, sklearn  # they know other systems themselves
sys.modules["fcntl"] = None
for module, names in ((os, ("O_NOFOLLOW", "fork", "sched_getaffinity", "getloadavg", "geteuid")),
                      (signal, ("SIGKILL", "SIGHUP", "SIGUSR1"))):
    for name in names:
        delattr(module, name)
import synthray as sr
data = sr.make_phantoms(4, image_shape=(16, 16, 1), seed=0)
data.save("data.npz")
assert sr.ImageDataset.load("data.npz").class_names == data.class_names
"""


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what Windows lacks."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.delattr(os, "O_NOFOLLOW")
    monkeypatch.delattr(signal, "SIGKILL")
    exists, listdir = Path.exists, os.listdir

    def no_proc(path: str) -> list[str]:
        if str(path).startswith("/proc"):
            raise FileNotFoundError(path)
        return listdir(path)

    monkeypatch.setattr(
        Path, "exists", lambda self: not str(self).startswith("/proc") and exists(self)
    )
    monkeypatch.setattr(os, "listdir", no_proc)


@pytest.mark.usefixtures("elsewhere")
def test_files_are_written_and_read(tmp_path: Path) -> None:
    data = sr.ImageDataset.from_arrays(np.zeros((2, 8, 8), "uint8"), [0, 1], names=["a:b", "c\\d"])
    with held(tmp_path):  # without a lock
        data.save(tmp_path / "data.npz")
        data.save(tmp_path / "data.npz")
    loaded = sr.ImageDataset.load(tmp_path / "data.npz")
    np.testing.assert_array_equal(loaded.images, data.images)
    assert loaded.names is not None
    assert loaded.names.tolist() == ["a:b", "c\\d"]
    assert free_memory() == sys.maxsize


def test_file_names_are_those_of_any_system() -> None:
    assert slug("fractured") == "fractured"
    names = ["con", "NUL", "com1", "", "a:b", "a\\b", "a/b", "a b", "..", "é"]
    found = [slug(name) for name in names]
    assert len(set(found)) == len(names)
    for name in found:
        assert name.replace("-", "").replace("_", "").isalnum()
        assert name.lower() not in ("con", "nul", "com1")


@pytest.mark.slow
def test_the_package_is_imported_and_used(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
