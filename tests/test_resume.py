from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import killed_comparison
from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.comparison.arms import Arm
from synthray.comparison.phases import Phase
from synthray.comparison.result import ComparisonResult
from synthray.comparison.runner import run_comparison
from synthray.datasets.image_dataset import ImageDataset
from toys import bars

SHAPE = (16, 16, 1)
KILLS = int(os.environ.get("SYNTHRAY_KILLS", "1"))  # each start imports a backend

FITS: list[str] = []
"""The fits that were computed; a global name does not count as a setting."""


class Note(keras.callbacks.Callback):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def on_train_end(self, logs: Any = None) -> None:
        FITS.append(self.what)


def noting(arm: str, seed: int) -> list[Any]:
    return [Note(f"{arm} {seed}")]


def tiny_model(units: int = 2) -> keras.Model:
    layers = [keras.Input(SHAPE), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    return keras.Sequential(
        [*layers, keras.layers.Dense(units), keras.layers.Dense(1, activation="sigmoid")]
    )


def wider_model() -> keras.Model:
    return tiny_model(3)


def darker(images: Any) -> Any:
    return images * 0.7


def much_darker(images: Any) -> Any:
    return images * 0.6


class Noise:
    """An augmenter that draws noise and tells what it depends on, as `SyntheticAugmenter` does."""

    def __init__(self, epochs: int = 1) -> None:
        self.epochs = epochs

    def fingerprint(self, image_shape: tuple[int, int, int]) -> str:
        return f"noise {self.epochs} {image_shape}"

    def fit(self, data: ImageDataset) -> None:
        FITS.append("generator")
        self.class_names_, self.image_shape_ = data.class_names, data.image_shape

    def sample(self, n: Any, *, seed: int) -> ImageDataset:
        counts = list(n.values()) if isinstance(n, dict) else [n // 2, n - n // 2]
        rng = np.random.default_rng([seed, self.epochs])
        images = rng.integers(0, 256, (sum(counts), *SHAPE), np.uint8)
        labels = np.repeat([0, 1], counts)
        return ImageDataset.from_arrays(
            images,
            labels,
            class_names=self.class_names_,
            synthetic=True,
            provenance={"seed": seed},
        )


DATA, TEST = bars(16), bars(8, seed=1)


@pytest.fixture(autouse=True)
def forget_fits() -> None:
    FITS.clear()


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., ComparisonResult]:
    def run(**arguments: Any) -> ComparisonResult:
        given: dict[str, Any] = {
            "data": DATA,
            "test": TEST,
            "arms": ["original", "augmented", "synthetic"],
            "augmenter": Noise(),
            "augmentation": darker,
            "classifier": tiny_model,
            "callbacks": noting,
            "epochs": 1,
            "batch_size": 8,
            "audit": "off",
            "workdir": tmp_path / "work",
            "verbose": 0,
        }
        given |= arguments
        return run_comparison(given.pop("data"), given.pop("test"), **given)

    return run


def assert_equal(one: ComparisonResult, other: ComparisonResult) -> None:
    assert [(r.arm, r.seed, r.fold) for r in one.runs] == [
        (r.arm, r.seed, r.fold) for r in other.runs
    ]
    for a, b in zip(one.runs, other.runs, strict=True):
        np.testing.assert_array_equal(a.probabilities, b.probabilities)
        assert (a.history, a.scores, a.phase_steps) == (b.history, b.scores, b.phase_steps)
        assert a.steps_per_entry == b.steps_per_entry
    assert one.settings == other.settings


@pytest.mark.parametrize("folds", [None, pytest.param(2, marks=pytest.mark.backend)])
def test_a_second_call_computes_nothing(compare: Any, tmp_path: Path, folds: int | None) -> None:
    where = {} if folds is None else {"folds": folds, "test": None}
    without = compare(**where, workdir=None)
    first = compare(**where)
    kinds = ("generator", "original 0", "augmented 0", "synthetic 0")
    assert Counter(FITS) == dict.fromkeys(kinds, 2 * (folds or 1))  # for both, in each fold
    FITS.clear()
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    second = compare(**where)
    assert FITS == []
    assert_equal(first, second)
    assert_equal(first, without)
    assert [run.seconds for run in second.runs] == [run.seconds for run in first.runs]
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == files
    assert second.pictures is not None
    assert set(second.pictures.synthetic) == {"upright", "lying"}


def test_only_what_is_new_is_computed(
    compare: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = compare()
    FITS.clear()
    # What a kill leaves of a file that was being written is no fit.
    (tmp_path / "work" / "fits" / ".0123456789ab.part.json").touch()
    more = compare(seeds=(1, 0), verbose=1)
    assert FITS == ["generator", "original 1", "augmented 1", "synthetic 1"]
    assert "3 of 6 fits are in the workdir, 3 to compute." in capsys.readouterr().out
    for a, b in zip(more.runs[3:], first.runs, strict=True):
        np.testing.assert_array_equal(a.probabilities, b.probabilities)
    FITS.clear()
    anew = compare(arms=["synthetic", "original"], seeds=(0, 1, 2), workdir=None)
    FITS.clear()
    assert_equal(compare(arms=["synthetic", "original"], seeds=(0, 1, 2)), anew)
    assert FITS == ["generator", "synthetic 2", "original 2"]
    FITS.clear()
    compare(arms=["synthetic", "warm_start", "original"], epochs=1, verbose=1)
    assert FITS == ["warm_start 0"]  # the drawn images are kept too
    assert "6 fits there are of other settings." in capsys.readouterr().out
    FITS.clear()
    compare(arms=["original"], augmenter=None)
    compare(arms=["original"], augmentation=much_darker)  # which this arm does not use
    compare(arms=["augmented"], augmenter=Noise(3))
    assert FITS == []


def half(share: float) -> Arm:
    return Arm("two", [Phase("synthetic", share=share), Phase(share=1)])


def own_source(train: ImageDataset, synthetic: ImageDataset | None) -> ImageDataset:
    return train


TRIO = {"original 0", "augmented 0", "synthetic 0"}
ALL = TRIO | {"generator"}
OTHER = replace(
    DATA, images=np.where(np.arange(16)[:, None, None, None] == 3, 255 - DATA.images, DATA.images)
)
CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "epochs": ({"epochs": 2}, TRIO),
    "batch_size": ({"batch_size": 4}, TRIO),
    "budget": ({"budget": "epochs"}, TRIO),
    "class_weight": ({"class_weight": {0: 1.0, 1: 2.0}}, TRIO),
    "classifier": ({"classifier": wider_model}, TRIO),
    "positive_class": ({"positive_class": "upright"}, TRIO),
    "augmentation": ({"augmentation": much_darker}, {"augmented 0"}),
    "train": ({"data": OTHER}, ALL),
    "labels": ({"data": replace(DATA, labels=1 - DATA.labels)}, ALL),
    "order": ({"data": DATA.select(np.arange(16)[::-1])}, ALL),
    "test": ({"test": bars(8, seed=2)}, TRIO),
    "test size": ({"test": TEST.select(np.arange(6))}, TRIO),
    "augmenter": ({"augmenter": Noise(2)}, {"generator", "synthetic 0"}),
    "n_synthetic": ({"n_synthetic": 10}, {"generator", "synthetic 0"}),
    "validation": ({"validation": 0.25}, ALL),
    "callbacks": ({"callbacks": lambda arm, seed: [Note(f"{arm} {seed}")]}, TRIO),
}


def test_every_setting_keeps_its_own_fits(compare: Any, tmp_path: Path) -> None:
    base = compare()
    n_files = 3
    for name, (changed, computed) in CHANGES.items():
        FITS.clear()
        once = compare(**changed)
        assert set(FITS) == computed, name
        FITS.clear()
        if name in ("epochs", "train", "validation", "augmentation"):
            assert_equal(compare(**changed), once)
            assert FITS == [], name
        n_files += len(computed - {"generator"})
        assert len(list((tmp_path / "work" / "fits").glob("*.json"))) == n_files, name
    FITS.clear()
    assert_equal(compare(), base)  # the first ones are all still there
    assert FITS == []


@pytest.mark.parametrize("own", [True, False])
def test_the_order_of_seeds_does_not_count(compare: Any, own: bool) -> None:
    data, test = bars(12, size=27), bars(6, size=27, seed=1)
    given: dict[str, Any] = {"data": data, "test": test, "arms": ["original"], "augmenter": None}
    given["classifier"] = seeded_model if own else FractureClassifier
    first = compare(**given, seeds=(0, 1))
    FITS.clear()
    turned = compare(**given, seeds=(1, 0))
    alone = compare(**given, seeds=(1,))
    assert FITS == []
    for result in (turned, alone):
        np.testing.assert_array_equal(result.runs[0].probabilities, first.runs[1].probabilities)
    assert not np.array_equal(first.runs[0].probabilities, first.runs[1].probabilities)


def seeded_model(seed: int) -> keras.Model:
    layers = [keras.Input((27, 27, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    layers += [keras.layers.Dropout(0.2, seed=seed)]
    init = keras.initializers.GlorotUniform(seed)
    return keras.Sequential([*layers, keras.layers.Dense(1, "sigmoid", kernel_initializer=init)])


def test_an_arm_with_teachers_leaves_other_fits_alone(compare: Any) -> None:
    rng = np.random.default_rng(0)
    three, judged = (
        ImageDataset.from_arrays(rng.integers(0, 256, (n, *SHAPE), np.uint8), np.arange(n) % 3)
        for n in (12, 6)
    )

    def softmax() -> keras.Model:
        layers = [keras.Input(SHAPE), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
        return keras.Sequential([*layers, keras.layers.Dense(3, "softmax")])

    given: dict[str, Any] = {"data": three, "test": judged, "classifier": softmax}
    given |= {"augmenter": None, "teachers": 1}
    compare(**given, arms=["original"])
    FITS.clear()
    compare(**given, arms=["original", Arm("taught", Phase(labels="teachers"))])
    assert FITS == ["taught 0"]


class Apprentice(Noise):
    """Keeps in its folder how often it has learnt."""

    def fit(self, data: ImageDataset, *, workdir: Path = Path()) -> None:
        workdir.mkdir(parents=True, exist_ok=True)
        FITS.append("taken up" if (workdir / "learnt").exists() else "learnt")
        (workdir / "learnt").touch()
        self.class_names_, self.image_shape_ = data.class_names, data.image_shape


def test_more_images_need_no_other_generators(compare: Any) -> None:
    given: dict[str, Any] = {"arms": ["synthetic"], "augmenter": Apprentice(), "callbacks": None}
    few, more = compare(**given, n_synthetic=8), compare(**given, n_synthetic=16)
    assert FITS == ["learnt", "taken up"]
    drawn = [sum(result.settings["synthetic"]["class_counts"].values()) for result in (few, more)]
    assert drawn == [8, 16]
    compare(**given, n_synthetic=8, data=OTHER)
    assert FITS[2:] == ["learnt"]


def test_an_arm_of_the_same_name_is_not_the_same_arm(compare: Any) -> None:
    phases: list[Any] = [
        *(half(1).phases, half(2).phases, Phase("mixed"), Phase("synthetic"), Phase("real")),
        *(Phase("real", augment=True), Phase(own_source), Phase(lambda train, synthetic: train)),
    ]
    for arm in phases:
        FITS.clear()
        compare(arms=[Arm("two", arm)], epochs=3)
        assert "two 0" in FITS
        FITS.clear()
        compare(arms=[Arm("two", arm)], epochs=3)
        assert FITS == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text[:-1],
        lambda text: text.replace('"probabilities"', '"guesses"'),
        lambda text: "[]",
        lambda text: json.dumps(json.loads(text) | {"run": None}),
    ],
)
def test_a_damaged_fit_is_named(compare: Any, tmp_path: Path, damage: Any) -> None:
    only = {"arms": ["original"], "augmenter": None}
    first = compare(**only)
    (path,) = (tmp_path / "work" / "fits").glob("*.json")
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ValueError, match=r"original-fold0-seed0-\w+\.json is damaged .* Remove it"):
        compare(**only)
    path.unlink()
    FITS.clear()
    assert_equal(compare(**only), first)
    assert FITS == ["original 0"]


def test_damaged_drawn_images_are_named(compare: Any, tmp_path: Path) -> None:
    compare(arms=["original"])
    compare(arms=["synthetic"])
    (path,) = (tmp_path / "work" / "drawn").glob("*.npz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=path.name):
        compare(arms=["synthetic", "warm_start"], epochs=1)


class Interrupt(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        raise KeyboardInterrupt


STOPPED_AT = ["synthetic 1"]


def stopping(arm: str, seed: int) -> list[Any]:
    stops = [Interrupt()] if f"{arm} {seed}" in STOPPED_AT else []
    return [*stops, Note(f"{arm} {seed}")]


def test_an_interrupt_keeps_what_was_finished(
    compare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        compare(seeds=(0, 1, 2), callbacks=stopping)
    finished = ["original 0", "augmented 0", "synthetic 0", "original 1", "augmented 1"]
    assert [fit for fit in FITS if fit != "generator"] == finished
    monkeypatch.setattr(sys.modules[__name__], "STOPPED_AT", [])
    FITS.clear()
    result = compare(seeds=(0, 1, 2), callbacks=stopping)
    # The images of seed 1 had been drawn.
    assert FITS == ["synthetic 1", "generator", "original 2", "augmented 2", "synthetic 2"]
    assert_equal(result, compare(seeds=(0, 1, 2), callbacks=stopping, workdir=None))


def test_settings_that_cannot_be_compared_are_said(compare: Any) -> None:
    class NoFingerprint:
        def fit(self, data: ImageDataset) -> None: ...

        def sample(self, n: Any, *, seed: int) -> Any: ...

    with pytest.raises(TypeError, match=r"NoFingerprint has none"):
        compare(augmenter=NoFingerprint())
    with pytest.raises(TypeError, match=r"cannot compare a setting of type lock"):
        compare(augmentation=_with_lock())


def _with_lock() -> Callable[[Any], Any]:
    lock = threading.Lock()

    def transform(images: Any) -> Any:
        with lock:
            return images

    return transform


def _start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    here = Path(__file__).resolve().parent
    paths = [str(here), str(here.parent / "src"), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, str(here / "killed_comparison.py"), str(folder), *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the whole files of fits and drawn images: inode and time."""
    found = {}
    for kind in ("fits", "drawn"):
        for path in (folder / kind).glob("[!.]*"):
            status = path.stat()
            found[f"{kind}/{path.name}"] = (status.st_ino, status.st_mtime_ns)
    return found


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_at_any_moment_it_goes_on_where_it_was(tmp_path: Path) -> None:
    rng, folder = random.Random(7), tmp_path / "work"
    kept: dict[str, tuple[int, int]] = {}
    moments = []
    for kill in range(KILLS):
        process = _start(folder)
        # Most are killed a moment after something new was kept, some as they start.
        delay = rng.uniform(0.0, 0.6)
        deadline = time.monotonic() + 120
        while kill % 4 < 3 and _state(folder) == kept and process.poll() is None:
            assert time.monotonic() < deadline, "no progress"
            time.sleep(0.005)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), errors.decode()
        now = _state(folder)
        assert now.items() >= kept.items()  # what was finished is never touched again
        kept = now
        moments.append(len(now))
        if process.returncode == 0:
            break
    process = _start(folder, str(tmp_path / "result.json"))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    assert _state(folder).items() >= kept.items()
    assert len(list((folder / "fits").glob("[!.]*.json"))) == 8
    assert len(list((folder / "drawn").glob("[!.]*.npz"))) == 2
    resumed = ComparisonResult.load(tmp_path / "result.json")
    whole = killed_comparison.main(tmp_path / "whole", keep=False)
    for a, b in zip(resumed.runs, whole.runs, strict=True):
        assert (a.arm, a.seed, a.fold) == (b.arm, b.seed, b.fold)
        np.testing.assert_array_equal(a.probabilities, b.probabilities)
        assert (a.history, a.scores) == (b.history, b.scores)
    assert resumed.settings == json.loads(json.dumps(whole.to_dict()["settings"]))
    # A fit that was kept is never computed again: a kill costs one fit at most, the one that had
    # ended and was not kept yet (files' inodes and times say above that none was written twice).
    computed = (folder / "log").read_text(encoding="utf-8").splitlines()
    uninterrupted = (tmp_path / "whole" / "log").read_text(encoding="utf-8").splitlines()
    assert len(uninterrupted) == 8
    assert set(computed) == set(uninterrupted)
    assert 8 <= len(computed) <= 8 + len(moments)
    assert moments[0] > 0
