"""The bootstrap of image groups that all intervals rest on, and the error that it gives a mean."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray.statistics.metrics import METRICS, Floats, WeightedScores
from synthray.statistics.verdicts import Interval

_BLOCK = 250
_MOST = {"brier": 2.0, "loss": math.inf}  # the largest value; of all others, 1


@dataclass(frozen=True, eq=False)
class Resampled:
    """Scores of every arm.

    Attributes:
        measured: Arm to metric to values as measured, shape `(n_seeds, n_folds)`; NaN where one is
            not defined.
        replicates: Arm to metric to values on resampled images, each the mean over folds, shape
            `(n_seeds, n_resamples)`. Column r is the same draw of images for every arm and seed.
        n_groups: Number of groups.
        freedom: Degrees of freedom of the variance of `replicates`: the effective number of
            groups less the folds within which they are resampled.
        inflation: Factor that makes this variance unbiased, `n / (n - n_strata)`.
    """

    measured: Mapping[str, Mapping[str, Floats]]
    replicates: Mapping[str, Mapping[str, Floats]]
    n_groups: int
    freedom: float
    inflation: float


@dataclass(frozen=True)
class Spread:
    """How far a mean over folds and seeds may lie from the truth by chance.

    Attributes:
        images: Variance from the choice of images; NaN where it cannot be known.
        training: Variance from training; `None` where there was one training alone.
        freedom: Degrees of freedom of their sum.
        between: Variance of the mean from what seeds differ by within folds alone.
        between_freedom: Its degrees of freedom; 0 for one seed.
    """

    images: float
    training: float | None
    freedom: float
    between: float = 0.0
    between_freedom: int = 0

    @property
    def error(self) -> float:
        """The standard error: the root of both variances."""
        return math.sqrt(self.images + (self.training or 0.0))

    @property
    def images_share(self) -> float:
        """What part of the variance more images would lower, 0 to 1."""
        return self.images / self.error**2 if self.error else 1.0

    def reach(self, alpha: float) -> float:
        """Return half the width of the interval of confidence `1 - alpha`.

        With few seeds, chance in training can hide in its own estimate: the interval is at least
        that of a t test over seeds.
        """
        from scipy.stats import t

        reach = float(t.isf(alpha / 2, self.freedom)) * self.error
        if not self.between_freedom:
            return reach
        return max(reach, float(t.isf(alpha / 2, self.between_freedom)) * math.sqrt(self.between))

    def p_value(self, value: float, *, without: float) -> float:
        """Return the two-sided p of a difference: the level at which `reach` comes up to it.

        Args:
            value: The difference.
            without: The p where there is no spread at all and the difference is not zero.
        """
        from scipy.stats import t

        if self.error == 0:
            return 1.0 if value == 0 else without
        p = 2 * t.sf(abs(value) / self.error, self.freedom)
        if self.between_freedom and self.between > 0:
            p = max(p, 2 * t.sf(abs(value) / math.sqrt(self.between), self.between_freedom))
        return float(p)


def resample(
    probabilities: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.int64],
    groups: NDArray[Any] | None,
    folds: NDArray[np.int64],
    *,
    positive_class: int,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Resampled:
    """Draw groups with replacement, within each fold, and score every arm on each draw.

    The bootstrap of clusters (Field & Welsh 2007): images of one patient or of one radiograph are
    not independent, so each draw takes all of them or none. Scores are computed within each fold
    and seed and averaged, since outputs of different models need not be on one scale. Groups that
    lie in several folds are resampled for all of them at once.

    Args:
        probabilities: Arm to predictions, shape `(n_seeds, n_images, num_classes)`.
        labels: True classes, shape `(n_images,)`.
        groups: Group of each image, shape `(n_images,)`; `None` if all stand alone.
        folds: Folds in which images were judged, shape `(n_images,)`.
        positive_class: For two classes, the one whose recall is the sensitivity.
        n_resamples: How many draws.
        seed: Of the draws.

    References:
        C. A. Field and A. H. Welsh, "Bootstrapping clustered data", *J. R. Statist. Soc. B* 69,
        369-390, 2007.
    """
    numbers, place = np.unique(folds, return_inverse=True)
    n_seeds, n_folds = len(next(iter(probabilities.values()))), len(numbers)
    inside = [place == k for k in range(n_folds)]
    if groups is None:
        groups = np.arange(len(labels))
    groups = np.unique(groups, return_inverse=True)[1]
    measured = {a: {m: np.full((n_seeds, n_folds), np.nan) for m in METRICS} for a in probabilities}
    replicates = {a: {m: np.zeros((n_seeds, n_resamples)) for m in METRICS} for a in probabilities}
    scorers = {}
    for arm, s, k in itertools.product(probabilities, range(n_seeds), range(n_folds)):
        p = probabilities[arm][s, inside[k]]
        if not np.isfinite(p).all():
            for values in replicates[arm].values():
                values[s] = np.nan
            continue
        scorers[arm, s, k] = WeightedScores(p, labels[inside[k]], positive_class)
        for metric, value in scorers[arm, s, k](np.ones((1, len(p)))).items():
            measured[arm][metric][s, k] = value[0]
    strata = _strata(groups, place)
    rng = np.random.default_rng(seed)
    for start in range(0, n_resamples, _BLOCK):
        part = slice(start, min(start + _BLOCK, n_resamples))
        counts = np.empty((part.stop - start, len(strata)), np.float32)
        for stratum in np.unique(strata):
            members = np.flatnonzero(strata == stratum)
            n = len(members)
            counts[:, members] = rng.multinomial(n, np.full(n, 1 / n), size=len(counts))
        weights = [counts[:, groups[rows]] for rows in inside]
        for (arm, s, k), scorer in scorers.items():
            for metric, values in scorer(weights[k]).items():
                replicates[arm][metric][s, part] += values / n_folds
    sizes = np.bincount(groups)
    n_strata = len(np.unique(strata))
    # Groups of unequal size know less than as many equal ones: Kish's effective number.
    effective = sizes.sum() ** 2 / (sizes**2).sum()
    spare = len(sizes) - n_strata
    return Resampled(
        measured,
        replicates,
        n_groups=len(sizes),
        freedom=max(1.0, float(effective) - n_strata),
        inflation=len(sizes) / spare if spare else math.nan,
    )


def spread(measured: Floats, replicates: Floats, resampled: Resampled) -> Spread:
    """Return the error of a mean over folds and seeds, from images and from training.

    Seeds and images are crossed: every seed judges the same images. What the seeds of a fold differ
    by is chance in training, and what images and seeds make together, which is in the variance over
    draws of images already; it is estimated from the draws and counted once. Trainings on different
    folds are taken as independent. With one seed, folds take the place of seeds. The degrees of
    freedom are Satterthwaite's (1946).

    Args:
        measured: Values, shape `(n_seeds, n_folds)`.
        replicates: Means over folds on resampled images, shape `(n_seeds, n_resamples)`.
        resampled: What the draws belong to.
    """
    finite = replicates[:, np.isfinite(replicates).all(axis=0)]
    if 2 * finite.shape[1] < max(4, replicates.shape[1]):  # mostly without images of every class
        return Spread(math.nan, None, 1.0)
    n_seeds, n_folds = measured.shape
    mean = finite.mean(axis=0)
    images = float(mean.var(ddof=1)) * resampled.inflation
    if n_seeds > 1:
        between = float(measured.var(axis=0, ddof=1).mean()) / measured.size
        freedom = n_folds * (n_seeds - 1)
        together = float((finite - mean).var(axis=1, ddof=1).sum()) / (n_seeds * (n_seeds - 1))
        together *= resampled.inflation
    elif n_folds > 1:
        between = float(measured.var(ddof=1)) / n_folds
        freedom, together = n_folds - 1, images
    else:
        return Spread(images, None, resampled.freedom)
    training = max(0.0, between - together)
    total = images + training
    doubt = images**2 / resampled.freedom + between**2 / freedom
    joint = max(1.0, total**2 / doubt) if doubt else resampled.freedom
    if n_seeds == 1:
        return Spread(images, training, joint)
    return Spread(images, training, joint, between, freedom)


def interval(resampled: Resampled, arm: str, metric: str, alpha: float) -> Interval:
    """Return the interval of an arm's score: percentiles, expanded (Hesterberg 2015).

    It is as skewed as the draws and reaches as far as `Spread.reach`. It is centred on the measured
    value, since some scores, the calibration error above all, come out higher on resampled images.

    Args:
        resampled: Scores of all arms.
        arm: The arm.
        metric: The score.
        alpha: One less the confidence.

    References:
        T. C. Hesterberg, "What teachers should know about the bootstrap", *The American
        Statistician* 69, 371-386, 2015.
    """
    measured, replicates = resampled.measured[arm][metric], resampled.replicates[arm][metric]
    value = float(measured.mean())
    if not math.isfinite(value):
        return Interval(None, None, None)
    chance = spread(measured, replicates, resampled)
    if math.isnan(chance.error):
        return Interval(value, None, None)
    draws = replicates.mean(axis=0)
    draws = draws[np.isfinite(draws)] - np.nanmean(draws)
    ends = np.abs(np.quantile(draws, [alpha / 2, 1 - alpha / 2]))
    low, high = ends / ends.mean() if ends.mean() > 0 else (1.0, 1.0)
    reach = chance.reach(alpha)
    most = _MOST.get(metric, 1.0)
    return Interval(value, max(0.0, value - reach * low), min(most, value + reach * high))


def _strata(groups: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fold of each group; zeros where any group lies in several."""
    first = np.full(groups.max() + 1, -1)
    first[groups] = place
    return first if (first[groups] == place).all() else np.zeros_like(first)
