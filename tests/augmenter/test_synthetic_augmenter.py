"""SyntheticAugmenter: training, sampling, resampling."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

import synthray as sr
from helpers.tiny import TinyGAN, tiny_augmenter
from helpers.toys import bars
from synthray.exceptions import SynthrayWarning


def test_is_a_scikit_learn_estimator(fitted: sr.SyntheticAugmenter) -> None:
    augmenter = sr.SyntheticAugmenter()
    assert augmenter.generator is sr.ProjectedGAN
    assert not [name for name in vars(augmenter) if name.endswith("_")]
    assert set(augmenter.get_params()) == set(vars(augmenter))
    with pytest.raises(NotFittedError, match="not fitted"):
        augmenter.sample(3)
    again = clone(fitted)
    assert again.get_params() == fitted.get_params()
    assert not [name for name in vars(again) if name.endswith("_")]
    assert again.set_params(epochs=7).epochs == 7
    assert fitted.epochs == 1
    assert repr(again).startswith("SyntheticAugmenter(batch_size=8, epochs=7")


def test_fitted_attributes(fitted: sr.SyntheticAugmenter) -> None:
    assert fitted.class_names_ == ("upright", "lying")
    assert fitted.n_train_ == {"upright": 11, "lying": 10}
    assert fitted.image_shape_ == (16, 16, 1)
    assert set(fitted.generators_) == {"upright", "lying"}
    assert len(fitted.histories_["lying"]["g_loss"]) == 1
    upright, lying = (fitted.generators_[k].sample(1, seed=0) for k in fitted.class_names_)
    assert not np.array_equal(upright, lying)


@pytest.mark.slow
def test_each_class_has_a_generator_of_its_own() -> None:
    def make(**arguments: Any) -> sr.GAN:
        gan = sr.DCGAN(width=0.125, **arguments)
        gan.compile(keras.optimizers.Adam(1e-3, beta_1=0.5))
        return gan

    augmenter = sr.SyntheticAugmenter(make, epochs=100, batch_size=16, random_state=0)
    samples = augmenter.fit(bars(64), verbose=0).sample({"upright": 20, "lying": 20}, seed=0)
    # A bar makes its rows (lying) or columns (upright) differ in brightness.
    images = samples.images[..., 0].astype(float)
    rows, columns = images.mean(2).std(1), images.mean(1).std(1)
    assert ((rows > columns) == samples.labels).mean() > 0.9


def test_sample_marks_and_counts(fitted: sr.SyntheticAugmenter) -> None:
    samples = fitted.sample(10, seed=3)
    assert samples.class_counts == {"upright": 5, "lying": 5}
    assert samples.synthetic.all()
    assert samples.groups is None
    assert samples.provenance["source"] == "synthray.SyntheticAugmenter"
    np.testing.assert_array_equal(samples.images, fitted.sample(10, seed=3, batch_size=3).images)
    assert not np.array_equal(samples.images, fitted.sample(10, seed=4).images)
    assert fitted.sample({"lying": 2}).class_counts == {"upright": 0, "lying": 2}
    assert fitted.sample({0: 1, "lying": 2}).class_counts == {"upright": 1, "lying": 2}
    assert fitted.sample(5).class_counts == {"upright": 3, "lying": 2}  # as 11 and 10 in training
    assert len(fitted.sample(0)) == 0
    batches = list(fitted.sample_batches(10, seed=3, batch_size=4))
    assert [(name, len(images)) for name, images in batches] == [
        *(("upright", 4), ("upright", 1)),
        *(("lying", 4), ("lying", 1)),
    ]
    np.testing.assert_array_equal(np.concatenate([x for _, x in batches]), samples.images)
    with pytest.raises(ValueError, match=r"'oblique'.*upright"):
        fitted.sample({"oblique": 1})
    for wrong in (-1, {"lying": -1}):
        with pytest.raises(ValueError, match="0 or more"):
            fitted.sample(wrong)


DATA = bars(8)
REFUSED: dict[str, tuple[Any, Any, str]] = {
    "an empty class": (DATA.select(DATA.labels == 0), None, r"\['lying'\]"),
    "synthetic images": (replace(DATA, synthetic=np.ones(8, bool)), None, "8 of 8"),
    "no labels": (DATA.images, None, "Labels are missing"),
    "labels twice": (DATA, DATA.labels, "leave y out"),
    "soft labels": (DATA.images, np.full((8, 2), 0.5), "one-hot"),
    "halves": (DATA.images, np.full(8, 0.5), "whole numbers"),
    "infinite labels": (DATA.images, np.full(8, np.inf), "whole numbers"),
    "masks": (DATA.images > 100, DATA.labels, "got bool"),
    "no images": (DATA.images[:0], [], "have none"),
    "12 bits": (DATA.images.astype("int16") * 16, DATA.labels, "value_range="),
    "too many dimensions": (DATA.images, np.zeros((2, 2, 2)), "Labels must be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_fit_refuses_what_it_cannot_learn(case: str) -> None:
    X, y, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        tiny_augmenter().fit(X, y)


@pytest.mark.parametrize("epochs", [0, 1.5, "many"])
def test_epochs_are_whole_or_auto(epochs: Any) -> None:
    with pytest.raises(ValueError, match='integer from 1, or "auto"'):
        tiny_augmenter(epochs=epochs).planned_steps({"a": 10})


def test_auto_shows_so_many_images() -> None:
    auto = tiny_augmenter(epochs="auto", batch_size=1)
    assert auto.planned_steps({"a": 1000}) == 35_000
    assert auto.planned_steps({"a": 999}) == 36 * 999


class Stub(TinyGAN):
    """Stands for a generator in `fit_resample`, and learns nothing."""

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        return None


def added(counts: dict[str, int], strategy: Any) -> dict[str, int]:
    """Images that `fit_resample` adds of each class."""
    names = list(counts)
    labels = np.repeat(np.arange(len(names)), list(counts.values()))
    images = np.zeros((len(labels), 8, 8, 1), np.uint8)
    data = sr.ImageDataset.from_arrays(images, labels, class_names=names)
    both = tiny_augmenter(generator=Stub, sampling_strategy=strategy).fit_resample(data)
    return {name: count - counts[name] for name, count in both.class_counts.items()}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("auto", {"a": 0, "b": 6, "c": 8}),
        ("minority", {"a": 0, "b": 0, "c": 8}),
        ({"c": 5, 1: 4}, {"a": 0, "b": 0, "c": 3}),
        ({"a": 12}, {"a": 2, "b": 0, "c": 0}),
    ],
)
def test_sampling_strategies(strategy: Any, expected: dict[str, int]) -> None:
    assert added({"a": 10, "b": 4, "c": 2}, strategy) == expected


def test_float_strategy_is_the_ratio_of_two() -> None:
    assert added({"a": 2, "b": 10}, 0.5) == {"a": 3, "b": 0}
    wrong: list[tuple[Any, dict[str, int], str]] = [
        (0.1, {"a": 2, "b": 10}, "none is taken away"),
        ({"b": 3}, {"a": 2, "b": 10}, "none is taken away"),
        (0.5, {"a": 2, "b": 10, "c": 1}, "3 classes"),
        (1.5, {"a": 2, "b": 10}, "above 0 and at most 1"),
        ("majority", {"a": 2, "b": 10}, "got 'majority'"),
        ({"d": 3}, {"a": 2, "b": 10}, "'d'"),
    ]
    for strategy, counts, message in wrong:
        with pytest.raises(ValueError, match=message):
            added(counts, strategy)


def test_fit_resample_balances_like_imbalanced_learn() -> None:
    data = bars(24).select(np.r_[0:24:2, 1:9:2])  # 12 upright, 4 lying
    both = tiny_augmenter().fit_resample(data, verbose=0)
    assert both.class_counts == {"upright": 12, "lying": 12}
    np.testing.assert_array_equal(both.images[:16], data.images)
    assert both.synthetic.sum() == 8

    images = data.images.astype("float32")[..., 0] / 255
    words = np.array(["upright", "lying"])[data.labels]
    augmenter = tiny_augmenter(sampling_strategy={"lying": 6})
    X, y = augmenter.fit_resample(images, words, seed=5, verbose=0)
    assert (X.shape, X.dtype) == ((18, 16, 16), np.float32)
    assert X.max() <= 1
    np.testing.assert_array_equal(X[:16], images)
    assert y.tolist()[16:] == ["lying", "lying"]


def test_a_given_range_is_that_of_fit_and_of_what_comes_back() -> None:
    data = bars(24).select(np.r_[0:24:2, 1:9:2])
    wide = data.images.astype("int16") * 16
    options: dict[str, Any] = {"value_range": (0, 4080), "verbose": 0}
    one, other = (
        tiny_augmenter().fit(wide, data.labels, **options),
        tiny_augmenter().fit(data, verbose=0),
    )
    np.testing.assert_array_equal(one.sample(3, seed=0).images, other.sample(3, seed=0).images)
    X, _ = tiny_augmenter().fit_resample(wide, data.labels, **options)
    assert X.dtype == np.int16
    assert X[16:].max() > 255
    np.testing.assert_array_equal(X[:16], wide)
    with pytest.warns(SynthrayWarning, match="beyond") as caught:
        tiny_augmenter().fit_resample(
            data.images / (0.99 * data.images.max()), data.labels, verbose=0
        )
    assert len(caught) == 1


@pytest.mark.parametrize("batch_size", [0, -3])
def test_batches_hold_at_least_one_image(fitted: sr.SyntheticAugmenter, batch_size: int) -> None:
    wrong = tiny_augmenter(batch_size=batch_size)
    for use in (
        lambda: wrong.fit(DATA, verbose=0),
        lambda: wrong.planned_steps({"a": 10}),
        lambda: fitted.sample(3, batch_size=batch_size),
    ):
        with pytest.raises(ValueError, match="batch_size must be at least 1"):
            use()


class Recorder(BaseEstimator):
    """Ends a pipeline, and keeps what it is given."""

    def fit(self, X: Any, y: Any) -> Any:
        self.counts_ = np.bincount(y)
        return self

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X))


def test_is_a_step_of_a_pipeline_of_imbalanced_learn() -> None:
    reason = "imbalanced-learn is not installed (pip install imbalanced-learn)"
    pipeline = pytest.importorskip("imblearn.pipeline", reason=reason)
    data = bars(24).select(np.r_[0:24:2, 1:9:2])
    steps = [("augment", tiny_augmenter()), ("classify", Recorder())]
    both = clone(pipeline.Pipeline(steps)).set_params(augment__sampling_strategy={1: 9})
    both.fit(data.images, data.labels, augment__verbose=0)
    assert both["classify"].counts_.tolist() == [12, 9]
    assert len(both.predict(data.images)) == 16  # nothing is added to what is judged


def test_annotations_that_cannot_be_joined_are_told_before_the_training() -> None:
    data = replace(bars(8), annotations={"view": np.array(["ap"] * 8)})
    with pytest.raises(ValueError, match="annotation 'view'"):
        tiny_augmenter(epochs=10**9).fit_resample(data, verbose=0)


def test_sample_to_folder(fitted: sr.SyntheticAugmenter, tmp_path: Path) -> None:
    counts, folder = {"upright": 3, "lying": 2}, tmp_path / "synthetic"
    fitted.sample_to_folder(folder, counts, seed=2, batch_size=2, verbose=0)
    files = sorted(p.relative_to(folder).as_posix() for p in tmp_path.rglob("*.png"))
    assert files == [
        *(f"lying/synthetic_{i:06d}.png" for i in range(2)),
        *(f"upright/synthetic_{i:06d}.png" for i in range(3)),
    ]
    pixels = np.asarray(Image.open(folder / "upright" / "synthetic_000002.png"))
    np.testing.assert_array_equal(pixels, fitted.sample(counts, seed=2).images[2, ..., 0])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["synthetic"] is True
    assert manifest["counts"] == counts
    with pytest.raises(ValueError, match="is not empty"):
        fitted.sample_to_folder(folder, 2)


def pictures(folder: Path, *names: str) -> None:
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(bars(8).images[i, ..., 0]).save(folder / name)


def test_images_of_a_folder_are_loaded_as_synthetic(
    fitted: sr.SyntheticAugmenter, tmp_path: Path
) -> None:
    folder, bones = tmp_path / "synthetic", tmp_path / "bones"
    fitted.sample_to_folder(folder, {"upright": 3, "lying": 2}, seed=2, verbose=0)
    pictures(bones, "upright/1.png", "lying/2.png")
    shutil.copy(folder / "lying" / "synthetic_000001.png", bones / "upright" / "3.png")
    with pytest.warns(sr.SynthrayWarning, match="1 of 3 images"):
        mixed = sr.load_image_folder(bones, (16, 16, 1))
    assert isinstance(mixed, sr.ImageDataset)
    assert mixed.synthetic.tolist() == [False, False, True]
    assert "synthetic" not in mixed.provenance
    with pytest.raises(ValueError, match="1 of 3 images of train are synthetic"):
        sr.run_comparison(mixed, cv=2, arms=["original"], verbose=0)
    for file in folder.rglob("*.png"):
        Image.open(file).save(file)  # without the mark; the manifest is there
    with pytest.warns(sr.SynthrayWarning, match="5 of 5 images"):
        data = sr.load_image_folder(folder, (16, 16, 1))
    assert isinstance(data, sr.ImageDataset)
    assert data.synthetic.all()
    assert data.provenance["synthetic"]["."]["seed"] == 2


@pytest.mark.parametrize("name", ["new", "train/new", "train/lying/new", "train/lying/p1/new"])
def test_synthetic_images_stay_out_of_class_folders(
    fitted: sr.SyntheticAugmenter, tmp_path: Path, name: str
) -> None:
    pictures(tmp_path, "train/upright/1.png", "train/lying/2.png", "train/lying/p1/3.png")
    with pytest.raises(ValueError, match="class folders"):
        fitted.sample_to_folder(tmp_path / name, 2, verbose=0)
    assert not (tmp_path / name).exists()


def test_figures_and_trees_beside_a_folder_do_not_matter(
    fitted: sr.SyntheticAugmenter, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    pictures(project, "figure.png", "bones/upright/1.png", "bones/lying/2.png", "figures/3.png")
    for name in ("synthetic", "synthetic/more"):
        fitted.sample_to_folder(project / name, 2, verbose=0)


def test_class_names_that_are_no_file_names(tmp_path: Path) -> None:
    names = ("not fractured", "../fractured")
    data = replace(bars(8), class_names=names, positive_class=names[1])
    tiny_augmenter().fit(data, verbose=0).sample_to_folder(tmp_path / "d", 2, verbose=0)
    assert len(list((tmp_path / "d").glob("*/*.png"))) == 2
    assert not list(tmp_path.glob("*.png"))


def test_fingerprints_differ_where_the_images_will() -> None:
    small = functools.partial(TinyGAN, units=2)
    base = tiny_augmenter(generator=small).fingerprint()
    same: list[dict[str, Any]] = [
        {},
        {"sampling_strategy": "minority"},
        {"random_state": np.int64(0)},
        {"generator": functools.partial(TinyGAN, units=2)},
    ]
    assert {tiny_augmenter(**{"generator": small, **x}).fingerprint() for x in same} == {base}
    other: list[dict[str, Any]] = [
        *({"epochs": 2}, {"batch_size": 16}, {"random_state": 1}, {"random_state": None}),
        *({"conditional": True}, {"filter": sr.filter_samples}, {"generator": TinyGAN}),
        {"generator": functools.partial(TinyGAN, units=3)},
        {"generator": lambda **arguments: TinyGAN(units=2, **arguments)},
    ]
    prints = [tiny_augmenter(**{"generator": small, **x}).fingerprint() for x in other]
    assert len({base, *prints}) == len(prints) + 1


def test_a_fitted_fingerprint_counts_the_weights(fitted: sr.SyntheticAugmenter) -> None:
    before = fitted.fingerprint()
    assert before != clone(fitted).fingerprint()
    variable = fitted.generators_["lying"].generator.weights[-1]
    value = variable.numpy()
    variable.assign(value + 1)
    assert fitted.fingerprint() != before
    variable.assign(value)
    assert fitted.fingerprint() == before
