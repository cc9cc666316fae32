"""Closed forms, independent implementations, and odd inputs of the statistics."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from synthray.statistics.compare import compare_arms, corrected_t, holm
from synthray.statistics.metrics import METRICS
from synthray.statistics.resampling import Spread, resample, spread
from synthray.statistics.verdicts import Difference, needed_images

N = 240
LABELS = np.arange(N) % 2
FOLDS = np.arange(N) // 2 % 4


def guess(skill: float, *, seed: int = 0, n_seeds: int = 3, k: int = 2) -> NDArray[np.float32]:
    """Draw predictions: the higher the skill, the better."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n_seeds, N, k))
    z[:, np.arange(N), np.arange(N) % k] += skill
    p = np.exp(z) / np.exp(z).sum(axis=2, keepdims=True)
    return p.astype(np.float32)


def certain(right: Any) -> NDArray[np.float32]:
    """Return sure predictions that are right where told, shape (n_seeds, n, 2)."""
    hit = np.where(np.atleast_2d(right), LABELS, 1 - LABELS)
    return np.stack([1 - hit, hit], axis=2).astype(np.float32)


def compare(better: float = 1.0, **settings: Any) -> Difference:
    arms = {"original": guess(1.0), "arm": guess(better, seed=1)}
    return compare_arms(arms, LABELS, n_resamples=200, **settings).differences["arm"]


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([None, 0.02, 0.8]) == [None, 0.04, 0.8]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_corrected_t() -> None:
    pairs = np.asarray([0.1, 0.4, -0.1, 0.3, 0.2])
    assert corrected_t(pairs, 0.0) == pytest.approx(stats.ttest_1samp(pairs, 0).pvalue)
    t = pairs.mean() / np.sqrt((1 / 5 + 1 / 4) * pairs.var(ddof=1))
    assert corrected_t(pairs, 0.25) == pytest.approx(2 * stats.t.sf(t, 4))
    assert corrected_t(np.zeros(4), 0.25) == 1.0
    assert corrected_t(np.ones(4), 0.25) == 0.0
    assert corrected_t(np.asarray([0.1]), 0.25) is None
    assert corrected_t(pairs, None) is None
    assert corrected_t(np.asarray([0.1, np.nan]), 0.25) is None


def test_interval_of_a_mean_is_the_normal_one() -> None:
    right = np.random.default_rng(0).random(N) < 0.8
    found = compare_arms({"a": certain(right)}, LABELS, n_resamples=20_000)
    accuracy = found.intervals["a"]["accuracy"]
    error = right.std(ddof=1) / np.sqrt(N)
    expected = right.mean() + np.asarray([-1, 1]) * stats.t.ppf(0.975, N - 1) * error
    assert (accuracy.low, accuracy.high) == pytest.approx(expected, abs=0.004)
    assert accuracy.value == pytest.approx(right.mean())
    assert found.differences == {}
    assert "nothing to compare" in str(found)


def test_groups_of_copies_know_no_more_than_one_image_each() -> None:
    right = np.random.default_rng(0).random(N // 4) < 0.7
    copies = certain(np.repeat(right, 4))
    groups = np.repeat(np.arange(N // 4), 4)
    labels = LABELS
    wide = compare_arms({"a": copies}, labels, groups=groups, n_resamples=5000)
    naive = compare_arms({"a": copies}, labels, n_resamples=5000)
    width = [s.intervals["a"]["accuracy"] for s in (wide, naive)]
    assert wide.n_groups == 60
    ends = [i.high - i.low for i in width if i.high is not None and i.low is not None]
    assert ends[0] / ends[1] == pytest.approx(2, rel=0.08)  # the root of four


def test_error_of_crossed_seeds_and_images() -> None:
    rng = np.random.default_rng(0)
    n, n_seeds = 400, 4
    values = 0.1 * rng.normal(size=(n_seeds, 1)) + rng.normal(size=(n_seeds, n))
    weights = rng.multinomial(n, np.full(n, 1 / n), 4000) / n
    drawn = values @ weights.T
    p = {"a": guess(1.0)}
    plain = resample(p, LABELS, np.arange(N), FOLDS * 0, positive_class=1, n_resamples=100, seed=0)
    found = spread(values.mean(axis=1, keepdims=True), drawn, plain)
    residuals = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    together = (residuals**2).sum() / (n - 1) / (n_seeds - 1) / n / n_seeds
    between = values.mean(axis=1).var(ddof=1) / n_seeds
    assert found.images == pytest.approx(values.mean(axis=0).var(ddof=1) / n, rel=0.1)
    assert found.between == pytest.approx(between)
    assert found.training == pytest.approx(max(0, between - together), abs=0.1 * between)
    assert found.reach(0.05) >= stats.t.isf(0.025, 3) * np.sqrt(between)


def test_p_and_interval_agree() -> None:
    for chance in (Spread(0.01, 0.0, 30), Spread(0.01, 0.02, 4.2, 0.03, 3)):
        reach = chance.reach(0.05)
        assert chance.p_value(reach, without=0) == pytest.approx(0.05)
        assert chance.p_value(1.2 * reach, without=0) < 0.05
    assert Spread(0.0, 0.0, 3).p_value(0.0, without=0) == 1


def test_design_decides_the_test() -> None:
    one = compare(3.0)
    assert one.p_corrected_t is None
    assert one.p_value == one.p_holm == one.p_bootstrap
    assert one.verdict == "better"
    assert "arm is better than original (balanced accuracy +0." in one.describe()
    folds = compare(3.0, folds=FOLDS)
    assert folds.p_bootstrap is not None
    assert folds.p_corrected_t is not None
    assert folds.p_value == max(folds.p_bootstrap, folds.p_corrected_t)
    assert folds.verdict == "better"
    assert compare(3.0, folds=FOLDS, metric="loss").verdict == "better"
    assert compare(0.0, folds=FOLDS, metric="brier").verdict == "worse"
    steeper = compare(3.0, folds=FOLDS, test_to_train=2.0)
    assert steeper.p_corrected_t is not None
    assert steeper.p_corrected_t > folds.p_corrected_t


def test_one_training_of_each_gives_no_verdict() -> None:
    arms = {"original": guess(0.0, n_seeds=1), "arm": guess(4.0, n_seeds=1)}
    found = compare_arms(arms, LABELS, n_resamples=100, metric="auc")
    arm = found.differences["arm"]
    assert arm.p_bootstrap is not None
    assert arm.p_bootstrap < 1e-6
    assert (arm.p_value, arm.p_holm, arm.detectable, arm.needed_images) == (None,) * 4
    assert arm.verdict == "no verdict"
    assert "use more seeds" in arm.describe()
    assert "leave out chance in training" in found.describe()
    assert found.proven_best() is None


@pytest.mark.parametrize("folds", [None, FOLDS])
def test_identical_predictions(folds: Any) -> None:
    arms = {"original": guess(1.0), "copy": guess(1.0)}
    found = compare_arms(arms, LABELS, folds=folds, n_resamples=100)
    copy = found.differences["copy"]
    assert (copy.difference, copy.low, copy.high) == (0, 0, 0)
    assert (copy.p_value, copy.p_holm) == (1, 1)
    assert (copy.verdict, copy.needed_images) == ("cannot be told apart", None)
    assert copy.describe().endswith("p = 1.000).")
    assert "cannot be told apart" in str(found)


def test_perfect_against_blind() -> None:
    blind = np.broadcast_to(np.array([0.4, 0.6], "float32"), (2, N, 2))
    arms = {"blind": blind, "perfect": certain([np.ones(N, bool)] * 2)}
    for folds in (None, FOLDS):
        found = compare_arms(arms, LABELS, folds=folds, n_resamples=100).differences["perfect"]
        assert (found.difference, found.verdict) == (0.5, "better")


def test_training_that_diverged() -> None:
    broken = guess(1.0)
    broken[1, FOLDS == 2] = np.nan
    arms = {"original": guess(1.0), "broken": broken, "arm": guess(2.0, seed=3)}
    found = compare_arms(arms, LABELS, folds=FOLDS, n_resamples=100)
    undefined = found.differences["broken"]
    assert undefined.difference is undefined.p_value is None
    assert undefined.verdict == "no verdict"
    assert "balanced accuracy is not defined" in undefined.describe()
    assert found.intervals["broken"]["accuracy"].value is None
    assert found.differences["arm"].p_holm == found.differences["arm"].p_value  # counts one
    json.dumps(found.to_dict(), allow_nan=False)


def test_folds_without_a_class() -> None:
    labels = np.where(FOLDS == 0, 0, LABELS)
    arms = {"original": guess(1.0), "arm": guess(1.0, seed=1)}
    found = compare_arms(arms, labels, folds=FOLDS, n_resamples=100)
    assert found.differences["arm"].difference is None
    assert found.intervals["arm"]["auc"].value is None
    assert found.intervals["arm"]["accuracy"].low is not None


def test_one_group_a_fold_gives_no_interval() -> None:
    found = compare(1.0, folds=FOLDS, groups=FOLDS)
    assert (found.low, found.p_value, found.verdict) == (None, None, "no verdict")
    assert "too few groups" in found.describe()


def test_groups_across_folds_are_drawn_whole() -> None:
    groups = np.arange(N) // 8  # each has images in all four folds
    across = compare(1.0, folds=FOLDS, groups=groups)
    assert across.low is not None
    sizes = np.bincount(groups)
    arms = {"a": guess(1.0)}
    found = resample(arms, LABELS, groups, FOLDS, positive_class=1, n_resamples=100, seed=0)
    assert found.inflation == pytest.approx(len(sizes) / (len(sizes) - 1))


def test_many_classes_and_all_metrics() -> None:
    labels = np.arange(N) % 3
    arms = {"original": guess(0.5, k=3), "arm": guess(2.5, seed=1, k=3)}
    for metric in METRICS:
        found = compare_arms(
            arms, labels, metric=metric, folds=np.arange(N) // 3 % 4, n_resamples=100
        )
        expected = ("cannot be told apart", "better") if metric[:2] == "ca" else ("better",)
        assert found.differences["arm"].verdict in expected
    for of_arm in found.intervals.values():
        for name, value in of_arm.items():
            assert value.value is not None, name
            assert value.low is not None, name
            assert value.high is not None, name
            assert 0 <= value.low < value.value < value.high


def test_baseline_and_seed() -> None:
    arms = {"x": guess(1.0), "y": guess(2.0, seed=1)}
    assert compare_arms(arms, LABELS, n_resamples=100).baseline == "x"
    ahead = compare_arms(arms, LABELS, n_resamples=100).to_dict()
    assert ahead == compare_arms(arms, LABELS, n_resamples=100).to_dict()
    assert ahead != compare_arms(arms, LABELS, n_resamples=100, seed=1).to_dict()
    back = compare_arms(arms, LABELS, n_resamples=100, baseline="y").differences["x"]
    assert back.difference == -ahead["differences"]["y"]["difference"]
    draws = resample(
        arms, LABELS, np.arange(N), 0 * FOLDS, positive_class=1, n_resamples=100, seed=0
    )
    assert compare_arms(arms, LABELS, resampled=draws).to_dict() == ahead


def test_needed_images() -> None:
    # Half as large as what is found in four of five: four times the images.
    assert needed_images(0.05, (0.07, 0.1), 1.0, 200) == 800
    assert needed_images(-0.05, (0.07, 0.1), 0.9, 200) == 1200
    assert needed_images(0.05, (0.07, 0.1), 0.75, 200) is None  # training alone hides it
    assert needed_images(0.0, (0.07, 0.1), 1.0, 200) is None
    assert needed_images(0.08, (0.07, 0.1), 1.0, 200) is None
    assert needed_images(0.05, None, 1.0, 200) is None
    small = compare(1.1)
    assert small.needed_images is not None
    assert f"needs about {small.needed_images:,} test images" in small.describe()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metric": "luck"}, "metric must be one of"),
        ({"baseline": "x"}, "baseline must be one of"),
        ({"confidence": 95}, "confidence must lie"),
        ({"n_resamples": 10}, "n_resamples must be at least 100"),
        ({"positive_class": 2}, "positive_class must be a label"),
        ({"groups": np.arange(3)}, "one value of groups an image"),
        ({"folds": np.arange(3)}, "one value of folds an image"),
        ({"labels": LABELS + 1}, "integers from 0 to 1"),
        ({"labels": LABELS / 1.0}, "integers from 0 to 1"),
        ({"labels": LABELS[:9]}, "Expected predictions of shape"),
        ({"probabilities": {}}, "no arm"),
        ({"probabilities": {"a": guess(1.0), "b": guess(1.0)[:2]}}, "the same for all arms"),
    ],
)
def test_errors(settings: dict[str, Any], message: str) -> None:
    given = {"probabilities": {"a": guess(1.0)}, "labels": LABELS, **settings}
    with pytest.raises(ValueError, match=message):
        compare_arms(**given)


def test_what_is_found_needs_no_more_images() -> None:
    found = []
    for seed in range(40):
        arms = {"original": guess(1.0), "a": guess(4.0, seed=1), "b": guess(1.35, seed=seed)}
        both = compare_arms(arms, LABELS, n_resamples=200).differences
        found.append((both["b"].verdict, both["b"].needed_images))
    verdicts = {verdict for verdict, _ in found}
    assert verdicts == {"better", "cannot be told apart"}
    # Some are found at Holm's second step alone, from below the threshold of the first.
    assert all(needed is None for verdict, needed in found if verdict == "better")
    assert any(needed for verdict, needed in found if verdict != "better")


def a_difference(**changes: Any) -> Difference:
    fields: dict[str, Any] = {
        **{"arm": "warm_start", "baseline": "original", "metric": "auc", "difference": 0.0214},
        **{"low": -0.0101, "high": 0.0529, "p_bootstrap": 0.2, "p_value": 0.2},
        **{"p_corrected_t": None},
        **{"p_holm": 0.4, "detectable": 0.05, "needed_images": 2400},
        **{"verdict": "cannot be told apart"},
    }
    return Difference(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "cannot be told apart (AUC +0.021 [-0.010, +0.053], p = 0.400); detecting"),
        ({"needed_images": None}, "[-0.010, +0.053], p = 0.400); more images would not be enough"),
        (
            {"p_value": None, "p_holm": None, "verdict": "no verdict"},
            "warm_start and original: no verdict (AUC +0.021 [-0.010, +0.053]); one training",
        ),
        (
            {"verdict": "better", "low": 0.0101, "p_holm": 0.0123, "needed_images": None},
            "warm_start is better than original (AUC +0.021 [+0.010, +0.053], p = 0.012).",
        ),
        (
            {"verdict": "worse", "metric": "brier", "p_holm": 0.0001, "needed_images": None},
            "worse than original (Brier score +0.021 [-0.010, +0.053], p < 0.001).",
        ),
        (
            {"low": None, "p_holm": None, "verdict": "no verdict"},
            "warm_start and original: no verdict (AUC +0.021); there are too few groups",
        ),
    ],
)
def test_sentences(changes: dict[str, Any], told: str) -> None:
    assert told in a_difference(**changes).describe()
