"""`plot_nearest`: which real images stand below a synthetic one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import synthray as sr


def shown(figure: Any) -> list[Any]:
    return [axis.images[0].get_array() for axis in figure.axes if axis.images]


def test_the_nearest_real_images_stand_below() -> None:
    rng = np.random.default_rng(0)
    real = np.array([0, 50, 100, 200], np.uint8)[:, None, None, None] * np.ones((8, 8, 1), np.uint8)
    synthetic = (real[[3, 1]] + rng.integers(0, 9, (2, 8, 8, 1))).astype(np.uint8)

    def brightness(images: Any) -> Any:
        return images.mean(axis=(1, 2))

    figure = sr.plot_nearest(synthetic, real, k=2, features=brightness)
    rows = np.array(shown(figure)).reshape(3, 2, 8, 8)
    np.testing.assert_array_equal(rows[0], synthetic[..., 0])
    np.testing.assert_array_equal(rows[1:, :, 0, 0], [[200, 50], [100, 100]])


@pytest.mark.parametrize(("n", "k"), [(0, 1), (21, 1), (2, 0), (2, 5)])
def test_impossible_numbers(n: int, k: int) -> None:
    images = np.zeros((n, 8, 8, 1), np.uint8)
    with pytest.raises(ValueError, match=f"got {n} and {k}"):
        sr.plot_nearest(images, np.zeros((4, 8, 8, 1), np.uint8), k=k)
