"""Simulated studies: how often intervals hold the truth and verdicts are right.

Predictions are drawn, so that the true accuracy has a closed form. Patients have four images each,
which share a difficulty; trainings differ; each arm has images of its own that it finds hard.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from synthray.comparison.statistics import compare_arms, corrected_t, sign_flip
from synthray.comparison.verdicts import Difference

GROUPS = np.repeat(np.arange(50), 4)
LABELS = GROUPS % 2
N = len(GROUPS)


def studies(
    n: int,
    *,
    n_folds: int = 1,
    n_seeds: int = 3,
    effect: float = 0.0,
    training: float = 0.15,
    own: float = 0.5,
    grouped: bool = True,
    **settings: Any,
) -> tuple[list[Difference], float]:
    """Compare two arms n times; return what was found and the true difference in accuracy."""
    rng = np.random.default_rng(0)
    folds = GROUPS // 2 % n_folds
    # The logit is normal: its sign is right with a probability that is known.
    total = np.sqrt(1 + 0.5**2 + 2 * own**2 + training**2)
    truth = stats.norm.cdf((1 + effect) / total) - stats.norm.cdf(1 / total)
    found = []
    for number in range(n):
        common = rng.normal(size=50)[GROUPS] + 0.5 * rng.normal(size=N)
        arms = {}
        for arm, skill in (("original", 1.0), ("arm", 1 + effect)):
            trained = skill + training * rng.normal(size=(n_seeds, n_folds))[:, folds]
            hard = own * rng.normal(size=50)[GROUPS] + own * rng.normal(size=(n_seeds, N))
            p = 1 / (1 + np.exp(-((2 * LABELS - 1) * trained + common + hard)))
            arms[arm] = np.stack([1 - p, p], axis=2).astype(np.float32)
        statistics = compare_arms(
            arms,
            LABELS,
            groups=GROUPS if grouped else None,
            folds=folds,
            metric="accuracy",
            n_resamples=150,
            seed=number,
            **settings,
        )
        found.append(statistics.differences["arm"])
    return found, float(truth)


def share(values: Any) -> float:
    return float(np.mean(list(values)))


def covered(found: list[Difference], truth: float) -> float:
    return share(d.low <= truth <= d.high for d in found if d.low is not None and d.high)


def test_sign_flip_under_the_null_is_uniform() -> None:
    rng = np.random.default_rng(0)
    p = [sign_flip(pairs) for pairs in rng.standard_t(3, (300, 10))]
    assert stats.kstest(p, "uniform").pvalue > 0.05


def test_corrected_t_in_its_model_is_uniform() -> None:
    # Correlated pairs, as overlapping training sets make them: share / (1 - share) is the ratio.
    rng = np.random.default_rng(0)
    ratio = 0.25
    share_of_common = ratio / (1 + ratio)
    common = np.sqrt(share_of_common) * rng.normal(size=(1000, 1))
    pairs = common + np.sqrt(1 - share_of_common) * rng.normal(size=(1000, 10))
    p = [corrected_t(row, ratio) for row in pairs]
    assert stats.kstest(p, "uniform").pvalue > 0.05
    naive = [corrected_t(row, 0.0) for row in pairs]
    assert stats.kstest(naive, "uniform").pvalue < 1e-6


def test_bootstrap_under_the_null_is_uniform_and_needs_the_groups() -> None:
    found, _ = studies(200, n_seeds=5, training=0.1)
    assert stats.kstest([d.p_bootstrap for d in found], "uniform").pvalue > 0.05
    assert share(d.verdict != "cannot be told apart" for d in found) <= 0.07
    naive, _ = studies(150, n_seeds=5, training=0.1, grouped=False)
    assert stats.kstest([d.p_bootstrap for d in naive], "uniform").pvalue < 0.01
    assert share(d.verdict != "cannot be told apart" for d in naive) > 0.1


@pytest.mark.parametrize("n_seeds", [2, 3])
def test_training_alone_is_not_taken_for_an_effect(n_seeds: int) -> None:
    found, _ = studies(150, n_seeds=n_seeds, training=0.4, own=0.3)
    assert share(d.verdict != "cannot be told apart" for d in found) <= 0.07
    # Which images judge is the lesser part here: McNemar's test sees no other.
    assert share(d.p_mcnemar < 0.05 for d in found if d.p_mcnemar is not None) > 0.3


@pytest.mark.parametrize(("n_folds", "n_seeds"), [(1, 5), (4, 3)])
def test_coverage_and_power_of_an_effect(n_folds: int, n_seeds: int) -> None:
    found, truth = studies(250, n_folds=n_folds, n_seeds=n_seeds, effect=0.7)
    assert 0.93 <= covered(found, truth) <= 0.97
    assert share(d.verdict == "worse" for d in found) == 0
    assert share(d.verdict == "better" for d in found) > (0.6 if n_folds == 1 else 0.4)


def test_verdict_on_folds_keeps_its_level() -> None:
    for n_folds, n_seeds in ((4, 3), (2, 3)):
        found, truth = studies(100, n_folds=n_folds, n_seeds=n_seeds)
        assert share(d.verdict != "cannot be told apart" for d in found) <= 0.05
        assert covered(found, truth) >= 0.92


def test_what_is_detectable_is_found_in_four_of_five_runs() -> None:
    skills = np.linspace(0.3, 1.2, 10)
    total = np.sqrt(1 + 0.25 + 0.5 + 0.01)
    gains = stats.norm.cdf((1 + skills) / total) - stats.norm.cdf(1 / total)
    first, _ = studies(40, n_seeds=5, training=0.1, effect=0.6)
    detectable = np.median([d.detectable for d in first if d.detectable is not None])
    effect = float(np.interp(detectable, gains, skills))
    found, truth = studies(150, n_seeds=5, training=0.1, effect=effect)
    assert truth == pytest.approx(detectable, abs=0.003)
    assert 0.7 <= share(d.verdict == "better" for d in found) <= 0.9
