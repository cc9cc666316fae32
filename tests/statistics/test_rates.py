"""Simulated studies: how often intervals hold the truth and verdicts are right.

Predictions are drawn, so that the true accuracy has a closed form. Patients have four images each,
which share a difficulty; trainings differ; each arm has images of its own that it finds hard.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import LogisticRegression

from synthray.statistics.compare import compare_arms, corrected_t
from synthray.statistics.verdicts import Difference

pytestmark = pytest.mark.slow

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


def certain(right: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return predictions that hit where `right`, of shape `(n_seeds, n)`, is true."""
    ones = np.where(right, LABELS, 1 - LABELS)
    return np.stack([1 - ones, ones], axis=2).astype(np.float32)


def clustered(rng: np.random.Generator, share: float = 0.7) -> NDArray[np.bool_]:
    """One training: half of the images are right or wrong as their patient is, of that share."""
    own, of_patient = rng.random(len(GROUPS)) < share, rng.random(50) < share
    return np.where(rng.random(len(GROUPS)) < 0.5, of_patient[GROUPS], own)[None]


def test_coverage_of_an_accuracy_on_clusters_and_without_them() -> None:
    rng = np.random.default_rng(0)
    held: dict[str, list[bool]] = {"groups": [], "ignored": []}
    for number in range(1000):
        arms = {"a": certain(clustered(rng))}
        for name, groups in (("groups", GROUPS), ("ignored", None))[: 2 if number < 300 else 1]:
            found = compare_arms(arms, LABELS, groups=groups, n_resamples=200, seed=number)
            got = found.intervals["a"]["accuracy"]
            assert got.low is not None
            assert got.high is not None
            held[name].append(got.low <= 0.7 <= got.high)
    assert 0.93 <= np.mean(held["groups"]) <= 0.97
    assert np.mean(held["ignored"]) < 0.91  # the same data, if patients are not told


def test_power_of_the_corrected_t_in_its_model() -> None:
    rng = np.random.default_rng(0)
    n, ratio = 15, 0.25
    part = ratio / (1 + ratio)
    noise = np.sqrt(part) * rng.normal(size=(1500, 1)) + np.sqrt(1 - part) * rng.normal(
        size=(1500, n)
    )
    error = np.sqrt((1 / n + ratio) * (1 - part))
    detectable = error * (stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1))
    powers = [p < 0.05 for row in noise if (p := corrected_t(row + detectable, ratio)) is not None]
    assert len(powers) == 1500
    assert 0.7 <= np.mean(powers) <= 0.9


def test_trained_arms_with_a_known_truth() -> None:
    """Classifiers of 5 % of the images, again 5 %, and all: only the last is better."""
    rng = np.random.default_rng(0)
    labels = np.arange(480) % 2
    x = rng.normal(size=(480, 20)) + 0.35 * (2 * labels - 1)[:, None]
    folds = np.arange(480) // 2 % 6
    shares = {"few": 20, "again": 20, "all": 1}
    p = {arm: np.empty((3, 480, 2), np.float32) for arm in shares}
    for arm, seed, fold in itertools.product(shares, range(3), range(6)):
        train = np.flatnonzero(folds != fold)
        chosen = rng.permutation(train)[: len(train) // shares[arm]]
        model = LogisticRegression().fit(x[chosen], labels[chosen])
        p[arm][seed, folds == fold] = model.predict_proba(x[folds == fold])
    found = compare_arms(p, labels, folds=folds, metric="auc", baseline="few").differences
    assert found["all"].verdict == "better"
    assert found["again"].verdict == "cannot be told apart"
