"""Measures of drawn images against closed forms and slow definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

import synthray as sr
from planted import changed, textured
from synthray.audit.samples.classic import changed_copies
from synthray.audit.samples.distances import (
    kernel_distance,
    kernel_distance_interval,
    sliced_wasserstein,
)
from synthray.audit.samples.features import random_features, standardised
from synthray.audit.samples.memorization import authentic_share, copying_statistic
from synthray.audit.samples.neighbourhoods import (
    least_squares,
    nearest,
    neighbourhoods,
    reach,
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
            kernel_distance(normal(30, 4, seed=s), normal(20, 4, seed=999 + s)) for s in range(300)
        ]
        assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(300)
        assert min(found) < 0

    def test_interval_covers_the_truth(self) -> None:
        hits = 0
        for seed in range(100):
            x, y = normal(120, 4, seed=seed), normal(120, 4, seed=5000 + seed)
            value, low, high = kernel_distance_interval(x, y)
            assert low < value < high
            hits += low <= 0 <= high
        assert 88 <= hits <= 100

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


class TestSlicedWasserstein:
    def test_a_shift_has_a_closed_form(self) -> None:
        x = normal(500, 8)
        shift = np.zeros(8)
        shift[0] = 3.0
        assert sliced_wasserstein(x, x + shift) == pytest.approx(3 / math.sqrt(8), rel=0.15)
        assert sliced_wasserstein(x, x) == 0
        assert sliced_wasserstein(x, x + shift, seed=1) == sliced_wasserstein(x + shift, x, seed=1)

    def test_a_change_of_scale_has_a_closed_form(self) -> None:
        x = normal(20_000, 3)
        # In every direction a normal of deviation 1 against one of deviation 2.
        assert sliced_wasserstein(x, 2 * x) == pytest.approx(1.0, rel=0.02)

    def test_sets_of_two_sizes(self) -> None:
        small, large = normal(300, 4), normal(3000, 4, seed=1)
        assert sliced_wasserstein(small, large) < 0.15
        assert sliced_wasserstein(small, large + 1) == pytest.approx(1.0, rel=0.15)


class TestNeighbourhoods:
    def test_agree_with_their_definitions_in_loops(self) -> None:
        real, drawn, k = normal(12, 2), normal(9, 2, shift=0.7, seed=3), 3

        def radius(points: NDArray[Any], i: int) -> float:
            return sorted(math.dist(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]

        inside = [[math.dist(r, d) <= radius(real, i) for i, r in enumerate(real)] for d in drawn]
        back = [[math.dist(r, d) <= radius(drawn, j) for j, d in enumerate(drawn)] for r in real]
        found = neighbourhoods(real, drawn, k=k)
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


class TestMemorization:
    def test_the_statistic_is_that_of_mann_and_whitney(self) -> None:
        from scipy.stats import mannwhitneyu

        a, b = normal(40, 1)[:, 0], normal(60, 1, shift=0.4, seed=1)[:, 0]
        u = mannwhitneyu(a, b).statistic
        by_hand = (u - 40 * 60 / 2) / math.sqrt(40 * 60 * 101 / 12)
        assert copying_statistic(a, b) == pytest.approx(by_hand)
        assert copying_statistic(a, b) == pytest.approx(-copying_statistic(b, a))
        null = [copying_statistic(*np.split(normal(100, 1, seed=s)[:, 0], 2)) for s in range(400)]
        assert abs(np.mean(null)) < 0.15
        assert np.std(null) == pytest.approx(1, abs=0.12)

    def test_authentic_share(self) -> None:
        train = np.asarray([[0.0], [1.0], [3.0]])
        drawn = np.asarray([[0.1], [0.5], [-1.5], [2.9]])
        # Nearest: 0 (its own is 1 away), 0, 0, and 3 (2 away).
        assert authentic_share(drawn, train) == 0.25
        # With a copy beside each, all but nothing would be authentic.
        beside = np.repeat(train, 2, axis=0) + [[0.0], [0.01]] * 3
        assert authentic_share(drawn, beside) == 1.0
        assert authentic_share(drawn, beside, np.repeat([5, 3, 4], 2)) == 0.25

    @pytest.mark.parametrize("share", [0.01, 0.05])
    @pytest.mark.parametrize("turn", [False, True])
    def test_planted_copies_are_found(self, share: float, turn: bool) -> None:
        train, other, held_out = np.split(textured(160, side=48), [30, 130])
        n = round(100 * share)
        copies = train[10 : 10 + n]
        if turn:
            from PIL import Image

            rng = np.random.default_rng(0)
            copies = np.stack(
                [np.asarray(changed(Image.fromarray(c), "rotcrop", rng)) for c in copies]
            )
        drawn = np.concatenate([copies, other[n:]])
        report = sr.evaluate_samples(train, drawn, held_out)
        screen = report.memorization
        assert screen is not None
        assert screen.copies.tolist() == list(range(n))
        assert screen.copied.tolist() == list(range(10, 10 + n))
        assert f"COPIES: {n} of 100 drawn images" in str(report)
        assert len(report.pairs) == min(n, 8)
        assert len(report.plot_pairs().axes) == 2 * min(n, 8)

    def test_new_images_are_no_copies(self) -> None:
        train, other, held_out = np.split(textured(90, side=48, seed=1), 3)
        report = sr.evaluate_samples(train, other, held_out)
        screen = report.memorization
        assert screen is not None
        assert not screen.found
        assert str(report).endswith(f"(C_T = {screen.c_t:.1f}).")
        assert screen.ratio == pytest.approx(1, abs=0.1)
        assert screen.authenticity > 0.5
        assert len(report.pairs) == 8

    def test_images_that_training_shines_through_are_named(self) -> None:
        train, other, held_out = np.split(textured(120, side=48, seed=2).astype(float), 3)
        blend = np.rint(0.45 * train + 0.55 * other).astype("uint8")
        data = [images.astype("uint8") for images in (train, held_out)]
        screen = sr.evaluate_samples(data[0], blend, data[1]).memorization
        assert screen is not None
        assert screen.c_t < -3
        assert "training images shine through" in screen.describe()


class TestReport:
    def test_falls_with_growing_damage(self) -> None:
        from scipy.ndimage import gaussian_filter

        images = sr.make_phantoms(240, image_shape=(32, 32, 1), seed=0).images
        train, drawn, held_out = np.split(images, 3)
        kid, coverage = [], []
        for sigma in (0, 1, 2, 4):
            blurred = np.stack([gaussian_filter(i[..., 0], sigma) for i in drawn])
            report = sr.evaluate_samples(train, blurred, held_out[..., 0], copies=False)
            kid.append(report.scores["drawn"].kid)
            coverage.append(report.scores["drawn"].coverage)
        assert max(kid[0], kid[1]) < kid[2] < kid[3]
        assert min(coverage[:3]) > 0.9 > coverage[3]
        real, blurred_most = report.scores["real"], report.scores["drawn"]
        assert real.kid_low < 0 < real.kid_high < blurred_most.kid_low
        assert report.scores["augmented"].kid < kid[-1]

    def test_same_seed_same_values_and_json(self) -> None:
        import json

        data = sr.make_phantoms(60, image_shape=(32, 32, 1), seed=0)
        parts = [data.select(np.arange(60) % 3 == k) for k in range(3)]
        one, again, other = (sr.evaluate_samples(*parts, seed=s).to_dict() for s in (0, 0, 1))
        assert json.loads(json.dumps(one)) == one == again
        assert one["scores"]["drawn"]["swd"] != other["scores"]["drawn"]["swd"]
        assert one["n_judged"] == 20
        quick = sr.evaluate_samples(*parts, copies=False)
        assert quick.to_dict()["memorization"] is None
        assert "were not looked for" in repr(quick)
        assert len(quick.plot_pairs().axes) == 0

    def test_mistakes_are_explained(self) -> None:
        images = textured(25, side=32)
        for bad, message in (
            ((images, images[:19], images), "drawn needs at least 20 images, got 19"),
            ((images, images[:, :16], images), r"drawn of \(16, 32, 1\)"),
            ((images, images / 255, images), "drawn must be uint8 .* got float64"),
        ):
            with pytest.raises(ValueError, match=message):
                sr.evaluate_samples(*bad)
        with pytest.raises(TypeError, match="real_train must be an ImageDataset or"):
            sr.evaluate_samples([1], images, images)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"shape \(25, d\), got shape \(25,\)"):
            sr.evaluate_samples(images, images, images, features=lambda x: x.mean((1, 2, 3)))
        with pytest.raises(ValueError, match="not finite"):
            sr.evaluate_samples(
                images, images, images, features=lambda x: np.full((len(x), 2), np.nan)
            )


class TestFeatures:
    def test_are_those_of_a_slow_convolution(self) -> None:
        from synthray.audit.samples import features as module

        image = textured(1, side=32)[0]
        weights = module._weights()[0].reshape(1, 3, 3, -1)
        padded = np.pad(image / 127.5 - 1, 1)
        by_hand = np.asarray(
            [
                [
                    np.maximum((padded[y : y + 3, x : x + 3, None] * weights[0]).sum((0, 1)), 0)
                    for x in range(0, 32, 2)
                ]
                for y in range(0, 32, 2)
            ]
        )
        found = random_features(image[None])[0]
        np.testing.assert_allclose(found[:16], by_hand[:8, :8].mean((0, 1)), atol=1e-5)
        np.testing.assert_allclose(found[16:32], by_hand[:8, :8].std((0, 1)), atol=1e-5)

    def test_do_not_change_from_version_to_version(self) -> None:
        image = (np.arange(32 * 32).reshape(1, 32, 32) % 251).astype("uint8")
        found = random_features(image)
        assert found.shape == (1, 1664)
        np.testing.assert_allclose(
            [found.mean(), found.std(), found[0, 100], found[0, 1600]], EXPECTED, rtol=1e-3
        )

    def test_batches_and_colour(self) -> None:
        images = textured(130, side=18)
        whole = random_features(images)
        np.testing.assert_allclose(random_features(images[128:]), whole[128:], atol=1e-5)
        colour = np.repeat(images[..., None], 3, axis=-1)
        np.testing.assert_allclose(random_features(colour), whole, atol=1e-4)
        assert random_features(images[:0]).shape == (0, 1664)
        with pytest.raises(ValueError, match="at least 17x17 pixels, got 8x8"):
            random_features(images[:, :8, :8])

    def test_standardised_by_the_first_set(self) -> None:
        a, b = normal(50, 3) * [1, 5, 0] + [3, 0, 2], normal(20, 3)
        first, second = standardised(a, b)
        np.testing.assert_allclose(first.mean(0), 0, atol=1e-12)
        scale = np.sqrt(a.var(0).sum() / 3)
        assert first.var(0).mean() == pytest.approx(1)
        np.testing.assert_allclose(second, (b - a.mean(0)) / scale)
        np.testing.assert_allclose(standardised(a * 0, b)[1], b)


def test_changed_copies_change_mildly() -> None:
    images = np.repeat(textured(20, side=32)[..., None], 3, axis=-1)
    found = changed_copies(images, seed=0)
    np.testing.assert_array_equal(found[..., 0], found[..., 2])
    np.testing.assert_array_equal(found, changed_copies(images, seed=0))
    assert not np.array_equal(found, changed_copies(images, seed=1))
    middle = (slice(None), slice(10, 22), slice(10, 22), 0)
    alike = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1]
        for a, b in zip(images[middle], found[middle], strict=True)
    ]
    assert 0.2 < np.median(alike) < 0.999


EXPECTED = [0.1394695, 0.1906081, 0.2836356, 0.0]


class TestDistances:
    """Matrix products find what differences find, ties and images that are there twice included."""

    @pytest.fixture
    def sets(self) -> tuple[Any, Any]:
        real = np.round(normal(300, 40), 1)
        drawn = np.concatenate([real[:60], real[:30], np.round(normal(120, 40, seed=4), 1)])
        return np.concatenate([real, real[100:180]]), drawn

    def test_neighbourhoods(self, sets: tuple[Any, Any]) -> None:
        real, drawn = sets
        between = cdist(real, drawn)
        inner, outer = (np.sort(cdist(x, x), axis=1)[:, 5] for x in sets)  # the first is itself
        inside, back = between <= inner[:, None], between <= outer
        found = neighbourhoods(real, drawn, k=5)
        assert found.precision == inside.any(0).mean()
        assert found.recall == back.any(1).mean()
        assert found.density == pytest.approx(inside.sum() / (5 * len(drawn)), abs=1e-12)
        assert found.coverage == inside.any(1).mean()
        known = neighbourhoods(real, drawn, k=5, real_reach=reach(real, 5))
        assert known == found

    @pytest.mark.parametrize("rows", [1024, 37])
    def test_nearest_and_reach(
        self, rows: int, sets: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("synthray.audit.samples.neighbourhoods._ROWS", rows)
        monkeypatch.setattr("synthray.audit.samples.neighbourhoods._PAIRS", rows)
        real, drawn = sets
        distance, places = nearest(drawn, real)
        np.testing.assert_array_equal(places, cdist(drawn, real).argmin(1))
        np.testing.assert_allclose(distance, cdist(drawn, real).min(1), rtol=1e-12)
        assert (distance[:90] == 0).all()
        for k in (1, 5):
            expected = np.sort(cdist(real, real), axis=1)[:, k]
            np.testing.assert_allclose(reach(real, k), expected, rtol=1e-12)

    @pytest.mark.parametrize("rows", [1024, 37])
    def test_reach_to_other_groups(
        self, rows: int, sets: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("synthray.audit.samples.neighbourhoods._ROWS", rows)
        real, _ = sets
        rng = np.random.default_rng(5)
        groups = rng.integers(0, 90, len(real)) * 7
        others = np.unique(groups)
        between = cdist(real, real)
        for k in (1, 5):
            expected = [
                np.sort([between[i, groups == g].min() for g in others if g != own])[k - 1]
                for i, own in enumerate(groups)
            ]
            np.testing.assert_allclose(reach(real, k, groups), expected, rtol=1e-12)
            each = rng.permutation(len(real))
            np.testing.assert_array_equal(reach(real, k, each), reach(real, k))
        assert np.isinf(reach(real[:6], 2, np.repeat([3, 1], 3))).all()
        assert np.isfinite(reach(real[:6], 1, np.repeat([3, 1], 3))).all()

    def test_far_from_the_origin(self) -> None:
        x = normal(50, 8) + 1e4
        squares = least_squares(x, x)
        truth = cdist(x, x) ** 2
        assert (squares <= truth).all()
        np.testing.assert_allclose(squares, truth, atol=0.1)
