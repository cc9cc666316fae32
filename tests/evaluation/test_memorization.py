"""Copies of training images among synthetic ones are found, and nothing else is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import synthray as sr
from helpers.planted import Images, changed, textured
from helpers.toys import looks
from synthray.evaluation.memorization import copying_statistic, memorization


def normal(n: int, *, shift: float = 0.0, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(shift, 1, n)


@pytest.fixture(scope="module")
def thirds() -> tuple[Images, Images, Images]:
    """Training, new and held-out images, 30 each."""
    train, new, held_out = np.split(textured(90, side=48, seed=1), 3)
    return train, new, held_out


def test_the_statistic_is_that_of_mann_and_whitney() -> None:
    # The first set is further in 3 of the 6 pairs, as expected of equal distributions.
    assert copying_statistic(np.asarray([1.0, 2.5]), np.asarray([2.0, 3.0, 0.5])) == 0
    nearer = copying_statistic(np.asarray([1.0, 2.0]), np.asarray([3.0, 4.0, 5.0]))
    assert nearer == pytest.approx(-3 / math.sqrt(2 * 3 * 6 / 12))
    a, b = normal(40), normal(60, shift=0.4, seed=1)
    assert copying_statistic(a, b) == pytest.approx(-copying_statistic(b, a))
    null = [copying_statistic(*np.split(normal(100, seed=s), 2)) for s in range(200)]
    assert abs(np.mean(null)) < 0.2
    assert np.std(null) == pytest.approx(1, abs=0.15)


def test_authenticity(thirds: tuple[Images, Images, Images]) -> None:
    images, others, _ = thirds
    train = np.asarray([[0.0], [1.0], [3.0]])
    synthetic = np.asarray([[0.1], [0.5], [-1.5], [2.9]])

    def share(known: NDArray[np.float64], groups: NDArray[np.int64] | None = None) -> float:
        shown = {
            "train": images[: len(known), ..., None],
            "synthetic": others[: len(synthetic), ..., None],
        }
        return memorization(known, synthetic, synthetic, **shown, groups=groups).authenticity

    # Nearest: 0 (its own is 1 away), 0, 0, and 3 (2 away).
    assert share(train) == 0.25
    # A copy beside each training image makes nearly all pass, unless groups keep them apart.
    beside = np.repeat(train, 2, axis=0) + [[0.0], [0.01]] * 3
    assert share(beside) == 1.0
    assert share(beside, np.repeat([5, 3, 4], 2)) == 0.25


def test_planted_copies_are_found(thirds: tuple[Images, Images, Images]) -> None:
    train, new, held_out = thirds
    rng = np.random.default_rng(0)
    turned = [np.asarray(changed(Image.fromarray(c), "rotcrop", rng)) for c in train[10:12]]
    synthetic = np.concatenate([train[5:8], turned, new[5:]])
    report = sr.evaluate_samples(train, synthetic, held_out, features=looks)
    found = report.memorization
    assert found is not None
    assert found.found
    assert found.n_synthetic == 30
    assert found.copies.tolist() == [0, 1, 2, 3, 4]
    assert found.copied.tolist() == [5, 6, 7, 10, 11]
    assert "COPIES: 5 of 30 synthetic images" in str(report)
    assert len(report.pairs) == 5
    np.testing.assert_array_equal(report.pairs[0][0], report.pairs[0][1])
    assert len(report.plot_pairs().axes) == 10


def test_new_images_are_no_copies(thirds: tuple[Images, Images, Images]) -> None:
    report = sr.evaluate_samples(*thirds, features=looks)
    found = report.memorization
    assert found is not None
    assert not found.found
    assert "No sign of copying" in str(report)
    assert found.ratio == pytest.approx(1, abs=0.1)
    assert found.authenticity > 0.5
    assert len(report.pairs) == 8


def test_blends_with_training_images_are_too_near(thirds: tuple[Images, Images, Images]) -> None:
    train, new, held_out = thirds
    blend = np.rint(0.45 * train.astype(float) + 0.55 * new).astype(np.uint8)
    found = sr.evaluate_samples(train, blend, held_out, features=looks).memorization
    assert found is not None
    assert found.c_t < -3
    assert "nearer to training images" in found.describe()
