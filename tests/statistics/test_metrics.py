"""Scores by hand and against scikit-learn, one weighting at a time and many at once."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from synthray.statistics.metrics import METRICS, Scores, WeightedScores, reliability, score

N = 120


def predictions(k: int, *, ties: bool, seed: int = 0) -> tuple[NDArray[Any], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, N)
    p = rng.dirichlet(np.ones(k), N) + 0.3 * np.eye(k)[labels]
    p /= p.sum(axis=1, keepdims=True)
    if ties:  # sixteenths, exact in binary: many images share a probability
        p = np.round(p * 16) / 16
        p[:, 0] = 1 - p[:, 1:].sum(axis=1)
        p = np.clip(p, 0, 1)
        p /= p.sum(axis=1, keepdims=True)
    return p.astype(np.float32), labels


def weightings(kind: str, rows: int = 6) -> NDArray[np.float32]:
    rng = np.random.default_rng(1)
    if kind == "counts":  # as the bootstrap draws them, zeros among them
        return rng.multinomial(N, np.full(N, 1 / N), size=rows).astype(np.float32)
    return rng.gamma(0.5, size=(rows, N)).astype(np.float32)


def by_scikit_learn(
    p: NDArray[Any], labels: NDArray[np.int64], w: NDArray[Any], positive: int
) -> dict[str, float]:
    p, w = p.astype(np.float64), w.astype(np.float64)
    k = p.shape[1]
    found = p.argmax(axis=1)

    def recall(hits: NDArray[Any], of: NDArray[Any]) -> float:
        return float(metrics.recall_score(of, hits, sample_weight=w))

    of_classes = [positive] if k == 2 else range(k)
    ranked = [1] if k == 2 else range(k)
    sure, right = (
        (p[:, positive], labels == positive) if k == 2 else (p.max(axis=1), found == labels)
    )
    gap = 0.0
    for b in range(10):
        # Bins include their left edge; the last one both.
        mine = (sure >= b / 10) & ((sure < (b + 1) / 10) if b < 9 else sure <= 1)
        gap += abs(float((w * (sure - right))[mine].sum()))
    squares = [metrics.brier_score_loss(labels == c, p[:, c], sample_weight=w) for c in range(k)]
    clipped = np.clip(p, 1e-7, 1 - 1e-7)
    clipped /= clipped.sum(axis=1, keepdims=True)
    return {
        "accuracy": metrics.accuracy_score(labels, found, sample_weight=w),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, found, sample_weight=w),
        "auc": float(
            np.mean([metrics.roc_auc_score(labels == c, p[:, c], sample_weight=w) for c in ranked])
        ),
        "sensitivity": float(np.mean([recall(found == c, labels == c) for c in of_classes])),
        "specificity": float(np.mean([recall(found != c, labels != c) for c in of_classes])),
        "brier": squares[1] if k == 2 else float(np.sum(squares)),
        "calibration_error": gap / float(w.sum()),
        "loss": metrics.log_loss(labels, clipped, sample_weight=w, labels=range(k)),
    }


@pytest.mark.parametrize("kind", ["counts", "reals"])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("k", "positive"), [(2, 1), (2, 0), (4, 1)])
def test_every_metric_is_scikit_learns(k: int, positive: int, ties: bool, kind: str) -> None:
    p, labels = predictions(k, ties=ties)
    if ties:
        assert len(np.unique(p[:, 1])) < N / 4
    weights = weightings(kind)
    found = WeightedScores(p, labels, positive)(weights)
    assert tuple(found) == METRICS
    for row, w in enumerate(weights):
        expected = by_scikit_learn(p, labels, w, positive)
        for metric, value in expected.items():
            assert found[metric][row] == pytest.approx(value, abs=3e-5, rel=3e-5), metric


@pytest.mark.parametrize(("k", "positive"), [(2, 0), (2, 1), (4, 1)])
def test_scores_are_scikit_learns(k: int, positive: int) -> None:
    p, labels = predictions(k, ties=False, seed=2)
    found = score(p, labels, positive_class=positive)
    for metric, value in by_scikit_learn(p, labels, np.ones(N), positive).items():
        assert getattr(found, metric) == pytest.approx(value, abs=1e-6), metric


def test_order_of_the_scores() -> None:
    assert tuple(field.name for field in fields(Scores)) == METRICS
    assert list(METRICS) == [
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


def test_scores_of_what_cannot_be_scored() -> None:
    assert score(np.zeros((0, 2), np.float32), np.zeros(0, np.int64)) == Scores()
    assert score(np.full((4, 2), np.nan), np.arange(4) % 2) == Scores()
    one = score(np.asarray([[0.2, 0.8]]), np.asarray([1]))
    assert (one.accuracy, one.auc, one.sensitivity) == (1.0, None, None)


def test_weights_repeat_images() -> None:
    p, labels = predictions(4, ties=False, seed=3)
    counts = weightings("counts", 1)
    found = WeightedScores(p, labels, 1)(counts)
    rows = np.repeat(np.arange(N), counts[0].astype(int))
    plain = score(p[rows], labels[rows])
    for metric in METRICS:
        assert found[metric][0] == pytest.approx(getattr(plain, metric), abs=2e-5), metric


def test_all_scores_equal_give_half_the_area() -> None:
    labels = np.arange(10) % 2
    p = np.full((10, 2), 0.5, np.float32)
    weights = np.random.default_rng(0).gamma(1.0, size=(3, 10)).astype(np.float32)
    np.testing.assert_allclose(WeightedScores(p, labels, 1)(weights)["auc"], 0.5, rtol=1e-6)


@pytest.mark.parametrize("k", [2, 4])
def test_a_class_without_weight(k: int) -> None:
    p, labels = predictions(k, ties=False)
    weights = np.stack([(labels != missing).astype(np.float32) for missing in range(k)])
    weights = np.vstack([weights, np.ones((1, N), np.float32)])
    found = WeightedScores(p, labels, 1)(weights)
    for metric in ("balanced_accuracy", "auc", "sensitivity", "specificity"):
        assert np.isnan(found[metric][:k]).all(), metric
        assert np.isfinite(found[metric][k]), metric
    for row in range(k):  # as of images that are not there
        there = labels != row
        plain = score(p[there], labels[there])
        for metric in METRICS:
            value = getattr(plain, metric)
            expected = np.nan if value is None else value
            assert found[metric][row] == pytest.approx(expected, abs=2e-5, nan_ok=True), metric


def test_reliability_by_hand() -> None:
    ones = np.asarray([0.05, 0.72, 0.78, 1.0, np.nan])
    p = np.stack([1 - ones, ones], axis=1)
    labels = np.asarray([0, 1, 0, 1, 1])
    stated, observed, counts = reliability(p, labels, 1)
    assert counts.tolist() == [1, 0, 0, 0, 0, 0, 0, 2, 0, 1]
    assert stated[[0, 7, 9]] == pytest.approx([0.05, 0.75, 1.0])
    assert observed[[0, 7, 9]].tolist() == [0, 0.5, 1]
    three, labels = predictions(3, ties=False)
    stated, observed, counts = reliability(np.stack([three, three]), labels, None)
    assert counts.sum() == 2 * N
    assert np.nanmin(stated) >= 1 / 3  # of the most probable class
    right = (three.argmax(axis=1) == labels).mean()
    assert np.nansum(observed * counts) / counts.sum() == pytest.approx(right)
