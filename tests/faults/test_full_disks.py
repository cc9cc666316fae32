"""Disks that are full: an error names the file, what was there stays, and the next try works.

Each is tried on a small file system, for which one is root, and by a limit on the size of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthray as sr
from helpers import comparisons, faults
from helpers.counts import count
from helpers.faults import KINDS, no_room, small_disk
from helpers.tiny import tiny_augmenter
from helpers.toys import bars

pytestmark = pytest.mark.slow


@pytest.fixture(params=["small disk", "limit of files"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Path | None]]:
    """A folder, and the disk that it is if it is one."""
    if request.param == "limit of files":
        yield tmp_path / "folder", None
    else:
        with small_disk(tmp_path / "disk", "1m") as mounted:
            yield mounted, mounted


def sizes(path: Path) -> list[int]:
    files = [path] if path.is_file() else path.rglob("*")
    return [file.stat().st_size for file in files if file.is_file()]


@pytest.mark.parametrize("name", KINDS)
def test_a_save_changes_nothing(name: str, disk: Any, tmp_path: Path) -> None:
    folder, mounted = disk
    _, load, key = KINDS[name]
    old, new = faults.states(name, tmp_path / "made")
    path = folder / name
    new.save(path)
    needed = sum(sizes(path)) if mounted else max(sizes(path))
    old.save(path)
    for share in (0.0, 0.3, 0.6, 0.9):
        with no_room(mounted, left=int(share * needed)), pytest.raises(OSError, match=name):
            new.save(path)
        assert key(load(path)) == key(old)
        assert not list(folder.rglob("*.part*"))
        count("full disks")
    new.save(path)
    assert key(load(path)) == key(new)
    assert len(sizes(path)) == len(sizes(tmp_path / "made" / "seed0") if path.is_dir() else [0])


def test_images_can_be_written_again(disk: Any, tmp_path: Path) -> None:
    folder, mounted = disk
    augmenter = faults.augmenters(tmp_path / "made")[0]
    options: dict[str, Any] = {"n": 40, "seed": 0, "verbose": 0}
    for left in (0, 100_000) if mounted else (0, 100):
        with no_room(mounted, left=left), pytest.raises(OSError, match="images"):
            augmenter.sample_to_folder(folder / "images", **options)
        count("full disks")
    augmenter.sample_to_folder(folder / "images", **options)
    with pytest.warns(sr.SynthrayWarning, match="40 of 40"):
        found = sr.load_image_folder(folder / "images", (16, 16, 1))
    assert isinstance(found, sr.ImageDataset)
    made = augmenter.sample(40, seed=0).images
    np.testing.assert_array_equal(np.sort(found.images, axis=0), np.sort(made, axis=0))


def test_a_comparison_goes_on(disk: Any, tmp_path: Path) -> None:
    folder, mounted = disk
    whole = faults.compared(tmp_path / "whole")
    work = folder / "work"
    for left in (0, 5_000, 10_000) if mounted else (0, 100, 2000):
        with no_room(mounted, left=left), pytest.raises(OSError, match="work/"):
            faults.compared(work)
        assert not list(folder.rglob("*.part*"))
        count("full disks")
    comparisons.assert_equal(faults.compared(work), whole)


def test_a_fit_goes_on(disk: Any, tmp_path: Path) -> None:
    folder, mounted = disk
    whole = tiny_augmenter(epochs=2).fit(bars(8), verbose=0)
    for left in (0, 50_000) if mounted else (0, 500):
        with no_room(mounted, left=left), pytest.raises(OSError, match="work/"):
            tiny_augmenter(epochs=2).fit(bars(8), workdir=folder / "work", verbose=0)
        assert not list(folder.rglob("*.part*"))
        count("full disks")
    again = tiny_augmenter(epochs=2).fit(bars(8), workdir=folder / "work", verbose=0)
    assert again.fingerprint() == whole.fingerprint()
