"""`tune` and `train_classifier`: what is known to help is found, what does not is refused."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from synthray.comparison.statistics import compare_arms
from synthray.comparison.tuning import CANDIDATES
from toys import bars, weights_of

SIZE = 24
WAYS = (sr.Arm("original"), sr.Arm("mixed_4", sr.Phase("mixed", ratio=4.0)))


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
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            keras.layers.Rescaling(1 / 30, -128 / 30),
            keras.layers.Flatten(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), "binary_crossentropy", steps_per_execution=10)
    return model


class Oracle:
    """Draws new images of the truth, or of nothing at all."""

    def __init__(self, signal: float, random_state: int | None = None) -> None:
        self.signal = signal
        self.random_state = random_state

    def fit(self, data: sr.ImageDataset) -> Oracle:
        self.class_names_ = data.class_names
        return self

    def unfitted_copy(self, *, random_state: int | None) -> Oracle:
        return Oracle(self.signal, random_state)

    def sample(self, n: dict[str, int], *, seed: int | None = None) -> sr.ImageDataset:
        own = 1000 + 7 * (self.random_state or 0)
        drawn = faint(sum(n.values()), seed=own, signal=self.signal)
        marked = np.ones(len(drawn), bool)
        return sr.ImageDataset.from_arrays(drawn.images, drawn.labels, synthetic=marked)


def advice(signal: float, **settings: Any) -> sr.TuningReport:
    usual: dict[str, Any] = {"arms": WAYS, "classifier": linear, "epochs": 12, "seeds": (0, 1)}
    quiet: dict[str, Any] = {"audit": "off", "verbose": 0}
    return sr.tune(Oracle(signal), faint(400, seed=1), **(usual | quiet | settings))


def auc(model: keras.Model, data: sr.ImageDataset) -> float:
    from sklearn.metrics import roc_auc_score

    p = model.predict(data.images.astype("float32"), verbose=0)
    return float(roc_auc_score(data.labels, p[:, 0]))


@pytest.fixture(scope="module")
def helpful() -> sr.TuningReport:
    return advice(1.0)


@pytest.fixture(scope="module")
def useless() -> sr.TuningReport:
    alone = sr.Arm("alone", sr.Phase("synthetic"))
    return advice(0.0, arms=[*WAYS, alone], seeds=(0,), folds=3)


def test_images_that_help_are_found(helpful: sr.TuningReport) -> None:
    assert helpful.use_synthetic
    assert (helpful.chosen, helpful.baseline, helpful.ratio) == ("mixed_4", "original", 4.0)
    assert helpful.difference.difference is not None
    assert helpful.difference.difference > 0.03
    assert str(helpful).startswith("Synthetic images help here: train 'mixed_4'.\nIts AUC differs")


def test_the_difference_is_that_of_the_arms_with_drawn_images(useless: sr.TuningReport) -> None:
    result, ways = useless.result, ("original", "mixed_4", "alone")
    again = compare_arms(
        {arm: result.probabilities(arm) for arm in ways},
        result.labels,
        groups=result.groups,
        folds=result.folds,
        baseline="original",
        metric="auc",
    )
    assert useless.difference == again.differences["mixed_4"]
    assert again.proven_best() is None
    one = result.statistics(metric="auc", arms=("original", "alone"))
    assert list(one.differences) == ["alone"]
    assert one.differences["alone"].p_holm == one.differences["alone"].p_value
    with pytest.raises(ValueError, match=r"arms must be some of .*, got \['none'\]"):
        result.statistics(arms=("original", "none"))


def test_what_was_chosen_helps_on_new_images(helpful: sr.TuningReport) -> None:
    train, new = faint(400, seed=1), faint(2000, seed=99)
    chosen = helpful.fit(train, verbose=0)
    plain = sr.train_classifier(train, "original", classifier=linear, epochs=12, verbose=0)
    assert auc(chosen, new) > auc(plain, new) + 0.03


def test_images_that_do_not_help_are_refused(useless: sr.TuningReport) -> None:
    assert not useless.use_synthetic
    assert (useless.chosen, useless.candidate, useless.ratio) == ("original", "mixed_4", 0.0)
    taught = useless.result.scores("alone")["auc"].mean()
    assert abs(taught - 0.5) < 0.1
    assert f"Drawn images alone ('alone') teach AUC {taught:.3f}, real ones 0." in str(useless)
    text = str(useless)
    assert text.startswith("Do not use synthetic data here: train 'original'.\nNone of 2 arms with")
    assert "was out of reach of 400 images, 3 folds, 1 seed." in text
    assert repr(useless) == text


def test_without_drawn_images_no_generator_is_trained(useless: sr.TuningReport) -> None:
    train = faint(400, seed=1)
    model = useless.fit(train, seed=3, verbose=0)
    alone = sr.train_classifier(
        train, "original", classifier=linear, epochs=12, class_weight="balanced", seed=3, verbose=0
    )
    for left, right in zip(weights_of(model), weights_of(alone), strict=True):
        np.testing.assert_array_equal(left, right)


def test_lower_can_be_better() -> None:
    again = advice(1.0, metric="loss", folds=2, seeds=(0,))
    assert again.candidate == "mixed_4"
    assert again.difference.difference is not None
    assert again.difference.difference < 0


def test_default_candidates_show_and_hide() -> None:
    shown = {arm.name: arm.shows_synthetic for arm in CANDIDATES}
    assert sum(shown.values()) == 7
    assert [arm.name for arm in CANDIDATES if not arm.shows_real] == ["synthetic_only"]
    assert not shown["augmented"]
    assert not shown["original"]
    assert not sr.CONTROLS["real_warm_start"].shows_synthetic
    assert sr.Arm("own", sr.Phase(lambda train, drawn: train)).shows_synthetic


def test_warm_start_has_no_ratio() -> None:
    warm = sr.Arm("warm", [sr.Phase("synthetic"), sr.Phase("real")])
    report = advice(1.0, arms=[sr.Arm("original"), warm], folds=2, epochs=2, seeds=(0,))
    assert report.candidate == "warm"
    object.__setattr__(report, "chosen", "warm")
    assert report.ratio is None
    assert report.arm is warm


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arms": ["original", "augmented"]}, "compares arms that train on drawn images"),
        ({"arms": ["synthetic"]}, "and needs both"),
        ({"metric": "f1"}, "metric must be one of"),
        ({"protocol": "leaky"}, "has no protocol="),
    ],
)
def test_mistakes(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        advice(1.0, **settings)


def test_from_an_augmenter_and_arrays(tmp_path: Path) -> None:
    data = bars(48, size=32)
    augmenter = sr.SyntheticAugmenter(
        functools.partial(sr.DCGAN, width=0.125), epochs=1, random_state=0
    )
    report = augmenter.tune(
        data.images,
        data.labels,
        arms=["augmented", "synthetic"],
        folds=2,
        seeds=(0,),
        epochs=1,
        audit="off",
        workdir=tmp_path,
        verbose=0,
    )
    assert not hasattr(augmenter, "generators_")
    assert set(report.result.arms) == {"augmented", "synthetic"}
    synthetic = report.result.settings["synthetic"]
    assert synthetic["class_counts"] == {"0": 24, "1": 24}
    assert report.chosen == report.baseline == "augmented"


def test_trains_what_the_comparison_judged() -> None:
    """The model that is returned predicts what the comparison recorded."""
    train, test = faint(100, seed=1), faint(60, seed=2)
    drawn = Oracle(1.0).fit(train).sample({"0": 50, "1": 50})
    shared: dict[str, Any] = {"augmenter": drawn, "classifier": linear, "epochs": 3, "verbose": 0}
    judged = sr.run_comparison(train, test, arms=["synthetic"], audit="off", **shared)
    model = sr.train_classifier(train, "synthetic", **shared)
    p = model.predict(test.images.astype("float32"), verbose=0)[:, 0]
    np.testing.assert_allclose(p, judged["synthetic"][0].probabilities[:, 1], atol=1e-5)


def test_train_classifier_says_what_it_costs(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("synthray.comparison.cost._WORTH_TIMING", 2)
    seen: list[int] = []
    count = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    sr.train_classifier(
        faint(64, seed=1), "original", classifier=linear, epochs=2, callbacks=[count]
    )
    told = capsys.readouterr().out
    assert "1 fits of 4 steps in all" in told
    assert "4/4" in told
    assert seen == [0, 1]


def test_train_classifier_needs_what_its_arm_needs() -> None:
    with pytest.raises(ValueError, match="train on synthetic images"):
        sr.train_classifier(faint(8, seed=1), "synthetic", classifier=linear, verbose=0)
    with pytest.raises(ValueError, match="seeds must be different integers"):
        sr.train_classifier(faint(8, seed=1), "original", classifier=linear, seed=-1)


def test_reasons_of_an_undefined_difference(useless: sr.TuningReport) -> None:
    """Numbers that are not defined are said to be so."""
    from dataclasses import replace

    gone = replace(
        useless.difference, difference=None, low=None, high=None, p_holm=None, detectable=None
    )
    assert "differs from it by not defined." in str(replace(useless, difference=gone))
