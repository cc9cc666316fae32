"""Intervals and tests for the arms of a comparison (SciPy underneath)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray.statistics.metrics import METRICS, Floats
from synthray.statistics.resampling import Resampled, Spread, interval, resample, spread
from synthray.statistics.verdicts import Difference, Statistics, decide, needed_images

_POWER = 0.8


def compare_arms(
    probabilities: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.int64],
    *,
    groups: NDArray[Any] | None = None,
    folds: NDArray[np.int64] | None = None,
    baseline: str | None = None,
    metric: str = "balanced_accuracy",
    positive_class: int = 1,
    test_to_train: float | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
    resampled: Resampled | None = None,
) -> Statistics:
    """Compare every arm with a baseline, trained and judged on the same folds and seeds.

    Chance enters twice: in the choice of the test images, and in training. Intervals include both:
    groups of images are resampled with replacement (a bootstrap of clusters), and the additional
    variance between seeds is added (with one seed, that between folds). The verdict rests on this
    bootstrap; with folds also on the corrected resampled t test, which allows for training sets
    that overlap (Nadeau & Bengio 2003): both must find the difference, so the error rate is that of
    the stricter one. One training of each arm on one test set gives no verdict: it does not show
    how much a repeat would differ.

    Every metric is computed within each fold and seed and averaged, because outputs of different
    models need not be on one scale. Where it is not defined in one of them (a fold without images
    of every class, a training that diverged), it is `None` for the arm.

    Args:
        probabilities: Arm to predictions, shape `(n_seeds, n_images, num_classes)`, rows sum to 1.
        labels: True classes, shape `(n_images,)`.
        groups: Patient or duplicate cluster of each image, shape `(n_images,)`; `None` if all
            stand alone.
        folds: Fold in which each image was judged, shape `(n_images,)`; `None` for one test set.
        baseline: The arm to compare with; by default `"original"`, else the first.
        metric: A field of [`Scores`][synthray.Scores].
        positive_class: For two classes, the one whose recall is the sensitivity.
        test_to_train: Test images for each training image, of the corrected t test; by default
            `1 / (n_folds - 1)`.
        confidence: Of the intervals; tests are at the level `1 - confidence`.
        n_resamples: Resamples of the bootstrap, at least 100.
        seed: Seed of the bootstrap.
        resampled: The result of `resample` for the same predictions, to save time.

    Raises:
        ValueError: If shapes do not fit, or an argument is unknown or out of range.

    Examples:
        >>> import numpy as np
        >>> from synthray.statistics.compare import compare_arms
        >>> rng = np.random.default_rng(0)
        >>> labels = np.arange(400) % 2
        >>> def guess(skill):
        ...     p = 1 / (1 + np.exp(-skill * (2 * labels - 1) - rng.normal(size=(3, 400))))
        ...     return np.stack([1 - p, p], axis=2)
        >>> found = compare_arms({"original": guess(0.3), "better": guess(1.5)}, labels)
        >>> found.differences["better"].verdict
        'better'
    """
    labels = np.asarray(labels)
    n = len(labels)
    folds = np.zeros(n, np.int64) if folds is None else np.asarray(folds)
    arms = list(probabilities)
    _check(probabilities, labels, groups, folds, positive_class)
    _check_settings(metric, confidence, n_resamples)
    if baseline is None:
        baseline = "original" if "original" in arms else arms[0]
    if baseline not in arms:
        raise ValueError(f"baseline must be one of the arms {arms}, got {baseline!r}.")
    if resampled is None:
        resampled = resample(
            probabilities,
            labels,
            groups,
            folds,
            positive_class=positive_class,
            n_resamples=n_resamples,
            seed=seed,
        )
    measured, replicates = resampled.measured, resampled.replicates
    n_seeds, n_folds = measured[baseline][metric].shape
    alpha = 1 - confidence
    if n_folds == 1:
        test_to_train = None
    elif test_to_train is None:
        test_to_train = 1 / (n_folds - 1)
    rivals = [arm for arm in arms if arm != baseline]
    tested = []
    for arm in rivals:
        pairs = measured[arm][metric] - measured[baseline][metric]
        chance = spread(pairs, replicates[arm][metric] - replicates[baseline][metric], resampled)
        found = _estimate(pairs, chance, alpha, resampled.n_groups)
        p_bootstrap, p_corrected = found["p_bootstrap"], corrected_t(pairs.ravel(), test_to_train)
        p_value = None
        if p_bootstrap is not None and chance.training is not None:
            # A verdict that needs both tests goes by the larger p (Berger 1982).
            p_value = max(p_bootstrap, p_corrected or 0.0)
        found |= {"p_corrected_t": p_corrected, "p_value": p_value}
        threshold = _threshold(pairs, chance, test_to_train, alpha / len(rivals))
        tested.append((arm, found, threshold, chance.images_share))
    differences = {}
    adjusted = holm([found["p_value"] for _, found, _, _ in tested])
    for (arm, found, threshold, share), p_holm in zip(tested, adjusted, strict=True):
        verdict = decide(found["low"], found["high"], p_holm, alpha, metric)
        # Where Holm's later steps find it, it may lie below the threshold of the first.
        needed = None
        if verdict not in ("better", "worse"):
            needed = needed_images(found["difference"], threshold, share, n)
        differences[arm] = Difference(
            arm=arm,
            baseline=baseline,
            metric=metric,
            **found,
            p_holm=p_holm,
            detectable=None if threshold is None else threshold[1],
            needed_images=needed,
            verdict=verdict,
        )
    return Statistics(
        metric=metric,
        baseline=baseline,
        confidence=confidence,
        n_images=n,
        n_groups=resampled.n_groups,
        n_folds=n_folds,
        n_seeds=n_seeds,
        intervals={
            arm: {name: interval(resampled, arm, name, alpha) for name in METRICS} for arm in arms
        },
        differences=differences,
    )


def holm(p_values: list[float | None]) -> list[float | None]:
    """Return p-values corrected for their number (Holm 1979); `None` stays and does not count."""
    known = [(p, at) for at, p in enumerate(p_values) if p is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, at) in enumerate(sorted(known)):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        adjusted[at] = largest
    return adjusted


def corrected_t(pairs: Floats, test_to_train: float | None) -> float | None:
    """Return the two-sided p of the corrected resampled t test (Nadeau & Bengio 2003).

    The variance of a mean over J overlapping training sets is taken as `(1 / J + test_to_train)`
    times that of one difference, where independence would give `1 / J`; J - 1 degrees of freedom.

    Args:
        pairs: A difference for each fold and seed.
        test_to_train: Test images for each training image.

    Returns:
        The p-value; `None` for fewer than two pairs, no ratio, or a pair that is not finite.

    References:
        C. Nadeau and Y. Bengio, "Inference for the generalization error", *Machine Learning* 52,
        239-281, 2003.
    """
    if len(pairs) < 2 or test_to_train is None or not np.isfinite(pairs).all():
        return None
    return _corrected(pairs, test_to_train).p_value(float(pairs.mean()), without=0.0)


def _estimate(
    pairs: Floats, chance: Spread, alpha: float, n_groups: int
) -> dict[str, float | None]:
    value = float(pairs.mean())
    known = math.isfinite(value)
    if not known or math.isnan(chance.error):
        only = value if known else None
        return {"difference": only, "low": None, "high": None, "p_bootstrap": None}
    reach = chance.reach(alpha)
    # Without any spread, as likely as that all groups fall on one side by chance.
    p = chance.p_value(value, without=2.0 ** (1 - n_groups))
    return {"difference": value, "low": value - reach, "high": value + reach, "p_bootstrap": p}


def _corrected(pairs: Floats, test_to_train: float) -> Spread:
    variance = (1 / pairs.size + test_to_train) * float(pairs.var(ddof=1))
    return Spread(variance, 0.0, pairs.size - 1)


def _threshold(
    pairs: Floats, chance: Spread, ratio: float | None, alpha: float
) -> tuple[float, float] | None:
    """Return the smallest significant difference, and the true one that 80 % of runs find."""
    from scipy.stats import t

    if chance.training is None or not np.isfinite(pairs).all() or not chance.error > 0:
        return None
    bound = chance.reach(alpha)
    if ratio is not None:
        bound = max(bound, _corrected(pairs, ratio).reach(alpha))
    return bound, bound + float(t.ppf(_POWER, chance.freedom)) * chance.error


def _check(
    probabilities: Mapping[str, NDArray[np.float32]],
    labels: NDArray[Any],
    groups: NDArray[Any] | None,
    folds: NDArray[Any],
    positive_class: int,
) -> None:
    if not probabilities:
        raise ValueError("There is no arm to compare: probabilities is empty.")
    n = len(labels)
    shapes = {arm: np.shape(p) for arm, p in probabilities.items()}
    first = next(iter(shapes.values()))
    if len(first) != 3 or first[1] != n or min(first) < 1 or set(shapes.values()) != {first}:
        raise ValueError(
            f"Expected predictions of shape (n_seeds, {n}, num_classes), the same for all arms, "
            f"got {shapes}."
        )
    k = first[2]
    if k < 2 or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= k:
        raise ValueError(f"Expected labels that are integers from 0 to {k - 1}, one a class.")
    if positive_class not in range(k):
        raise ValueError(f"positive_class must be a label from 0 to {k - 1}, got {positive_class}.")
    for name, column in (("groups", groups), ("folds", folds)):
        if column is not None and np.shape(column) != (n,):
            raise ValueError(f"Expected one value of {name} an image, {n}, got {np.shape(column)}.")


def _check_settings(metric: str, confidence: float, n_resamples: int) -> None:
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {METRICS}, got {metric!r}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}.")
    if n_resamples < 100:
        raise ValueError(f"n_resamples must be at least 100, got {n_resamples}.")
