"""DiffAugment: what each change does, computed another way, and that it can be learned through."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

from synthray.generators.diff_augment import AUGMENTATIONS, DiffAugment


def images(channels: int = 3, shape: tuple[int, int] = (16, 24), n: int = 5) -> NDArray[Any]:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (n, *shape, channels)).astype("float32")


def changed(kinds: Any, x: Any, strength: float = 1.0, seed: int = 0) -> NDArray[Any]:
    augment = DiffAugment(kinds)
    draws = augment.draw(len(x), seed=keras.random.SeedGenerator(seed))
    return np.asarray(ops.convert_to_numpy(augment(x, draws, strength=strength)))


def drawn(kind: str, n: int = 5, seed: int = 0) -> NDArray[Any]:
    draws = DiffAugment(kind).draw(n, seed=keras.random.SeedGenerator(seed))
    return np.asarray(ops.convert_to_numpy(draws[kind]))


def test_nothing_happens_at_strength_zero() -> None:
    x = images()
    np.testing.assert_array_equal(changed(AUGMENTATIONS, x, 0.0), x)
    np.testing.assert_array_equal(changed((), x), x)
    assert not np.allclose(changed(AUGMENTATIONS, x, 0.3), x)


def test_a_pair_is_changed_in_the_same_way_and_rows_differ() -> None:
    augment = DiffAugment()
    x = np.repeat(images(n=1), 6, axis=0)
    draws = augment.draw(6, seed=keras.random.SeedGenerator(3))
    real, fake = (ops.convert_to_numpy(augment(x, draws, strength=1.0)) for _ in range(2))
    np.testing.assert_array_equal(real, fake)
    assert all(not np.allclose(real[0], row) for row in real[1:])
    other = ops.convert_to_numpy(augment(x * 0.5, draws, strength=1.0))
    bright = drawn("brightness", 6)
    assert other.shape == bright.shape[:1] + x.shape[1:]


def test_a_seed_decides() -> None:
    x = images()
    np.testing.assert_array_equal(changed(AUGMENTATIONS, x), changed(AUGMENTATIONS, x))
    assert not np.allclose(changed(AUGMENTATIONS, x), changed(AUGMENTATIONS, x, seed=1))


@pytest.mark.backend
@pytest.mark.parametrize("channels", [1, 3])
def test_translation_moves_and_pads_with_gray(channels: int) -> None:
    x = images(channels, n=30)
    found = changed("translation", x)
    shifts = np.rint(drawn("translation", 30) * [16 / 8, 24 / 8]).astype(int)
    assert {tuple(s) for s in np.abs(shifts)} >= {(0, 1), (1, 2)}
    assert np.abs(shifts).max(axis=0).tolist() == [2, 3]
    for before, after, (down, right) in zip(x, found, shifts, strict=True):
        expected = np.zeros_like(before)
        for i in range(16):
            for j in range(24):
                if 0 <= i - down < 16 and 0 <= j - right < 24:
                    expected[i, j] = before[i - down, j - right]
        np.testing.assert_allclose(after, expected, atol=1e-6)


def test_cutout_blanks_a_square_of_half_the_side() -> None:
    x = np.ones((200, 16, 24, 1), "float32")
    for strength, rows, columns in ((1.0, 8, 12), (0.5, 4, 6)):
        holes = changed("cutout", x, strength)[..., 0] == 0
        heights, widths = holes.any(2).sum(1), holes.any(1).sum(1)
        np.testing.assert_array_equal(holes.sum((1, 2)), heights * widths)  # rectangles
        assert (heights.max(), widths.max()) == (rows, columns)
        assert heights.min() >= rows // 2  # the centre lies within
    assert holes.any(0).all()


def test_colour_changes_are_as_defined() -> None:
    x = images()
    gray = x.mean(axis=3, keepdims=True)
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    for strength in (1.0, 0.4):
        for kind, expected in (
            ("brightness", x + strength * 0.5 * drawn("brightness")),
            ("saturation", gray + (x - gray) * (1 + strength * drawn("saturation"))),
            ("contrast", mean + (x - mean) * (1 + strength * 0.5 * drawn("contrast"))),
        ):
            np.testing.assert_allclose(changed(kind, x, strength), expected, atol=1e-5)
    np.testing.assert_array_equal(changed("saturation", images(1)), images(1))


def test_strength_is_held_between_0_and_1() -> None:
    x = images()
    np.testing.assert_array_equal(changed(AUGMENTATIONS, x, 5.0), changed(AUGMENTATIONS, x, 1.0))
    np.testing.assert_array_equal(changed(AUGMENTATIONS, x, -1.0), x)
    low, high = changed(AUGMENTATIONS, images(n=200)).min(), changed(AUGMENTATIONS, x).max()
    # Within (1 + 0.5) * 2 for colour, times 1.5 for contrast about a mean of at most 1.5.
    assert low >= -5
    assert high <= 5


@pytest.mark.backend
def test_gradients_flow_to_where_the_pixels_came_from() -> None:
    x = images(1, n=2)
    augment = DiffAugment(("contrast", "translation", "cutout"))
    draws = augment.draw(2, seed=keras.random.SeedGenerator(4))

    class Picture(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.pixels = self.add_weight(shape=x.shape, initializer="zeros")

        def call(self, target: Any) -> Any:
            return augment(self.pixels + 0 * target, draws, strength=1.0)

    picture = Picture()
    model = keras.Sequential([keras.Input(batch_shape=x.shape), picture])
    target = ops.convert_to_numpy(augment(x, draws, strength=1.0))
    model.compile(keras.optimizers.SGD(x[0].size / 4), "mse")
    first = model.evaluate(target, target, verbose=0)
    model.fit(target, target, batch_size=2, epochs=60, verbose=0, shuffle=False)
    assert model.evaluate(target, target, verbose=0) < 0.02 * first


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Unknown augmentations \['flip'\]; choose from bright"):
        DiffAugment(("flip", "cutout"))
    assert DiffAugment(("cutout", "brightness")).kinds == ("brightness", "cutout")
