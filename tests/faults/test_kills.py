"""SIGKILL at random moments: a save is the old or the new one, and a training goes on."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

import synthray as sr
from helpers import comparisons, faults
from helpers.counts import count
from helpers.faults import KINDS, killed_after
from helpers.toys import assert_equal_weights

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("name", "kills"), [("data.npz", 150), ("result.json", 80),
                                             ("augmenter", 15)])  # fmt: skip
def test_a_save_over_a_save_is_the_old_or_the_new(name: str, kills: int, tmp_path: Path) -> None:
    _, load, key = KINDS[name]
    old, new = faults.states(name, tmp_path)
    path = tmp_path / "saved" / name
    start = time.monotonic()
    new.save(path)
    old.save(path)
    took = time.monotonic() - start
    rng, cut, tries = random.Random(name), 0, 0
    found: set[int] = set()
    # Later and later, for a child that is slower: until both states and a cut file were seen.
    while tries < kills or (tries < 10 * kills and (len(found) < 2 or not cut)):
        before = set(path.parent.rglob("*"))
        latest = 1.5 * took * (1 + tries / kills)
        killed_after(rng.uniform(0, latest), faults.save_by_turns, name, path, tmp_path)
        found.add([key(old), key(new)].index(key(load(path))))
        cut += any(".part" in left.name for left in set(path.parent.rglob("*")) - before)
        tries += 1
        count("kills at random moments")
    assert found == {0, 1}
    assert cut  # while a file was being written
    new.save(path)
    assert key(load(path)) == key(new)


def test_images_without_a_manifest_are_known_as_synthetic(tmp_path: Path) -> None:
    faults.augmenters(tmp_path)
    for kill in range(3):
        path = tmp_path / f"images{kill}"
        with faults.started(faults.write_images, path, tmp_path) as process:
            while process.exitcode is None and len({p.parent for p in path.glob("*/*.png")}) < 2:
                process.join(0.01)
        assert process.exitcode == -signal.SIGKILL
        assert not (path / "manifest.json").exists()
        count("kills at random moments")
        with pytest.warns(sr.SynthrayWarning):
            found = sr.load_image_folder(path, (16, 16, 1))
        assert isinstance(found, sr.ImageDataset)
        assert found.synthetic.all()


def test_a_fit_goes_on_where_it_was(tmp_path: Path) -> None:
    straight = faults.fitted(None)
    rng, kills = random.Random(1), 0
    for place in range(2):
        folder = tmp_path / str(place)
        # Early twice, for a machine that is fast; then later and later, for one that is slow.
        while killed_after(rng.uniform(0.1, 1.0 if kills < 2 else 2.0 + kills), faults.fit, folder):
            kills += 1
            count("kills at random moments")
        resumed = faults.fitted(folder)  # all of it is there
        for name in straight.class_names_:
            assert_equal_weights(resumed.generators_[name], straight.generators_[name])
        assert resumed.histories_ == straight.histories_
        assert resumed.fingerprint() == straight.fingerprint()
    assert kills > 1


def test_a_comparison_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = comparisons.killed(tmp_path / "whole", tmp_path / "log")
    rng, kills = random.Random(2), 0
    # The first two are early enough for a fast machine, the others anywhere.
    while killed_after(
        rng.uniform(0.5, 2.0 if kills < 2 else 5.0 + kills), faults.compare, tmp_path / "killed"
    ):
        kills += 1
        count("kills at random moments")
    result = sr.ComparisonResult.load(tmp_path / "killed" / "result.json")
    comparisons.assert_equal(result, whole)
    assert kills > 1
    # What was finished is not computed anew: a kill costs at most the one run that it met. The log
    # has a line for each phase; that of a run's last phase tells all of the run's steps.
    lines = (tmp_path / "killed" / "log").read_text().splitlines()
    (last,) = {sum(run.phase_steps) for run in whole.runs}
    ended = [line for line in lines if line.endswith(f" {last}")]
    assert len(whole.runs) <= len(ended) <= len(whole.runs) + kills
