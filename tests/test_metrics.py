"""Scores by hand and against scikit-learn, one weighting at a time and many at once."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from synthray.comparison.metrics import Scores, score
from synthray.comparison.weighted import WeightedScores


def draw(k: int, n: int = 150, *, ties: bool = False) -> tuple[Any, NDArray[np.int64]]:
    rng = np.random.default_rng(k)
    p = rng.dirichlet(np.ones(k), n)
    if ties:
        p = np.maximum(np.round(p, 1), 0.1)
        p /= p.sum(axis=1, keepdims=True)
    return p.astype(np.float32), rng.integers(0, k, n)


def test_order_of_the_scores() -> None:
    assert [field.name for field in fields(Scores)] == [
        *("accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity"),
        *("brier", "calibration_error", "loss"),
    ]


def test_brier_and_calibration_by_hand() -> None:
    ones = np.asarray([0.05, 0.72, 0.78, 1.0])
    found = score(np.stack([1 - ones, ones], axis=1), np.asarray([0, 0, 1, 1]))
    assert found.brier == pytest.approx((0.05**2 + 0.72**2 + 0.22**2) / 4)
    # Bins: {0.05} has a gap of 0.05, {0.72, 0.78} of 1.5 - 1, {1.0} of 0.
    assert found.calibration_error == pytest.approx((0.05 + 0.5) / 4)
    three = score(np.asarray([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]), np.asarray([0, 1]))
    assert three.brier == pytest.approx((0.25 + 0.09 + 0.04 + 0.01 + 0.81 + 0.64) / 2)
    assert three.calibration_error == pytest.approx((0.5 + 0.8) / 2)
    assert three.balanced_accuracy is None


@pytest.mark.parametrize("k", [2, 3])
def test_scores_agree_with_scikit_learn(k: int) -> None:
    p, labels = draw(k)
    found = score(p, labels)
    expected = metrics.balanced_accuracy_score(labels, p.argmax(axis=1))
    assert found.balanced_accuracy == pytest.approx(expected)
    if k == 2:
        assert found.brier == pytest.approx(metrics.brier_score_loss(labels, p[:, 1]))
        swapped = score(p, labels, positive_class=0)
        assert swapped.brier == pytest.approx(found.brier)
        assert swapped.balanced_accuracy == found.balanced_accuracy


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [2, 4])
def test_weighted_scores_agree_with_scikit_learn(k: int, ties: bool) -> None:
    p, labels = draw(k, ties=ties)
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 4, (5, len(labels))).astype(np.float32)
    found = WeightedScores(p, labels, 1)(weights)
    predicted = p.argmax(axis=1)
    for row, w in enumerate(weights):
        values = {name: value[row] for name, value in found.items()}
        accuracy = metrics.accuracy_score(labels, predicted, sample_weight=w)
        assert values["accuracy"] == pytest.approx(accuracy, rel=1e-5)
        balanced = metrics.balanced_accuracy_score(labels, predicted, sample_weight=w)
        assert values["balanced_accuracy"] == pytest.approx(balanced, rel=1e-5)
        ranked = [1] if k == 2 else range(k)
        aucs = [metrics.roc_auc_score(labels == c, p[:, c], sample_weight=w) for c in ranked]
        assert values["auc"] == pytest.approx(np.mean(aucs), rel=1e-5)
        exact = p / p.sum(axis=1, keepdims=True, dtype=float)
        log_loss = metrics.log_loss(labels, exact, sample_weight=w)
        assert values["loss"] == pytest.approx(log_loss, rel=1e-4)
        if k == 2:
            recall = metrics.recall_score(labels, predicted, sample_weight=w)
            cleared = metrics.recall_score(labels, predicted, sample_weight=w, pos_label=0)
            brier = metrics.brier_score_loss(labels, p[:, 1], sample_weight=w)
            assert values["sensitivity"] == pytest.approx(recall, rel=1e-5)
            assert values["specificity"] == pytest.approx(cleared, rel=1e-5)
            assert values["brier"] == pytest.approx(brier, rel=1e-5)


@pytest.mark.parametrize("k", [2, 4])
def test_weights_are_repeated_images(k: int) -> None:
    p, labels = draw(k)
    weights = np.random.default_rng(1).integers(0, 3, len(labels))
    found = WeightedScores(p, labels, 1)(weights[None].astype(np.float32))
    repeated = asdict(score(np.repeat(p, weights, axis=0), np.repeat(labels, weights)))
    assert {name: value[0] for name, value in found.items()} == pytest.approx(repeated, rel=1e-4)


def test_weighted_scores_without_a_class() -> None:
    p, labels = draw(2)
    found = WeightedScores(p, labels, 1)((labels == 0)[None].astype(np.float32))
    undefined = {name for name, value in found.items() if np.isnan(value[0])}
    assert {"balanced_accuracy", "auc", "sensitivity"} <= undefined
    assert not undefined & {"accuracy", "brier", "calibration_error", "loss"}
