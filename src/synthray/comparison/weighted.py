"""Scores of one set of predictions under many weightings of its images at once."""

from __future__ import annotations

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
        truth = labels[:, None] == np.arange(k)
        found = p.argmax(axis=1)[:, None] == np.arange(k)
        self._positive = positive_class if k == 2 else None
        clipped = np.clip(p, EPSILON, 1.0 - EPSILON)
        clipped /= clipped.sum(axis=1, keepdims=True)
        # For two classes the two squared errors are equal: one of them is the score.
        squared = ((p - truth) ** 2).sum(axis=1) / (2 if k == 2 else 1)
        if k == 2:
            sure, right = p[:, positive_class], truth[:, positive_class]
        else:
            sure, right = p.max(axis=1), (found & truth).any(axis=1)
        bins = np.minimum((sure * BINS).astype(int), BINS - 1)
        gaps = (sure - right)[:, None] * (bins[:, None] == np.arange(BINS))
        # All sums of weights that scores are made of, as one product of matrices.
        columns = [
            truth,
            truth & found,
            found,
            gaps,
            squared[:, None],
            -np.log(clipped[truth])[:, None],
        ]
        self._columns = np.hstack(columns).astype(np.float32)
        self._ends = np.cumsum([part.shape[1] for part in columns])[:-1]
        ranked = [1] if k == 2 else list(range(k))
        self._ranks = [_Ranks(p[:, c], truth[:, c]) for c in ranked]

    def __call__(self, weights: Weights) -> dict[str, Values]:
        """Return the value of each metric for each weighting."""
        total = weights.sum(axis=1)
        sums = np.split(weights @ self._columns, self._ends, axis=1)
        of_class, hits, called, gaps, squared, loss = sums
        by_image = np.ascontiguousarray(weights.T)
        with np.errstate(invalid="ignore", divide="ignore"):
            # As in `score`: without images of every class, no rate of one class alone either.
            complete = np.where((of_class > 0).all(axis=1), 1.0, np.nan)
            recall = hits / of_class
            others = total[:, None] - of_class
            values = {
                "accuracy": hits.sum(axis=1) / total,
                "balanced_accuracy": recall.mean(axis=1),
                "auc": np.mean([ranks(by_image) for ranks in self._ranks], axis=0),
                "sensitivity": self._one_or_mean(recall) * complete,
                "specificity": self._one_or_mean((others - called + hits) / others) * complete,
                "brier": squared[:, 0] / total,
                "calibration_error": np.abs(gaps).sum(axis=1) / total,
                "loss": loss[:, 0] / total,
            }
        return {name: np.asarray(value, np.float64) for name, value in values.items()}

    def _one_or_mean(self, rates: NDArray[np.float32]) -> NDArray[np.float32]:
        return rates.mean(axis=1) if self._positive is None else rates[:, self._positive]


class _Ranks:
    """The area under the ROC curve: the weighted share of pairs in the right order, ties half."""

    def __init__(self, score: Values, truth: NDArray[np.bool_]) -> None:
        order = np.argsort(score, kind="stable")
        ordered, positive = score[order], truth[order]
        self._up, self._down = order[positive], order[~positive]
        lower = ordered[~positive]
        # For each positive image: how many negative ones score less, and how many no more.
        self._less = np.searchsorted(lower, ordered[positive], side="left")
        self._no_more = np.searchsorted(lower, ordered[positive], side="right")

    def __call__(self, weights: Weights) -> Values:
        """Return the area for weights of shape `(n, r)`."""
        ups, downs = weights[self._up], weights[self._down]
        below = np.zeros((len(downs) + 1, weights.shape[1]), np.float32)
        np.cumsum(downs, axis=0, out=below[1:])
        pairs = np.einsum("ir,ir->r", ups, below[self._less])
        if (self._less != self._no_more).any():
            pairs = (pairs + np.einsum("ir,ir->r", ups, below[self._no_more])) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(pairs, np.float64) / (ups.sum(axis=0) * below[-1])
