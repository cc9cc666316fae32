"""Distances of two sets of features against closed forms and slow definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from synthray.evaluation.distances import (
    frechet_distance,
    kernel_distance,
    kernel_distance_interval,
    nearest,
    neighbourhoods,
    reach,
    within_reach,
)


def normal(n: int, d: int, *, shift: float = 0.0, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


class TestKernelDistance:
    def test_agrees_with_its_definition_in_loops(self) -> None:
        x, y = normal(7, 3), normal(5, 3, shift=1, seed=1)

        def k(a: Any, b: Any) -> float:
            return float((sum(p * q for p, q in zip(a, b, strict=True)) / 3 + 1) ** 3)

        xx = sum(k(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / 42
        yy = sum(k(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / 20
        xy = sum(k(a, b) for a in x for b in y) / 35
        assert kernel_distance(x, y) == pytest.approx(xx + yy - 2 * xy, abs=1e-9)
        assert kernel_distance(x, y) == pytest.approx(kernel_distance(y, x), abs=1e-12)

    def test_closed_form_for_normal_features(self) -> None:
        """In one dimension E (xy + 1)^3 follows from the moments of x and y."""

        def mean(a: float, b: float) -> float:
            moments = [(m, m**2 + 1, m**3 + 3 * m) for m in (a, b)]
            first, second, third = (p * q for p, q in zip(*moments, strict=True))
            return third + 3 * second + 3 * first + 1

        expected = mean(0, 0) + mean(0.5, 0.5) - 2 * mean(0, 0.5)
        found = [
            kernel_distance(normal(400, 1, seed=s), normal(400, 1, shift=0.5, seed=1000 + s))
            for s in range(60)
        ]
        error = float(np.std(found)) / math.sqrt(60)
        assert np.mean(found) == pytest.approx(expected, abs=3 * error)
        assert error < 0.2 * expected

    def test_unbiased_where_the_sets_are_alike(self) -> None:
        found = [
            kernel_distance(normal(30, 4, seed=s), normal(20, 4, seed=999 + s)) for s in range(200)
        ]
        assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(200)
        assert min(found) < 0

    def test_interval_covers_the_truth(self) -> None:
        hits = 0
        for seed in range(50):
            x, y = normal(120, 4, seed=seed), normal(120, 4, seed=5000 + seed)
            value, low, high = kernel_distance_interval(x, y)
            assert low < value < high
            hits += low <= 0 <= high
        assert 43 <= hits <= 50

    def test_the_interval_is_that_of_a_slow_jackknife(self) -> None:
        x, y = normal(12, 2), normal(9, 2, shift=1, seed=1)
        value, low, high = kernel_distance_interval(x, y, seed=3)
        rng = np.random.default_rng(3)
        parts = [np.array_split(rng.permutation(n), 4) for n in (12, 9)]
        without = np.asarray(
            [
                kernel_distance(np.delete(x, i, 0), np.delete(y, j, 0))
                for i, j in zip(*parts, strict=True)
            ]
        )
        error = math.sqrt(3 / 4 * float(((without - without.mean()) ** 2).sum()))
        assert value == pytest.approx(kernel_distance(x, y))
        assert (high - low) / 2 == pytest.approx(3.182446 * error, rel=1e-5)  # t with 3 degrees

    def test_few_images_have_no_interval(self) -> None:
        value, low, high = kernel_distance_interval(normal(5, 2), normal(6, 2, seed=1))
        assert np.isfinite(value)
        assert (low, high) == (-np.inf, np.inf)
        with pytest.raises(ValueError, match="at least 2 images a set, got 1 and 6"):
            kernel_distance(normal(1, 2), normal(6, 2))


class TestFrechetDistance:
    @pytest.mark.parametrize(("n", "m"), [(40, 30), (9, 7), (40, 7)])
    def test_agrees_with_its_definition(self, n: int, m: int) -> None:
        """By roots of matrices, with more images than features and with fewer."""
        x, y = normal(n, 12), 1.5 * normal(m, 12, shift=0.5, seed=1)
        c, d = (np.cov(z, rowvar=False) for z in (x, y))
        roots = np.sqrt(np.clip(np.linalg.eigvals(c @ d).real, 0, None)).sum()
        expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c) + np.trace(d) - 2 * roots
        assert frechet_distance(x, y) == pytest.approx(expected / np.trace(c), rel=1e-5)

    def test_closed_forms(self) -> None:
        x = normal(500, 8)
        scale = float(x.var(0, ddof=1).sum())
        assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
        assert frechet_distance(x, x + 2 * np.eye(8)[0]) == pytest.approx(4 / scale)
        assert frechet_distance(x, 3 * (x - x.mean(0)) + x.mean(0)) == pytest.approx(4)

    def test_is_biased_where_images_are_few(self) -> None:
        few, many = (frechet_distance(normal(n, 20), normal(n, 20, seed=1)) for n in (30, 3000))
        assert few > 0.3 > 0.02 > many > 0


class TestNeighbourhoods:
    def test_agree_with_their_definitions_in_loops(self) -> None:
        real, synthetic, k = normal(12, 2), normal(9, 2, shift=0.7, seed=3), 3

        def radius(points: NDArray[Any], i: int) -> float:
            return sorted(math.dist(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]

        inside = [
            [math.dist(r, d) <= radius(real, i) for i, r in enumerate(real)] for d in synthetic
        ]
        back = [
            [math.dist(r, d) <= radius(synthetic, j) for j, d in enumerate(synthetic)] for r in real
        ]
        found = neighbourhoods(real, synthetic, k=k)
        assert found.precision == pytest.approx(np.mean([any(row) for row in inside]))
        assert found.recall == pytest.approx(np.mean([any(row) for row in back]))
        assert found.density == pytest.approx(np.sum(inside) / (k * 9))
        assert found.coverage == pytest.approx(np.mean(np.any(inside, axis=0)))

    def test_expectations_for_equal_distributions(self) -> None:
        """Naeem et al. 2020: density 1 and coverage 1 - 2^-k, nearly, in many images."""
        runs = [
            neighbourhoods(normal(600, 8, seed=s), normal(600, 8, seed=99 + s)) for s in range(5)
        ]
        assert np.mean([r.density for r in runs]) == pytest.approx(1.0, abs=0.05)
        assert np.mean([r.coverage for r in runs]) == pytest.approx(1 - 2**-5, abs=0.02)

    def test_a_lost_mode_halves_coverage_and_far_images_lose_precision(self) -> None:
        real = np.concatenate([normal(200, 4), normal(200, 4, shift=20, seed=1)])
        one = neighbourhoods(real, normal(400, 4, seed=2))
        assert one.coverage == pytest.approx(0.5, abs=0.02)
        assert one.precision > 0.9
        far = neighbourhoods(real, normal(400, 4, shift=-30, seed=2))
        assert (far.precision, far.coverage, far.density, far.recall) == (0, 0, 0, 0)
        with pytest.raises(ValueError, match="more than k=5 images a set, got 5 real and 400"):
            neighbourhoods(real[:5], real)


class TestDistances:
    """Matrix products find what differences find, ties and images that are there twice included."""

    @pytest.fixture
    def sets(self) -> tuple[Any, Any]:
        real = np.round(normal(300, 40), 1)
        new = np.round(normal(120, 40, seed=4), 1)
        synthetic = np.concatenate([real[:60], real[:30], new])
        return np.concatenate([real, real[100:180]]), synthetic

    def test_neighbourhoods(self, sets: tuple[Any, Any]) -> None:
        real, synthetic = sets
        between = cdist(real, synthetic)
        inner, outer = (np.sort(cdist(x, x), axis=1)[:, 5] for x in sets)  # the first is itself
        inside, back = between <= inner[:, None], between <= outer
        found = neighbourhoods(real, synthetic, k=5)
        assert found.precision == inside.any(0).mean()
        assert found.recall == back.any(1).mean()
        assert found.density == pytest.approx(inside.sum() / (5 * len(synthetic)), abs=1e-12)
        assert found.coverage == inside.any(1).mean()
        np.testing.assert_array_equal(within_reach(synthetic, real, reach(real, 5)), inside.any(0))

    @pytest.mark.parametrize("rows", [1024, 37])
    def test_nearest_and_reach(
        self, rows: int, sets: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("synthray.evaluation.distances._ROWS", rows)
        real, synthetic = sets
        distance, places = nearest(synthetic, real)
        between = cdist(synthetic, real)
        np.testing.assert_allclose(between[np.arange(len(places)), places], between.min(1))
        np.testing.assert_allclose(distance, between.min(1), rtol=1e-6)
        assert (distance[:90] == 0).all()
        assert places[:90].tolist() == [*range(60), *range(30)]
        for k in (1, 5):
            expected = np.sort(cdist(real, real), axis=1)[:, k]
            np.testing.assert_allclose(reach(real, k), expected, rtol=1e-6)
        groups = np.random.default_rng(5).integers(0, 90, len(real)) * 7
        others = np.unique(groups)
        for k in (1, 5):
            by_group = [
                np.sort([between[groups == g].min() for g in others if g != own])[k - 1]
                for own, between in zip(groups, cdist(real, real), strict=True)
            ]
            np.testing.assert_allclose(reach(real, k, groups), by_group, rtol=1e-6)

    def test_reach_needs_other_groups(self, sets: tuple[Any, Any]) -> None:
        real, _ = sets
        groups = np.repeat([3, 1], 3)
        assert np.isinf(reach(real[:6], 2, groups)).all()
        assert np.isfinite(reach(real[:6], 1, groups)).all()

    def test_far_from_the_origin(self) -> None:
        x = normal(50, 8) + 1e4
        np.testing.assert_allclose(reach(x, 1), np.sort(cdist(x, x), axis=1)[:, 1], rtol=0.1)
