"""Sampling: seeds, batches, labels, truncation, given latents."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.generators import tiny_dcgan, tiny_r3gan


def test_sampling_is_deterministic_whatever_the_batch_size() -> None:
    gan = tiny_dcgan()
    images = gan.sample(11, seed=5)
    assert images.shape == (11, 16, 16, 1)
    assert images.dtype == np.uint8
    for batch_size in (1, 4):
        np.testing.assert_array_equal(gan.sample(11, seed=5, batch_size=batch_size), images)
    np.testing.assert_array_equal(gan.sample(4, seed=5), images[:4])
    assert not np.array_equal(gan.sample(11, seed=6), images)
    assert not np.array_equal(gan.sample(11), gan.sample(11))
    latents = np.random.default_rng(5).standard_normal((11, 128), dtype=np.float32)
    np.testing.assert_array_equal(gan.generate(latents, batch_size=4), images)
    assert gan.sample(0).shape == (0, 16, 16, 1)
    assert [len(b) for b in gan.sample_batches(5, batch_size=4)] == [4, 1]
    half = gan.sample(11, seed=5, truncation=0.5)
    np.testing.assert_array_equal(gan.generate(0.5 * latents), half)


def test_impossible_arguments() -> None:
    gan = tiny_dcgan()
    with pytest.raises(ValueError, match=r"shape \(n, 128\), got \(3, 64\)"):
        gan.generate(np.zeros((3, 64)))
    with pytest.raises(ValueError, match="n >= 0"):
        gan.sample(-1)
    with pytest.raises(ValueError, match="truncation > 0"):
        gan.sample_batches(1, truncation=0)
    with pytest.raises(ValueError, match="batch_size"):
        gan.sample(1, batch_size=0)
    with pytest.raises(ValueError, match="labels are for a class-conditional model"):
        gan.sample(5, labels=0)


def test_truncation_generates_nearer_to_the_average_image() -> None:
    gan = tiny_r3gan()
    full, half = (gan.sample(50, seed=0, truncation=t) for t in (1.0, 0.5))
    assert half.std(axis=0).mean() < 0.7 * full.std(axis=0).mean()


def test_interpolation_goes_along_a_great_circle() -> None:
    gan = tiny_dcgan()
    ways = gan.interpolate(3, 5, seed=4, batch_size=4)
    assert ways.shape == (3, 5, 16, 16, 1)
    start, stop = np.random.default_rng(4).standard_normal((2, 3, 128), np.float32)
    np.testing.assert_array_equal(ways[:, 0], gan.generate(start, batch_size=4))
    # In the middle of two vectors of one length: their sum, at that length.
    lengths = [np.linalg.norm(each, axis=1, keepdims=True) for each in (start, stop)]
    both = start / lengths[0] + stop / lengths[1]
    angle = 2 * np.arccos(np.linalg.norm(both, axis=1, keepdims=True) / 2)
    half = (start + stop) * np.sin(angle / 2) / np.sin(angle)
    middle = gan.generate(half, batch_size=4)
    np.testing.assert_allclose(ways[:, 2].astype(int), middle, atol=1)
    np.testing.assert_allclose(ways[:, 4].astype(int), gan.generate(stop, batch_size=4), atol=1)
    several = tiny_r3gan(num_classes=3, label_images=0)
    found = several.interpolate(2, 3, labels=[2, 0], seed=1)
    latents = np.random.default_rng(1).standard_normal((2, 2, several.latent_dim), np.float32)[0]
    np.testing.assert_array_equal(found[:, 0], several.generate(latents, labels=[2, 0]))
    for n, steps in ((0, 3), (1, 1)):
        with pytest.raises(ValueError, match="n >= 1 and steps >= 2"):
            gan.interpolate(n, steps)


def test_labels_choose_the_class() -> None:
    gan = tiny_r3gan(num_classes=3, label_images=0)
    turns = gan.sample(5, seed=0)
    np.testing.assert_array_equal(gan.sample(5, seed=0, labels=[0, 1, 2, 0, 1]), turns)
    np.testing.assert_array_equal(gan.sample(5, seed=0, batch_size=2), turns)
    latents = np.random.default_rng(0).standard_normal((5, 64), dtype=np.float32)
    np.testing.assert_array_equal(gan.generate(latents, batch_size=2), turns)
    np.testing.assert_array_equal(
        gan.generate(latents, labels=2), gan.sample(5, seed=0, labels=np.full(5, 2))
    )
    for wrong in (3, -1, [0, 1], 0.5, [0, 1, 2, 3, 0]):
        with pytest.raises(ValueError, match=r"integers of shape \(5,\), from 0 to 2"):
            gan.sample(5, labels=wrong)
