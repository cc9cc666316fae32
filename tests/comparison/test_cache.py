from __future__ import annotations

import fcntl
import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import synthray as sr
from helpers.comparisons import Note, TenLines, assert_equal, dense, images, quick

DATA, SYNTHETIC = images(24, 0), images(30, 2, synthetic=True)


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., tuple[sr.ComparisonResult, list[str]]]:
    """Compare with a workdir; also return the arm and seed of each fit that was computed."""
    log = tmp_path / "log"

    def note(arm: str, seed: int) -> list[Any]:
        return [Note(log, f"{arm}-{seed}")]

    def run(**arguments: Any) -> tuple[sr.ComparisonResult, list[str]]:
        log.write_text("")
        training = quick(callbacks=note, **arguments.pop("training", {}))
        options = {"arms": ["original"], "cv": 2, "leakage": "off", "verbose": 0, **arguments}
        data = options.pop("data", DATA)
        result = sr.run_comparison(data, training=training, workdir=tmp_path / "work", **options)
        return result, [line.split()[0] for line in log.read_text().splitlines()]

    return run


@pytest.mark.backend
def test_a_second_call_computes_nothing(compare: Any, capsys: Any) -> None:
    options = {"arms": ["original", "mixed"], "augmenter": TenLines(), "seeds": (0, 1)}
    first, computed = compare(**options)
    assert len(computed) == 8
    second, computed = compare(**options, verbose=1)
    assert computed == []
    assert "8 of 8 fits" in capsys.readouterr().out
    assert_equal(first, second)
    assert second.settings["synthetic"] == first.settings["synthetic"]
    assert second.pictures is not None
    assert set(second.pictures.synthetic) == {"upright", "lying"}


def test_only_what_is_new_is_computed(compare: Any) -> None:
    compare(arms=["original"], seeds=(1,))
    _, computed = compare(arms=["original", "augmented"], seeds=(0, 1))
    assert sorted(computed) == sorted(2 * ["original-0", "augmented-0", "augmented-1"])
    # The seed of other fits, their order and that of arms do not count.
    _, computed = compare(arms=["augmented", "original"], seeds=(1, 0))
    assert computed == []


def other_dense(image_shape: Any) -> Any:
    return dense(image_shape)


@pytest.mark.parametrize(
    "change",
    [
        {"training": {"epochs": 2}},
        {"training": {"batch_size": 4}},
        {"training": {"class_weight": "balanced"}},
        {"training": {"budget": "epochs"}},
        {"training": {"classifier": other_dense}},
        {"training": {"validation": 0.5}},
        {"training": {"augmentation": lambda batch: batch * 0.5}, "arms": ["augmented"]},
        {"cv": 3},
        {"data": replace(DATA, images=DATA.images[::-1])},
        {"data": DATA.with_positive_class("upright")},
        {"arms": [sr.Arm("original", sr.Phase(rate=0.5))]},
        {"arms": [sr.Arm("original", sr.Phase(labels="ensemble"), ensemble=2)]},
    ],
)
def test_every_setting_keeps_its_own_fits(compare: Any, change: dict[str, Any]) -> None:
    compare(arms=change.get("arms", ["original"]) if "training" in change else ["original"])
    _, computed = compare(**change)
    assert computed
    _, computed = compare(**change)
    assert not computed


@pytest.mark.slow
def test_another_augmenter_makes_other_images(compare: Any) -> None:
    make = functools.partial(sr.DCGAN, width=0.03, latent_dim=4)
    arms = ["original", "mixed"]
    augmenter = sr.SyntheticAugmenter(make, epochs=1, batch_size=8)
    _, computed = compare(arms=arms, augmenter=augmenter)
    assert len(computed) == 4
    for changed in (
        {"augmenter": sr.SyntheticAugmenter(make, epochs=2, batch_size=8)},
        {"augmenter": augmenter, "n_synthetic": 10},
    ):
        _, computed = compare(arms=arms, **changed)
        assert sorted(computed) == ["mixed-0", "mixed-0"]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"settings": 3}', b"\x00\xff"])
def test_damaged_files_are_named(compare: Any, tmp_path: Path, damage: bytes) -> None:
    compare(arms=["mixed"], augmenter=TenLines())
    for path in (tmp_path / "work" / "synthetic").iterdir():
        path.write_bytes(damage)
    with pytest.warns(sr.SynthrayWarning, match=r"npz.*No images are shown"):
        result, computed = compare(arms=["mixed"], augmenter=TenLines())
    assert computed == []
    assert result.pictures is not None
    assert not result.pictures.synthetic
    fit = sorted((tmp_path / "work" / "fits").iterdir())[0]
    fit.write_bytes(damage)
    with pytest.raises(sr.FileFormatError, match=fit.name):
        compare(arms=["mixed"], augmenter=TenLines())
    fit.unlink()
    with pytest.raises(sr.FileFormatError, match="npz"):
        compare(arms=["mixed"], augmenter=TenLines())


def test_other_content_than_was_kept_is_refused(compare: Any, tmp_path: Path) -> None:
    compare(arms=["mixed"], augmenter=TenLines(), seeds=(0, 1))
    fit, other, *_ = sorted((tmp_path / "work" / "fits").iterdir())
    whole = fit.read_text()
    (first, second), *_ = json.loads(whole)["run"]["probabilities"]
    swapped = whole.replace(f"{first}", "here").replace(f"{second}", f"{first}")
    for text in (swapped.replace("here", f"{second}"), other.read_text()):
        fit.write_text(text)
        with pytest.raises(sr.FileFormatError, match=fit.name):
            compare(arms=["mixed"], augmenter=TenLines(), seeds=(0, 1))
    fit.unlink()
    made = sorted((tmp_path / "work" / "synthetic").glob("*.npz"))
    for path in made:
        SYNTHETIC.save(path)
    with pytest.raises(sr.FileFormatError, match="not what was kept"):
        compare(arms=["mixed"], augmenter=TenLines(), seeds=(0, 1))


def test_a_workdir_that_another_process_holds_is_refused(compare: Any, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with (tmp_path / "work" / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        print("process 7", end="", file=other, flush=True)
        with pytest.raises(RuntimeError, match="in use by process 7"):
            compare()


def test_settings_that_cannot_be_compared_are_said(compare: Any) -> None:
    class Odd(TenLines):
        def __init__(self) -> None:
            self.lines = iter([1])

        def __sklearn_clone__(self) -> Any:
            return Odd()

    with pytest.raises(TypeError, match="workdir"):
        compare(arms=["mixed"], augmenter=Odd())
