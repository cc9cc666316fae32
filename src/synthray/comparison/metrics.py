"""Scores of one set of predictions (scikit-learn underneath)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EPSILON = 1e-7  # as in Keras' cross-entropies


@dataclass(frozen=True)
class Scores:
    """How well predictions fit the true classes.

    A score is `None` where it is not defined: without test images of every class, or with
    predictions that are not finite.

    Attributes:
        accuracy: Share of images whose most probable class is the true one.
        loss: Mean cross-entropy in nats.
        auc: Area under the ROC curve. For more than two classes, the mean over classes of one
            against the rest.
        sensitivity: Share of the images of the positive class that are found. For more than two
            classes, the mean over classes of each as the positive one.
        specificity: Share of the images of the other class that are cleared. For more than two
            classes, the mean over classes of each as the positive one against the rest.
    """

    accuracy: float | None = None
    loss: float | None = None
    auc: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None


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
    p = np.clip(p, _EPSILON, 1.0 - _EPSILON)
    p /= p.sum(axis=1, keepdims=True)
    tables = metrics.multilabel_confusion_matrix(labels, predicted, labels=classes)
    if len(classes) == 2:
        tables = tables[[positive_class]]
    complete = len(np.unique(labels)) == len(classes)
    auc = None
    if complete:
        many = len(classes) > 2
        auc = metrics.roc_auc_score(labels, p if many else p[:, 1], multi_class="ovr")
    return Scores(
        accuracy=float(metrics.accuracy_score(labels, predicted)),
        loss=float(metrics.log_loss(labels, p, labels=classes)),
        auc=None if auc is None else float(auc),
        sensitivity=_rate(tables[:, 1, 1], tables[:, 1, 0]) if complete else None,
        specificity=_rate(tables[:, 0, 0], tables[:, 0, 1]) if complete else None,
    )


def accuracy_standard_error(accuracy: float, n: int) -> float:
    """Return the standard error of a share measured on `n` independent images."""
    return math.sqrt(accuracy * (1.0 - accuracy) / n)


def _rate(hits: NDArray[Any], misses: NDArray[Any]) -> float:
    return float(np.mean(hits / (hits + misses)))
