"""Scores of one set of predictions under many weightings of its images at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from synthray.comparison.metrics import BINS, EPSILON

Weights = NDArray[np.float32]
Values = NDArray[np.float64]


class WeightedScores:
    """Every metric of `Scores`, for weights of shape `(r, n)`, as arrays of shape `(r,)`.

    What does not depend on the weights is computed once. Equal to scikit-learn's weighted metrics,
    which see one weighting at a time. A value is NaN where a class has no weight.

    Args:
        probabilities: Shape `(n, num_classes)`, rows sum to 1, finite.
        labels: True classes, shape `(n,)`.
        positive_class: For two classes, the one whose recall is the sensitivity.
    """

    def __init__(
        self, probabilities: NDArray[np.float32], labels: NDArray[np.int64], positive_class: int
    ) -> None:
        p = np.asarray(probabilities, np.float64)
        k = p.shape[1]
        self._truth = labels[:, None] == np.arange(k)  # (n, k)
        self._found = p.argmax(axis=1)[:, None] == np.arange(k)
        self._positive = positive_class if k == 2 else None
        clipped = np.clip(p, EPSILON, 1.0 - EPSILON)
        clipped /= clipped.sum(axis=1, keepdims=True)
        self._loss = -np.log(clipped[self._truth])
        # For two classes the two squared errors are equal: one of them is the score.
        self._squared = ((p - self._truth) ** 2).sum(axis=1) / (2 if k == 2 else 1)
        if k == 2:
            sure, right = p[:, positive_class], self._truth[:, positive_class]
        else:
            sure, right = p.max(axis=1), (self._found & self._truth).any(axis=1)
        bins = np.minimum((sure * BINS).astype(int), BINS - 1)
        self._gaps = (sure - right)[:, None] * (bins[:, None] == np.arange(BINS))
        columns = [1] if k == 2 else list(range(k))
        self._ranks = [_Ranks(p[:, c], self._truth[:, c]) for c in columns]

    def __call__(self, weights: Weights) -> dict[str, Values]:
        """Return the value of each metric for each weighting."""
        total = weights.sum(axis=1)
        of_class = weights @ self._truth.astype(np.float32)
        hits = weights @ (self._truth & self._found).astype(np.float32)
        called = weights @ self._found.astype(np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = hits / of_class
            clear = (total[:, None] - of_class - called + hits) / (total[:, None] - of_class)
            gaps = np.abs(weights @ self._gaps.astype(np.float32)).sum(axis=1)
            values = {
                "accuracy": hits.sum(axis=1) / total,
                "balanced_accuracy": recall.mean(axis=1),
                "auc": np.mean([ranks(weights) for ranks in self._ranks], axis=0),
                "sensitivity": self._one_or_mean(recall),
                "specificity": self._one_or_mean(clear),
                "brier": weights @ self._squared.astype(np.float32) / total,
                "calibration_error": gaps / total,
                "loss": weights @ self._loss.astype(np.float32) / total,
            }
        return {name: np.asarray(value, np.float64) for name, value in values.items()}

    def _one_or_mean(self, rates: NDArray[np.float32]) -> NDArray[np.float32]:
        return rates.mean(axis=1) if self._positive is None else rates[:, self._positive]


class _Ranks:
    """The area under the ROC curve: the weighted share of pairs in the right order, ties half."""

    def __init__(self, score: Values, truth: NDArray[np.bool_]) -> None:
        self._order = np.argsort(score, kind="stable")
        ordered = score[self._order]
        self._truth = truth[self._order].astype(np.float32)
        self._starts = np.flatnonzero(np.concatenate([[True], np.diff(ordered) > 0]))

    def __call__(self, weights: Weights) -> Values:
        ordered = weights[:, self._order]
        positive = ordered * self._truth
        add: Callable[..., NDArray[np.float32]] = np.add.reduceat
        ups = add(positive, self._starts, axis=1).astype(np.float64)
        downs = add(ordered - positive, self._starts, axis=1).astype(np.float64)
        below = np.cumsum(downs, axis=1) - downs / 2
        pairs = ups.sum(axis=1) * downs.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((ups * below).sum(axis=1) / pairs, np.float64)
