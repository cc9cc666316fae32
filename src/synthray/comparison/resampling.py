"""Scores of a comparison, as measured and on resampled images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from synthray.comparison.metrics import Scores
from synthray.comparison.weighted import WeightedScores

METRICS = tuple(field.name for field in fields(Scores))
_BLOCK = 250


@dataclass(frozen=True, eq=False)
class Resampled:
    """Scores of every arm.

    Attributes:
        measured: Arm to metric to values as measured, shape `(n_seeds, n_folds)`; NaN where one is
            not defined.
        drawn: Arm to metric to values on resampled images, each the mean over seeds and folds,
            shape `(n_resamples,)`. Row r is the same draw of images for every arm.
        n_groups: Number of groups that were drawn from.
    """

    measured: Mapping[str, Mapping[str, NDArray[np.float64]]]
    drawn: Mapping[str, Mapping[str, NDArray[np.float64]]]
    n_groups: int


def resample(
    probabilities: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    folds: NDArray[np.int64],
    *,
    positive_class: int,
    n_resamples: int,
    seed: int,
) -> Resampled:
    """Draw groups with replacement, within each fold, and score every arm on each draw.

    The bootstrap of clusters (Field & Welsh 2007): images of one patient or of one radiograph come
    and go together, for they are not independent. Scores are computed within each fold and seed and
    averaged, since outputs of different models need not be on one scale.

    Args:
        probabilities: Arm to predictions, shape `(n_seeds, n_images, num_classes)`.
        labels: True classes, shape `(n_images,)`.
        groups: Groups, `0 ... k - 1`, shape `(n_images,)`.
        folds: Folds in which images were judged, shape `(n_images,)`.
        positive_class: For two classes, the one whose recall is the sensitivity.
        n_resamples: How many draws.
        seed: Of the draws.
    """
    numbers = np.unique(folds)
    n_seeds = len(next(iter(probabilities.values())))
    shape = (n_seeds, len(numbers))
    measured = {a: {m: np.full(shape, np.nan) for m in METRICS} for a in probabilities}
    drawn = {a: {m: np.zeros(n_resamples) for m in METRICS} for a in probabilities}
    rng = np.random.default_rng(seed)
    for place, fold in enumerate(numbers):
        inside = folds == fold
        codes = np.unique(groups[inside], return_inverse=True)[1]
        scorers = {
            (arm, s): _scorer(p[s, inside], labels[inside], positive_class)
            for arm, p in probabilities.items()
            for s in range(n_seeds)
        }
        for (arm, s), scorer in scorers.items():
            if scorer is not None:
                ones = np.ones((1, len(codes)), np.float32)
                for metric, value in scorer(ones).items():
                    measured[arm][metric][s, place] = value[0]
        for start in range(0, n_resamples, _BLOCK):
            count = min(_BLOCK, n_resamples - start)
            n = codes.max() + 1
            counts = rng.multinomial(n, np.full(n, 1 / n), size=count)
            weights = counts[:, codes].astype(np.float32)
            for (arm, _), scorer in scorers.items():
                part = drawn[arm]
                found = {m: np.nan for m in METRICS} if scorer is None else scorer(weights)
                for metric, values in found.items():
                    part[metric][start : start + count] += values / (n_seeds * len(numbers))
    return Resampled(measured, drawn, len(np.unique(groups)))


def _scorer(
    p: NDArray[np.float32], labels: NDArray[np.int64], positive_class: int
) -> WeightedScores | None:
    """Return what scores; `None` for predictions that are not finite."""
    return WeightedScores(p, labels, positive_class) if np.isfinite(p).all() else None
