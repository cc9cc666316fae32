"""Scores of predictions, for one weighting of the images or for many at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
_EPSILON = 1e-7  # as in Keras' cross-entropies
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """How well predictions fit the true classes.

    A score is `None` where it is not defined: without test images of every class, or with
    predictions that are not finite.

    Attributes:
        accuracy: Share of images whose most probable class is the true one.
        balanced_accuracy: Mean over classes of the share of their images that are found.
        auc: Area under the ROC curve. For more than two classes, the mean over classes of one
            against the rest.
        sensitivity: Share of the images of the positive class that are found. For more than two
            classes, the mean over classes of each as the positive one.
        specificity: Share of the images of the other class that are cleared. For more than two
            classes, the mean over classes of each as the positive one against the rest.
        brier: Mean squared error of the probabilities (Brier 1950): for two classes that of one of
            them, 0 to 1; for more the sum over classes, 0 to 2.
        calibration_error: Expected calibration error (Guo et al. 2017, eq. 3): mean gap between
            probability and frequency over ten equal bins. For two classes of the positive class's
            probability, for more of the most probable class's.
        loss: Mean cross-entropy in nats.
    """

    accuracy: float | None = None
    balanced_accuracy: float | None = None
    auc: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    brier: float | None = None
    calibration_error: float | None = None
    loss: float | None = None


METRICS = tuple(each.name for each in fields(Scores))
HEADINGS = {name: name.replace("_", " ") for name in METRICS}
HEADINGS |= {"auc": "AUC", "brier": "Brier score", "loss": "cross-entropy"}
LOWER_IS_BETTER = ("brier", "calibration_error", "loss")


def score(
    probabilities: NDArray[Any], labels: NDArray[np.int64], *, positive_class: int = 1
) -> Scores:
    """Score predictions.

    Args:
        probabilities: Shape `(n, num_classes)`, rows sum to 1.
        labels: True classes, integers, shape `(n,)`.
        positive_class: For two classes, the one whose recall is the sensitivity.
    """
    if not len(labels) or not np.isfinite(probabilities).all():
        return Scores()
    found = WeightedScores(probabilities, labels, positive_class)(np.ones((1, len(labels))))
    return Scores(**{k: float(v[0]) if np.isfinite(v[0]) else None for k, v in found.items()})


class WeightedScores:
    """Every metric of `Scores`, for weights of shape `(r, n)`, as arrays of shape `(r,)`.

    What does not depend on the weights is computed once. Equal to scikit-learn's weighted metrics,
    which take one weighting at a time. A value is NaN where a class has no weight.

    Args:
        probabilities: Shape `(n, num_classes)`, rows sum to 1, finite.
        labels: True classes, shape `(n,)`.
        positive_class: For two classes, the one whose recall is the sensitivity.
    """

    def __init__(
        self, probabilities: NDArray[Any], labels: NDArray[np.int64], positive_class: int
    ) -> None:
        p = np.asarray(probabilities, np.float64)
        k = p.shape[1]
        truth = np.asarray(labels)[:, None] == np.arange(k)
        found = p.argmax(axis=1)[:, None] == np.arange(k)
        self._positive = positive_class if k == 2 else None
        clipped = np.clip(p, _EPSILON, 1.0 - _EPSILON)
        clipped /= clipped.sum(axis=1, keepdims=True)
        # For two classes the two squared errors are equal: one of them is the score.
        squared = ((p - truth) ** 2).sum(axis=1) / (2 if k == 2 else 1)
        stated, right = _stated(p, labels, self._positive)
        gaps = (stated - right)[:, None] * (_bin_of(stated)[:, None] == np.arange(BINS))
        # All sums of weights that scores are made of, as one product of matrices.
        loss = -np.log(clipped[truth])
        columns = [truth, truth & found, found, gaps, squared[:, None], loss[:, None]]
        self._columns = np.hstack(columns).astype(np.float32)
        self._ends = np.cumsum([part.shape[1] for part in columns])[:-1]
        ranked = [1] if k == 2 else range(k)
        self._areas = [_AreaUnderCurve(p[:, c], truth[:, c]) for c in ranked]

    def __call__(self, weights: NDArray[Any]) -> dict[str, Floats]:
        """Return the value of each metric for each weighting."""
        total = weights.sum(axis=1)
        sums = np.split(weights @ self._columns, self._ends, axis=1)
        of_class, hits, called, gaps, squared, loss = sums
        by_image = np.ascontiguousarray(weights.T)
        with np.errstate(invalid="ignore", divide="ignore"):
            # Without images of every class, no rate of one class alone either.
            complete = np.where((of_class > 0).all(axis=1), 1.0, np.nan)
            recall = hits / of_class
            others = total[:, None] - of_class
            values = {
                "accuracy": hits.sum(axis=1) / total,
                "balanced_accuracy": recall.mean(axis=1),
                "auc": np.mean([area(by_image) for area in self._areas], axis=0),
                "sensitivity": self._one_or_mean(recall) * complete,
                "specificity": self._one_or_mean((others - called + hits) / others) * complete,
                "brier": squared[:, 0] / total,
                "calibration_error": np.abs(gaps).sum(axis=1) / total,
                "loss": loss[:, 0] / total,
            }
        return {name: np.asarray(value, np.float64) for name, value in values.items()}

    def _one_or_mean(self, rates: NDArray[Any]) -> NDArray[Any]:
        return rates.mean(axis=1) if self._positive is None else rates[:, self._positive]


class _AreaUnderCurve:
    """The area under the ROC curve: the weighted share of pairs in the right order, ties half."""

    def __init__(self, scores: Floats, truth: NDArray[np.bool_]) -> None:
        order = np.argsort(scores, kind="stable")
        ordered, positive = scores[order], truth[order]
        self._up, self._down = order[positive], order[~positive]
        # For each positive image: how many negative ones score less, and how many no more.
        self._less, self._no_more = (
            np.searchsorted(ordered[~positive], ordered[positive], side)
            for side in ("left", "right")
        )

    def __call__(self, weights: NDArray[Any]) -> Floats:
        """Return the area for weights of shape `(n, r)`."""
        ups, downs = weights[self._up], weights[self._down]
        below = np.zeros((len(downs) + 1, weights.shape[1]), np.float32)
        np.cumsum(downs, axis=0, out=below[1:])
        pairs = np.einsum("ir,ir->r", ups, below[self._less])
        if (self._less != self._no_more).any():
            pairs = (pairs + np.einsum("ir,ir->r", ups, below[self._no_more])) / 2
        return np.asarray(pairs, np.float64) / (ups.sum(axis=0) * below[-1])


def reliability(
    probabilities: NDArray[Any], labels: NDArray[np.int64], positive: int | None
) -> tuple[Floats, Floats, Floats]:
    """Return mean stated probability, observed share and number of images of each bin.

    Args:
        probabilities: Shape `(..., n, num_classes)`; what is not finite is left out.
        labels: True classes, shape `(n,)`.
        positive: The class whose probability counts; `None` for that of the most probable class.
    """
    p = np.asarray(probabilities, np.float64)
    stated, right = _stated(p, labels, positive)
    finite = np.isfinite(stated)
    bins = _bin_of(stated[finite])
    counts, sums, hits = (
        np.bincount(bins, weights, BINS)
        for weights in (None, stated[finite], right[finite].astype(np.float64))
    )
    with np.errstate(invalid="ignore"):
        return sums / counts, hits / counts, counts.astype(np.float64)


def _stated(
    p: Floats, labels: NDArray[np.int64], positive: int | None
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the probability that calibration is about, and whether it came true."""
    if positive is None:
        return p.max(axis=-1), p.argmax(axis=-1) == labels
    return p[..., positive], np.broadcast_to(labels == positive, p.shape[:-1])


def _bin_of(stated: Floats) -> NDArray[np.int64]:
    return np.minimum((stated * BINS).astype(np.int64), BINS - 1)
