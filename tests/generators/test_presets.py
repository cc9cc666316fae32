"""Presets: small folders from which a generator samples and is fine-tuned."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from helpers.generators import tiny_projected
from synthray.exceptions import FileFormatError

SHAPE = (28, 28, 1)


def small(**arguments: Any) -> sr.ProjectedGAN:
    return sr.ProjectedGAN(SHAPE, **{"width": 0.0625, "size": 32, "seed": 3, **arguments})


@pytest.fixture(scope="module")
def trained() -> sr.ProjectedGAN:
    gan = small(num_classes=2, label_images=1)
    gan.compile(run_eagerly=keras.backend.backend() != "jax")
    gan.fit(sr.make_phantoms(8, image_shape=SHAPE, seed=0), epochs=1, verbose=0)
    return gan


@pytest.fixture(scope="module")
def preset(trained: sr.ProjectedGAN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("presets") / "bones"
    trained.save_to_preset(folder, class_names=["intact", "broken"], card="Eight phantoms.")
    return folder


@pytest.mark.backend
def test_a_preset_makes_the_same_images(trained: sr.ProjectedGAN, preset: Path) -> None:
    again = sr.ProjectedGAN.from_preset(preset)
    expected, found = (gan.sample(6, labels=1, seed=0).astype(int) for gan in (trained, again))
    assert np.abs(found - expected).mean() < 0.5  # weights are rounded
    assert (again.num_classes, again.label_images, again.width) == (2, 0, 0.0625)
    # Heads see the same random convolutions, whatever the seed.
    other = sr.ProjectedGAN.from_preset(preset, seed=9)
    maps = [gan._features(np.ones((1, *SHAPE), np.float32))[0] for gan in (again, other)]
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, maps))
    for mine, theirs in zip(
        again.discriminator.weights, trained.discriminator.weights, strict=True
    ):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-3, atol=1e-6)


def test_a_preset_is_small_and_has_a_card(preset: Path) -> None:
    weights = small(num_classes=2).count_params() + small(num_classes=2).generator.count_params()
    assert (preset / "weights.npz").stat().st_size < 3 * weights
    card = (preset / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: synthray\n")
    assert "Eight phantoms." in card
    assert "intact, broken" in card
    assert "Images seen in training: 8" in card


@pytest.mark.parametrize("num_classes", [2, 3])
def test_an_augmenter_fine_tunes_a_preset(preset: Path, num_classes: int) -> None:
    start = sr.ProjectedGAN.from_preset(preset, num_classes=num_classes, seed=1)
    if num_classes == 3:  # each new class is the mean of the old ones
        shift = start.generator.get_layer("class_shift").kernel.numpy()
        np.testing.assert_allclose(shift, np.repeat(shift[:1], 3, 0))
        one, other = (start.sample(2, labels=label, seed=0) for label in (0, 2))
        np.testing.assert_array_equal(one, other)
        # Of two opposite classes the mean would be 0, which is no direction.
        vector = start.discriminator.get_layer("head0_classes").singular.numpy()
        np.testing.assert_allclose(vector, 3**-0.5, rtol=1e-6)
    bones = sr.make_phantoms(6, image_shape=SHAPE, seed=1)
    data = sr.ImageDataset.from_arrays(bones.images, np.arange(6) % num_classes)
    make = functools.partial(sr.ProjectedGAN.from_preset, preset)
    augmenter = sr.SyntheticAugmenter(make, epochs=1, random_state=0)
    assert augmenter.planned_steps(data.class_counts) == 1
    augmenter.fit(data, verbose=0)
    assert augmenter.sample(4, seed=0).num_classes == num_classes
    assert int(augmenter.generators_["0"].images_seen.numpy()) == 6


def test_mistakes_are_explained(preset: Path, tmp_path: Path) -> None:
    load = sr.ProjectedGAN.from_preset
    with pytest.raises(ValueError, match=r"resize\(28, 28\)"):
        load(preset, image_shape=(64, 64, 1))
    with pytest.raises(FileFormatError, match="is missing"):
        load(tmp_path)
    with pytest.raises(ValueError, match="2 names"):
        small(num_classes=2).save_to_preset(tmp_path, class_names=["one"])
    with pytest.raises(ValueError, match=r"Use save\(\)"):
        tiny_projected().save_to_preset(tmp_path)
    plain = small()
    plain.save_to_preset(tmp_path / "plain")
    with pytest.raises(ValueError, match="one kind of image"):
        load(tmp_path / "plain", num_classes=2)
    wide = small(width=0.125)
    wide.save_to_preset(tmp_path / "wide")
    (tmp_path / "wide" / "weights.npz").replace(tmp_path / "plain" / "weights.npz")
    with pytest.raises(FileFormatError, match="another network"):
        load(tmp_path / "plain")
    plain.generator.weights[0].assign(1e6 * np.ones(plain.generator.weights[0].shape))
    plain.ema_generator.set_weights(plain.generator.get_weights())
    with pytest.raises(ValueError, match="half precision"):
        plain.save_to_preset(tmp_path / "large")
