"""Presets: small folders from which a generator samples and is fine-tuned."""

from __future__ import annotations

import functools
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from helpers.generators import tiny_projected
from synthray.exceptions import FileFormatError, SynthrayWarning

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


def test_classes_are_known_by_their_names(preset: Path) -> None:
    named = sr.ProjectedGAN.from_preset(preset, class_names=["broken", "new", "intact"], seed=1)
    intact, broken = _shifts(sr.ProjectedGAN.from_preset(preset))
    np.testing.assert_allclose(_shifts(named), [broken, (intact + broken) / 2, intact], atol=1e-6)
    # Of two opposite classes the mean would be 0, which is no direction.
    vector = named.discriminator.get_layer("head0_classes").singular.numpy()
    np.testing.assert_allclose(vector, 3**-0.5, rtol=1e-6)


def _shifts(gan: sr.ProjectedGAN) -> Any:
    return gan.generator.get_layer("class_shift").kernel.numpy()


@pytest.mark.parametrize("shape", [SHAPE, (56, 56, 3)])
def test_an_augmenter_fine_tunes_a_preset(
    preset: Path, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    bones = sr.make_phantoms(6, image_shape=SHAPE, seed=1)
    if shape != SHAPE:
        bones = bones.resize(*shape[:2]).to_rgb()
    augmenter = sr.SyntheticAugmenter(preset, epochs=1, random_state=0)
    assert augmenter.planned_steps(bones.class_counts) == 1
    expected = nullcontext() if shape == SHAPE else pytest.warns(SynthrayWarning, match="softer")
    with expected:
        augmenter.fit(bones, verbose=0)
    gan: Any = augmenter.generators_["intact"]
    assert (gan.image_shape, int(gan.images_seen.numpy())) == (
        SHAPE,
        2 * max(bones.class_counts.values()),
    )
    synthetic = augmenter.sample(4, seed=0)
    assert synthetic.image_shape == shape
    augmenter.save(tmp_path)
    again = sr.SyntheticAugmenter.load(tmp_path)
    np.testing.assert_array_equal(again.sample(4, seed=0).images, synthetic.images)
    assert again.generator == str(preset)
    filtered = again.set_params(filter=lambda samples, real: samples.select([0, 1]))
    filtered.sources_ = bones
    assert filtered.sample(4, seed=0).image_shape == shape


def test_images_are_reduced_to_those_of_a_preset_but_not_distorted(
    preset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = functools.partial(sr.SyntheticAugmenter, preset, epochs=1, random_state=0)
    wide = sr.make_phantoms(4, image_shape=(28, 56, 1), seed=0)
    with pytest.raises(ValueError, match="28x28, but this data set has 28x56"):
        make().fit(wide, verbose=0)
    assert make().planned_steps({"a": 4_000, "b": 2_000}) == 1_000
    auto = sr.SyntheticAugmenter("limbs_64")
    assert auto.planned_steps({"a": 1_000, "b": 500}) == 4_000 / 8


def test_a_preset_of_one_kind_of_image_is_tuned_once_a_class(tmp_path: Path) -> None:
    small().save_to_preset(tmp_path)
    bones = sr.make_phantoms(6, image_shape=SHAPE, seed=1)
    augmenter = sr.SyntheticAugmenter(tmp_path, epochs=1, random_state=0).fit(bones, verbose=0)
    first, second = augmenter.generators_.values()
    assert first is not second
    assert augmenter.sample(4, seed=0).class_names == bones.class_names
    with pytest.raises(ValueError, match="conditional=True"):
        augmenter.set_params(conditional=True).fit(bones, verbose=0)


def test_a_hub_is_asked_for_a_preset(preset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # an import fails
    with pytest.raises(ImportError, match=r"synthray\[hub\]"):
        sr.ProjectedGAN.from_preset("hf://user/bones")
    hub: Any = ModuleType("huggingface_hub")
    hub.snapshot_download = {"user/bones": str(preset)}.__getitem__
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert sr.ProjectedGAN.from_preset("hf://user/bones").num_classes == 2


def test_mistakes_are_explained(preset: Path, tmp_path: Path) -> None:
    load = sr.ProjectedGAN.from_preset
    with pytest.raises(FileFormatError, match=r"is missing\. Expected one of "):
        load(tmp_path)
    with pytest.raises(ValueError, match="2 names"):
        small(num_classes=2).save_to_preset(tmp_path, class_names=["one"])
    with pytest.raises(ValueError, match=r"Use save\(\)"):
        tiny_projected().save_to_preset(tmp_path)
    plain = small()
    plain.save_to_preset(tmp_path / "plain")
    with pytest.raises(ValueError, match="one kind of image"):
        load(tmp_path / "plain", class_names=["a", "b"])
    wide = small(width=0.125)
    wide.save_to_preset(tmp_path / "wide")
    (tmp_path / "wide" / "weights.npz").replace(tmp_path / "plain" / "weights.npz")
    with pytest.raises(FileFormatError, match="another network"):
        load(tmp_path / "plain")
    plain.generator.weights[0].assign(1e6 * np.ones(plain.generator.weights[0].shape))
    plain.ema_generator.set_weights(plain.generator.get_weights())
    with pytest.raises(ValueError, match="half precision"):
        plain.save_to_preset(tmp_path / "large")
