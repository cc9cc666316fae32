from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from synthray.augmentation.classic import RandomAffine, classic_augmentation


@pytest.fixture
def images() -> NDArray[Any]:
    """Smooth blobs, so that interpolation is nearly exact."""
    y, x = np.mgrid[:40, :40].astype(np.float32)
    blob = np.exp(-((y - 15) ** 2 + (x - 24) ** 2) / 60) + np.exp(-((y - 25) ** 2) / 30) / 3
    return (np.stack([blob, blob.T])[..., None] * 180).astype(np.float32)


@pytest.mark.backend
def test_classic_augmentation_changes_little_but_all(images: NDArray[Any]) -> None:
    layers = classic_augmentation(flip=True, seed=0)
    changed = ops.convert_to_numpy(layers(images, training=True))
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert (np.abs(changed - images).mean(axis=(1, 2, 3)) > 1).all()
    np.testing.assert_allclose(ops.convert_to_numpy(layers(images, training=False)), images)


@pytest.mark.backend
def test_affine_without_amounts_is_identity(images: NDArray[Any]) -> None:
    same = ops.convert_to_numpy(RandomAffine(seed=0)(images, training=True))
    np.testing.assert_allclose(same, images, atol=1e-3)


@pytest.mark.backend
def test_affine_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (3, 20, 15, 2)).astype(np.float32)
    layer: Any = RandomAffine(rotation=30, shift=0.2, zoom=0.3, seed=5)
    found = ops.convert_to_numpy(layer(images, training=True))
    generator = keras.random.SeedGenerator(5)
    amounts = ops.convert_to_numpy(keras.random.uniform((4, 3), -1.0, 1.0, seed=generator))
    expected = np.zeros_like(images)
    y, x = np.mgrid[:20, :15]
    for image, (turn, zoom, down, right), changed in zip(images, amounts.T, expected, strict=True):
        angle, scale = np.radians(30 * float(turn)), np.exp(float(zoom) * np.log(1.3))
        rows, cols = (y - 9.5) / scale, (x - 7) / scale
        places = [
            np.cos(angle) * rows + np.sin(angle) * cols + 9.5 + down * 0.2 * 20,
            np.cos(angle) * cols - np.sin(angle) * rows + 7 + right * 0.2 * 15,
        ]
        for channel in range(2):
            changed[..., channel] = map_coordinates(
                image[..., channel], places, order=1, mode="grid-constant"
            )
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_affine_amounts_stay_within_limits() -> None:
    dot = np.zeros((400, 41, 41, 1), np.float32)
    dot[:, 20, 20] = 1
    moved = ops.convert_to_numpy(RandomAffine(shift=0.1, seed=0)(dot, training=True))[..., 0]
    rows = (moved.sum(axis=2) * np.arange(41)).sum(axis=1) / moved.sum(axis=(1, 2)) - 20
    assert 3.5 < np.abs(rows).max() <= 4.1
    turned = np.zeros((400, 41, 41, 1), np.float32)
    turned[:, 20, 36] = 1
    turned = ops.convert_to_numpy(RandomAffine(rotation=10, seed=0)(turned, training=True))[..., 0]
    rows = (turned.sum(axis=2) * np.arange(41)).sum(axis=1) / turned.sum(axis=(1, 2)) - 20
    assert 2.5 < np.abs(rows).max() <= 16 * np.sin(np.radians(10)) + 0.1


def test_affine_is_a_keras_layer(images: NDArray[Any]) -> None:
    layer = RandomAffine(rotation=5, shift=0.1, zoom=0.2, seed=3, name="affine")
    again = RandomAffine.from_config(layer.get_config())
    np.testing.assert_array_equal(
        ops.convert_to_numpy(layer(images)), ops.convert_to_numpy(again(images))
    )
    assert layer.compute_output_shape((None, 4, 4, 3)) == (None, 4, 4, 3)
    rgb = np.repeat(images, 3, axis=-1)
    colour = ops.convert_to_numpy(RandomAffine.from_config(layer.get_config())(rgb))
    np.testing.assert_allclose(colour[..., 0], colour[..., 2])
    with pytest.raises(ValueError, match="0 or more"):
        RandomAffine(zoom=-0.1)
