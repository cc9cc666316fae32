"""Intervals and tests for the arms of a comparison (SciPy underneath)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray.comparison.metrics import LOWER_IS_BETTER
from synthray.comparison.resampling import METRICS, Resampled, resample
from synthray.comparison.verdicts import Difference, Interval, Statistics, Verdict

Floats = NDArray[np.float64]

_POWER = 0.8
_EXACT_PAIRS = 14  # up to here all sign flips are gone through
_FLIPS = 20_000


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

    Two things are left to chance: which images judge, and training. Intervals hold both: groups of
    images are drawn anew (a bootstrap of clusters), and with several seeds a t distributed error of
    the mean over seeds is added. With folds the verdict rests on the corrected resampled t test,
    which allows for training sets that overlap (Nadeau & Bengio 2003, section 3); with one test
    set, on the bootstrap.

    Args:
        probabilities: Arm to predictions, shape `(n_seeds, n_images, num_classes)`, rows sum to 1.
        labels: True classes, shape `(n_images,)`.
        groups: Patient or family of each image, shape `(n_images,)`; `None` if all stand alone.
        folds: Fold in which each image was judged, shape `(n_images,)`; `None` for one test set.
        baseline: The arm to compare with; by default `"original"`, else the first.
        metric: A field of [`Scores`][synthray.Scores].
        positive_class: For two classes, the one whose recall is the sensitivity.
        test_to_train: Test images for each training image, of the corrected t test; by default
            `1 / (n_folds - 1)`.
        confidence: Of the intervals; tests are at the level `1 - confidence`.
        n_resamples: Draws of the bootstrap.
        seed: Seed of the draws.
        resampled: What `resample` gave for the same predictions, to be used again.

    Raises:
        ValueError: If shapes do not fit, or metric or baseline are unknown.

    Examples:
        >>> import numpy as np
        >>> from synthray.comparison.statistics import compare_arms
        >>> rng = np.random.default_rng(0)
        >>> labels = np.arange(400) % 2
        >>> def guess(skill):
        ...     p = 1 / (1 + np.exp(-skill * (2 * labels - 1) - rng.normal(size=(3, 400))))
        ...     return np.stack([1 - p, p], axis=2)
        >>> found = compare_arms({"original": guess(0.3), "better": guess(1.5)}, labels)
        >>> found.differences["better"].verdict
        'better'
    """
    labels = np.asarray(labels, np.int64)
    n = len(labels)
    folds = np.zeros(n, np.int64) if folds is None else np.asarray(folds)
    codes = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    _check(probabilities, labels, codes, folds, metric, confidence)
    arms = list(probabilities)
    if baseline is None:
        baseline = "original" if "original" in arms else arms[0]
    if baseline not in arms:
        raise ValueError(f"baseline must be one of the arms {arms}, got {baseline!r}.")
    n_seeds = len(probabilities[baseline])
    n_folds = len(np.unique(folds))
    if resampled is None:
        resampled = resample(
            probabilities,
            labels,
            codes,
            folds,
            positive_class=positive_class,
            n_resamples=n_resamples,
            seed=seed,
        )
    alpha = 1 - confidence
    rivals = [arm for arm in arms if arm != baseline]
    ratio = 1 / (n_folds - 1) if test_to_train is None and n_folds > 1 else test_to_train
    tested: list[dict[str, Any]] = []
    for arm in rivals:
        pairs = resampled.measured[arm][metric] - resampled.measured[baseline][metric]
        draws = resampled.drawn[arm][metric] - resampled.drawn[baseline][metric]
        tested.append(
            {
                **_estimate(pairs, draws, alpha, seed),
                "p_permutation": sign_flip(pairs.ravel()),
                "p_corrected_t": corrected_t(pairs.ravel(), ratio) if n_folds > 1 else None,
                "p_mcnemar": _mcnemar(probabilities[arm], probabilities[baseline], labels),
                "error": _error(pairs, draws, ratio if n_folds > 1 else None),
            }
        )
    test = "corrected t" if n_folds > 1 else "bootstrap"
    chosen = [found[f"p_{test.replace(' ', '_')}"] for found in tested]
    differences = {}
    for arm, found, p, adjusted in zip(rivals, tested, chosen, holm(chosen), strict=True):
        freedom = n_folds * n_seeds - 1 if n_folds > 1 else None
        detectable = _detectable(found.pop("error"), alpha / len(rivals), freedom)
        verdict = _verdict(found, adjusted, alpha, metric)
        differences[arm] = Difference(
            arm=arm,
            baseline=baseline,
            metric=metric,
            **found,
            test=test,
            p_value=p,
            p_holm=adjusted,
            detectable=detectable,
            needed_images=_needed(found["difference"], detectable, n, verdict),
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
            arm: {
                name: _interval(resampled.measured[arm][name], resampled.drawn[arm][name], alpha)
                for name in METRICS
            }
            for arm in arms
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
    """Return the two-sided p of the corrected resampled t test (Nadeau & Bengio 2003, eq. 9).

    The variance of a mean over J overlapping training sets is taken as `(1 / J + test_to_train)`
    times that of one difference, where independence would give `1 / J`.

    Args:
        pairs: A difference for each fold and seed.
        test_to_train: Test images for each training image.
    """
    from scipy.stats import t

    if len(pairs) < 2 or test_to_train is None or not np.isfinite(pairs).all():
        return None
    error = math.sqrt((1 / len(pairs) + test_to_train) * pairs.var(ddof=1))
    mean = float(pairs.mean())
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) / error, len(pairs) - 1))


def sign_flip(pairs: Floats, seed: int = 0) -> float | None:
    """Return the two-sided p of the mean under all flips of signs, or many random ones."""
    from scipy.stats import permutation_test

    if len(pairs) < 2 or not np.isfinite(pairs).all():
        return None
    if not pairs.any():
        return 1.0

    def mean(values: Floats, axis: int = -1) -> Any:
        # Rounded, so that flips that give the same sum in another order count as equal.
        return np.round(np.mean(values, axis=axis), 12)

    found = permutation_test(
        (pairs,),
        mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf if len(pairs) <= _EXACT_PAIRS else _FLIPS,
        alternative="two-sided",
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p of McNemar's test (1947) from the discordant counts."""
    from scipy.stats import binomtest

    n = only_first + only_second
    return float(binomtest(only_first, n).pvalue) if n else 1.0


def _mcnemar(
    arm: NDArray[np.float32], baseline: NDArray[np.float32], labels: NDArray[np.int64]
) -> float | None:
    if not (np.isfinite(arm).all() and np.isfinite(baseline).all()):
        return None
    # One prediction an image: with several seeds an image would count several times.
    right, before = (p.mean(axis=0).argmax(axis=1) == labels for p in (arm, baseline))
    return mcnemar(int((right & ~before).sum()), int((before & ~right).sum()))


def _estimate(pairs: Floats, draws: Floats, alpha: float, seed: int) -> dict[str, float | None]:
    none = {"difference": None, "low": None, "high": None, "p_bootstrap": None}
    if not np.isfinite(pairs).all():
        return {**none}
    draws = _with_training(pairs, draws)
    draws = draws[np.isfinite(draws)]
    value = float(pairs.mean())
    if len(draws) < 2:
        return {**none, "difference": value}
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    # The draws lie around the measured difference; how far out zero lies is the p of no difference.
    tail = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    p = min(1.0, 2 * (tail + 1) / (len(draws) + 1))
    return {"difference": value, "low": float(low), "high": float(high), "p_bootstrap": p}


def _interval(values: Floats, draws: Floats, alpha: float) -> Interval:
    if not np.isfinite(values).all():
        return Interval(None, None, None)
    draws = _with_training(values, draws)
    draws = draws[np.isfinite(draws)]
    if len(draws) < 2:
        return Interval(float(values.mean()), None, None)
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    return Interval(float(values.mean()), float(low), float(high))


def _with_training(values: Floats, draws: Floats) -> Floats:
    """Add chance in training: the error of a mean over seeds, t distributed."""
    n_seeds = len(values)
    if n_seeds < 2:
        return draws
    spread = values.mean(axis=1).std(ddof=1)
    noise = np.random.default_rng(n_seeds).standard_t(n_seeds - 1, len(draws))
    return draws + noise * spread / math.sqrt(n_seeds)


def _error(pairs: Floats, draws: Floats, test_to_train: float | None) -> float:
    """Return the standard error of the mean difference that the verdict's test goes by."""
    flat = pairs.ravel()
    if test_to_train is not None:
        return math.sqrt((1 / len(flat) + test_to_train) * flat.var(ddof=1))
    variance = float(np.nanvar(draws))
    if len(pairs) > 1:
        variance += float(pairs.mean(axis=1).var(ddof=1)) / len(pairs)
    return math.sqrt(variance)


def _detectable(error: Any, alpha: float, freedom: int | None) -> float | None:
    from scipy.stats import norm, t

    if not error > 0:  # no spread, or not defined
        return None
    law = norm if freedom is None else t(freedom)
    return float((law.ppf(1 - alpha / 2) + law.ppf(_POWER)) * error)


def _needed(
    difference: float | None, detectable: float | None, n: int, verdict: Verdict
) -> int | None:
    if verdict != "cannot be told apart" or not difference or detectable is None:
        return None
    needed = n * (detectable / abs(difference)) ** 2
    if needed <= n:
        return None  # enough of them, but not this time
    digits = max(0, int(math.log10(needed)) - 1)
    return math.ceil(needed / 10**digits) * 10**digits


def _verdict(
    found: Mapping[str, float | None], p_holm: float | None, alpha: float, metric: str
) -> Verdict:
    value, low, high = found["difference"], found["low"], found["high"]
    if value is None or low is None or high is None or p_holm is None:
        return "cannot be told apart"
    if p_holm >= alpha or low <= 0 <= high:
        return "cannot be told apart"
    return "better" if (value > 0) != (metric in LOWER_IS_BETTER) else "worse"


def _check(
    probabilities: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.int64],
    groups: NDArray[Any],
    folds: NDArray[np.int64],
    metric: str,
    confidence: float,
) -> None:
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {METRICS}, got {metric!r}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}.")
    if not probabilities:
        raise ValueError("There is no arm to compare.")
    n = len(labels)
    shapes = {arm: np.shape(p) for arm, p in probabilities.items()}
    first = next(iter(shapes.values()))
    if len(first) != 3 or first[1] != n or set(shapes.values()) != {first}:
        raise ValueError(
            f"Expected predictions of shape (n_seeds, {n}, num_classes), the same for all arms, "
            f"got {shapes}."
        )
    for name, column in (("groups", groups), ("folds", folds)):
        if column.shape != (n,):
            raise ValueError(f"Expected one value of {name} an image, {n}, got {column.shape}.")
