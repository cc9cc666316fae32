"""Scores of one set of predictions (scikit-learn underneath)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

EPSILON = 1e-7  # as in Keras' cross-entropies
BINS = 10


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


HEADINGS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "loss": "cross-entropy",
}
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
    from sklearn import metrics

    p = np.asarray(probabilities, np.float64)
    if not np.isfinite(p).all() or not len(p):
        return Scores()
    classes = np.arange(p.shape[1])
    predicted = p.argmax(axis=1)
    given = p
    p = np.clip(p, EPSILON, 1.0 - EPSILON)
    p /= p.sum(axis=1, keepdims=True)
    tables = metrics.multilabel_confusion_matrix(labels, predicted, labels=classes)
    if len(classes) == 2:
        tables = tables[[positive_class]]
    complete = len(np.unique(labels)) == len(classes)
    auc = None
    if complete:
        many = len(classes) > 2
        auc = metrics.roc_auc_score(labels, given if many else given[:, 1], multi_class="ovr")
    truth = np.eye(len(classes))[labels]
    balanced = metrics.balanced_accuracy_score(labels, predicted) if complete else None
    return Scores(
        accuracy=float(metrics.accuracy_score(labels, predicted)),
        balanced_accuracy=None if balanced is None else float(balanced),
        auc=None if auc is None else float(auc),
        sensitivity=_rate(tables[:, 1, 1], tables[:, 1, 0]) if complete else None,
        specificity=_rate(tables[:, 0, 0], tables[:, 0, 1]) if complete else None,
        brier=float(((given - truth) ** 2).sum(axis=1).mean() / (2 if len(classes) == 2 else 1)),
        calibration_error=_calibration_error(given, labels, positive_class),
        loss=float(metrics.log_loss(labels, p, labels=classes)),
    )


def _calibration_error(p: NDArray[Any], labels: NDArray[np.int64], positive_class: int) -> float:
    if p.shape[1] == 2:
        sure, right = p[:, positive_class], labels == positive_class
    else:
        sure, right = p.max(axis=1), labels == p.argmax(axis=1)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, sure - right)).sum() / len(p))


def accuracy_standard_error(accuracy: float, n: int) -> float:
    """Return the standard error of a share measured on `n` independent images."""
    return math.sqrt(accuracy * (1.0 - accuracy) / n)


def _rate(hits: NDArray[Any], misses: NDArray[Any]) -> float:
    return float(np.mean(hits / (hits + misses)))
