"""Simulated and trained comparisons: intervals of clusters, power with folds, verdicts in words."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from synthray.comparison.arms import Arm
from synthray.comparison.phases import Phase
from synthray.comparison.runner import run_comparison
from synthray.comparison.statistics import compare_arms, corrected_t
from synthray.comparison.verdicts import Difference
from synthray.datasets.image_dataset import ImageDataset

SIZE = 4  # images of a patient
PATIENTS = np.repeat(np.arange(40), SIZE)
LABELS = PATIENTS % 2


def certain(right: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return predictions that hit where `right`, of shape `(n_seeds, n)`, is true."""
    ones = np.where(right, LABELS, 1 - LABELS)
    return np.stack([1 - ones, ones], axis=2).astype(np.float32)


def clustered(rng: np.random.Generator, share: float = 0.7) -> NDArray[np.bool_]:
    """One training: half of the images are right or wrong as their patient is, of that share."""
    own, of_patient = rng.random(len(PATIENTS)) < share, rng.random(40) < share
    return np.where(rng.random(len(PATIENTS)) < 0.5, of_patient[PATIENTS], own)[None]


def test_coverage_of_an_accuracy_on_clusters_and_without_them() -> None:
    rng = np.random.default_rng(0)
    held: dict[str, list[bool]] = {"groups": [], "ignored": []}
    for number in range(1000):
        arms = {"a": certain(clustered(rng))}
        for name, groups in (("groups", PATIENTS), ("ignored", None))[: 2 if number < 300 else 1]:
            found = compare_arms(arms, LABELS, groups=groups, n_resamples=200, seed=number)
            got = found.intervals["a"]["accuracy"]
            assert got.low is not None
            assert got.high is not None
            held[name].append(got.low <= 0.7 <= got.high)
    assert 0.93 <= np.mean(held["groups"]) <= 0.97
    assert np.mean(held["ignored"]) < 0.91  # the same data, if patients are not told


def test_power_of_the_corrected_t_in_its_model() -> None:
    rng = np.random.default_rng(0)
    n, ratio = 15, 0.25
    part = ratio / (1 + ratio)
    noise = np.sqrt(part) * rng.normal(size=(1500, 1)) + np.sqrt(1 - part) * rng.normal(
        size=(1500, n)
    )
    error = np.sqrt((1 / n + ratio) * (1 - part))
    detectable = error * (stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1))
    powers = [p < 0.05 for row in noise if (p := corrected_t(row + detectable, ratio)) is not None]
    assert len(powers) == 1500
    assert 0.7 <= np.mean(powers) <= 0.9


NUMBERS = r"accuracy [+-]0\.\d{3} \[[+-]0\.\d{3}, [+-]0\.\d{3}\], p (= 0\.\d{3}|< 0\.001)"
NEEDED = r": would need about [\d,]+ test images"


def test_sentences_word_for_word() -> None:
    place = np.arange(160)
    hits = {"original": (0, 100), "up": (0, 140), "down": (0, 60), "near": (8, 111)}
    arms = {
        arm: certain(np.stack([(place >= low) & (place < high + 2 * s) for s in range(3)]))
        for arm, (low, high) in hits.items()
    }
    found = compare_arms(arms, LABELS, metric="accuracy", n_resamples=500)
    lines = str(found).split("\n")
    expected = [
        rf"up is better than original \({NUMBERS}\)\.",
        rf"down is worse than original \({NUMBERS}\)\.",
        rf"near and original cannot be told apart \({NUMBERS}\){NEEDED}\.",
        r"Verdicts on accuracy \(higher is better\) by the bootstrap of groups, corrected for 3 "
        r"arms \(Holm\), 95% intervals; smallest difference to be found with 80 % power: 0\.\d{3} "
        r"to 0\.\d{3}\.",
    ]
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line), line
    assert "accuracy +0.250 [" in lines[0]
    assert "accuracy -0.250 [" in lines[1]


def a_difference(**changes: Any) -> Difference:
    fields: dict[str, Any] = {
        **{"arm": "warm_start", "baseline": "original", "metric": "auc", "difference": 0.0214},
        **{"low": -0.0101, "high": 0.0529, "p_bootstrap": 0.2, "p_permutation": None},
        **{"p_corrected_t": None, "p_mcnemar": 0.3, "test": "bootstrap", "p_value": 0.2},
        **{"p_holm": 0.4, "detectable": 0.05, "needed_images": 2400},
        **{"verdict": "cannot be told apart"},
    }
    return Difference(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {},
            "warm_start and original cannot be told apart (AUC +0.021 [-0.010, +0.053], p = 0.400):"
            " would need about 2,400 test images.",
        ),
        (
            {"needed_images": None},
            "warm_start and original cannot be told apart (AUC +0.021 [-0.010, +0.053], p = 0.400):"
            " would need more seeds, for trainings differ by as much.",
        ),
        (
            {"p_value": None, "p_holm": None},
            "warm_start and original cannot be told apart (AUC +0.021 [-0.010, +0.053]): one "
            "training of each does not show what a repeat would give, use more seeds.",
        ),
        (
            {"verdict": "better", "low": 0.0101, "p_holm": 0.0123},
            "warm_start is better than original (AUC +0.021 [+0.010, +0.053], p = 0.012).",
        ),
        (
            {"verdict": "worse", "metric": "brier", "low": 0.0101, "p_holm": 0.0001},
            "warm_start is worse than original (Brier score +0.021 [+0.010, +0.053], p < 0.001).",
        ),
        (
            {"low": None, "high": None, "p_value": None, "p_holm": None},
            "warm_start and original cannot be told apart (AUC +0.021): too few groups of images "
            "to tell.",
        ),
    ],
)
def test_a_sentence_exactly(changes: dict[str, Any], sentence: str) -> None:
    assert a_difference(**changes).describe() == sentence


def few(train: ImageDataset, synthetic: ImageDataset | None = None) -> ImageDataset:
    """Return an eighth of the images, both classes."""
    return train.select(range(len(train) // 8))


def faint(n: int) -> ImageDataset:
    """Noise, a little brighter on the left in one class: learned the better, the more images."""
    labels = np.arange(n) % 2
    images = np.random.default_rng(0).normal(128, 40, (n, 16, 16, 1))
    images[labels == 1, :, :8] += 9
    images[labels == 0, :, 8:] += 9
    return ImageDataset.from_arrays(
        np.clip(images, 0, 255).astype(np.uint8), labels, class_names=("right", "left")
    )


def tiny_model() -> keras.Model:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Rescaling(1 / 40, offset=-3.2),
            layers.Flatten(),
            layers.Dense(1, "sigmoid", kernel_initializer="zeros"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return model


def test_trained_arms_with_a_known_truth() -> None:
    result = run_comparison(
        faint(240),
        folds=3,
        classifier=tiny_model,
        arms=[Arm("few", Phase(few)), Arm("copy", Phase(few)), Arm("all", Phase("real"))],
        epochs=6,
        seeds=range(2),
        audit="off",
        verbose=0,
    )
    found = result.statistics(metric="auc", baseline="few")
    assert found.differences["all"].verdict == "better", str(found)
    assert found.differences["copy"].verdict == "cannot be told apart"
    assert "all is better than few (AUC +0." in str(found)
