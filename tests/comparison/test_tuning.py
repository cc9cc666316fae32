"""`tune`: what is known to help is found, what does not is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

import synthray as sr
from helpers.toys import weights_of
from synthray.comparison.tuning import CANDIDATES

SIZE = 24
WAYS = (sr.Arm("original"), sr.Arm("mixed_4", sr.Phase("both", ratio=4.0)))


def faint(n: int, *, seed: int, signal: float = 1.0) -> sr.ImageDataset:
    """Gaussian noise around one of two means: few images leave much of their difference unknown."""
    rng = np.random.default_rng(seed)
    direction = np.random.default_rng(0).normal(size=(SIZE, SIZE, 1))
    direction *= signal / np.linalg.norm(direction)
    labels = np.arange(n) % 2
    signs = (2 * labels - 1)[:, None, None, None]
    values = 128 + 30 * (rng.normal(size=(n, SIZE, SIZE, 1)) + signs * direction)
    return sr.ImageDataset.from_arrays(np.clip(values, 0, 255).astype(np.uint8), labels)


def linear() -> keras.Model:
    layers = [keras.Input((SIZE, SIZE, 1)), keras.layers.Rescaling(1 / 30, -128 / 30)]
    layers += [keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(5e-3), "binary_crossentropy", steps_per_execution=10)
    return model


TRAINING = sr.Training(classifier=linear, epochs=12, class_weight="balanced")


class Oracle(BaseEstimator):
    """Generates new images of the truth, or of nothing at all."""

    def __init__(self, signal: float, random_state: int | None = None) -> None:
        self.signal = signal
        self.random_state = random_state

    def fit(self, data: sr.ImageDataset) -> Oracle:
        self.class_names_ = data.class_names
        return self

    def sample(self, n: dict[str, int], *, seed: int | None = None) -> sr.ImageDataset:
        own = 1000 + 7 * (self.random_state or 0)
        made = faint(sum(n.values()), seed=own, signal=self.signal)
        return replace(made, synthetic=np.ones(len(made), bool))


def advice(signal: float, **settings: Any) -> sr.TuningReport:
    usual: dict[str, Any] = {"arms": WAYS, "training": TRAINING, "seeds": (0, 1), "cv": 4}
    usual["pretrained"] = None
    quiet: dict[str, Any] = {"leakage": "off", "verbose": 0}
    augmenter = Oracle(signal)
    return sr.tune(faint(400, seed=1), augmenter=augmenter, **(usual | quiet | settings))


def auc(model: keras.Model, data: sr.ImageDataset) -> float:
    p = model.predict(data.images.astype("float32"), verbose=0)
    return float(roc_auc_score(data.labels, p[:, 0]))


@pytest.fixture(scope="module")
def useless() -> sr.TuningReport:
    alone = sr.Arm("alone", sr.Phase("synthetic"))
    return advice(0.0, arms=[*WAYS, alone], seeds=(0,), cv=3)


def test_images_that_help_are_found_and_help_on_new_ones() -> None:
    helpful = advice(1.0, pretrained=linear)
    assert helpful.use_synthetic
    assert (helpful.chosen, helpful.baseline, helpful.ratio) == ("mixed_4", "original", 4.0)
    assert helpful.difference.difference is not None
    assert helpful.difference.difference > 0.03
    lines = str(helpful).splitlines()
    assert lines[0].startswith("Synthetic images help here")
    # The pretrained classifier is no better: the user's stays.
    assert any(line.startswith("A pretrained backbone is not proven") for line in lines)
    assert helpful.training is TRAINING
    train, new = faint(400, seed=1), faint(2000, seed=99)
    plain = sr.train_classifier(train, "original", training=TRAINING, verbose=0)
    assert auc(helpful.fit(train, verbose=0), new) > auc(plain, new) + 0.03


def test_images_that_do_not_help_are_refused(useless: sr.TuningReport) -> None:
    assert not useless.use_synthetic
    assert (useless.chosen, useless.candidate, useless.ratio) == ("original", "mixed_4", 0.0)
    taught = useless.result.scores("alone")["auc"].mean()
    assert abs(taught - 0.5) < 0.1
    assert f"{taught:.3f}" in str(useless)
    assert str(useless).startswith("Do not use synthetic")
    assert repr(useless) == str(useless)
    gone = replace(useless.difference, difference=None, low=None, high=None, p_holm=None)
    assert "not defined" in str(replace(useless, difference=gone))


def test_the_correction_counts_arms_with_synthetic_images(useless: sr.TuningReport) -> None:
    result = useless.result
    again = result.statistics(metric="auc", baseline="original", arms=("original", "mixed_4"))
    one = again.differences["mixed_4"]
    assert one.p_holm == one.p_value
    assert useless.difference.p_value == one.p_value
    assert useless.difference.p_holm is not None
    assert useless.difference.p_holm >= (one.p_value or 0)
    with pytest.raises(ValueError, match="none"):
        result.statistics(arms=("original", "none"))


def test_without_synthetic_images_no_generator_is_trained(useless: sr.TuningReport) -> None:
    train = faint(400, seed=1)
    model = useless.fit(train, seed=3, verbose=0)
    weights = weights_of(model)
    alone = sr.train_classifier(train, "original", training=TRAINING, seed=3, verbose=0)
    for left, right in zip(weights, weights_of(alone), strict=True):
        np.testing.assert_array_equal(left, right)


def test_lower_can_be_better_and_a_warm_start_has_no_ratio() -> None:
    warm = sr.Arm("warm", [sr.Phase("synthetic"), sr.Phase("real")])
    again = advice(1.0, metric="loss", cv=2, seeds=(0,), arms=[sr.Arm("original"), warm])
    assert again.candidate == "warm"
    assert again.difference.difference is not None
    assert again.difference.difference < 0
    object.__setattr__(again, "chosen", "warm")
    assert again.ratio is None
    assert again.arm is warm


def averaging(seed: int) -> keras.Model:
    """In place of a pretrained classifier: it knows where the classes differ."""
    direction = np.random.default_rng(0).normal(size=(SIZE, SIZE, 1))
    layers = [keras.Input((SIZE, SIZE, 1)), keras.layers.Rescaling(1 / 30, -128 / 30)]
    know = keras.initializers.Constant((direction / np.linalg.norm(direction)).reshape(-1, 1))
    layers += [keras.layers.Flatten(), keras.layers.Dense(1, kernel_initializer=know)]
    layers[-1].trainable = False
    layers.append(keras.layers.Dense(1, activation="sigmoid", kernel_initializer="ones"))
    return keras.Sequential(layers)


def test_the_largest_gain_comes_first(useless: sr.TuningReport) -> None:
    found = advice(0.0, seeds=(0,), cv=3, pretrained=averaging)
    assert (found.chosen, found.baseline) == ("pretrained_original", "pretrained_original")
    assert found.candidate == "pretrained_mixed_4"
    assert not found.use_synthetic
    assert found.pretrained is not None
    assert (found.pretrained.arm, found.pretrained.baseline) == (found.chosen, "original")
    assert found.pretrained.difference is not None
    assert found.pretrained.difference > 0.05
    first, second = str(found).splitlines()[:2]
    assert first.startswith("Use a pretrained backbone here")
    assert second.startswith("Do not use synthetic data here: train 'pretrained_original'")
    assert found.training.classifier is averaging
    train, new = faint(400, seed=1), faint(2000, seed=99)
    assert auc(found.fit(train, verbose=0), new) > auc(useless.fit(train, verbose=0), new) + 0.05
    # The folds and the arms of the user's classifier are what they are without it.
    for arm in ("original", "mixed_4"):
        np.testing.assert_array_equal(
            found.result.scores(arm)["auc"], useless.result.scores(arm)["auc"]
        )


def test_folds_that_change_are_refused() -> None:
    with pytest.raises(ValueError, match="random_state"):
        advice(1.0, pretrained=linear, cv=StratifiedKFold(3, shuffle=True), seeds=(0,))


def test_default_candidates() -> None:
    shown = {arm.name: arm.shows_synthetic for arm in CANDIDATES}
    assert sum(shown.values()) == 7
    assert not shown["augmented"]
    assert not shown["original"]
    assert [arm.name for arm in CANDIDATES if not arm.shows_real] == ["synthetic_only"]


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"arms": ["original", "augmented"]}, "both"),
        ({"arms": ["mixed"]}, "both"),
        ({"metric": "f1"}, "metric"),
    ],
)
def test_mistakes(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        advice(1.0, **settings)
