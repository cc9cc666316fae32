"""TranslationAugmenter: real images of one class, translated into the other."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import synthray as sr
from helpers.tiny import Break, untraced_cyclegan
from helpers.toys import assert_equal_weights, bars
from synthray.exceptions import DivergenceError, DivergenceWarning


def make(**arguments: Any) -> sr.TranslationAugmenter:
    settings = {"epochs": 1, "batch_size": 8, "random_state": 0}
    generator = arguments.pop("generator", untraced_cyclegan)
    return sr.TranslationAugmenter(generator, **(settings | arguments))


@pytest.fixture(scope="module")
def data() -> sr.ImageDataset:
    """8 upright and 4 lying images, two of each patient."""
    return (
        bars(16).select(np.r_[0:16:2, 1:9:2]).with_groups([f"patient {i // 2}" for i in range(12)])
    )


@pytest.fixture(scope="module")
def translator(data: sr.ImageDataset) -> sr.TranslationAugmenter:
    return make().fit(data, verbose=0)


def test_makes_translations_of_the_other_class(
    translator: sr.TranslationAugmenter, data: sr.ImageDataset
) -> None:
    model: Any = translator.generators_["lying"]
    samples = translator.sample({"lying": 8, "upright": 6}, seed=1)
    assert samples.class_counts == {"upright": 6, "lying": 8}
    assert samples.synthetic.all()
    assert samples.provenance["source"] == "synthray.TranslationAugmenter"
    for label, part in enumerate(samples.by_class().values()):
        sources = data.select(data.labels != label)
        expected = model.translate(sources.images, to=label)
        found = [
            [i for i, image in enumerate(expected) if np.array_equal(image, other)]
            for other in part.images
        ]
        assert all(len(places) == 1 for places in found)
        places = np.concatenate(found)
        assert sources.groups is not None
        np.testing.assert_array_equal(part.groups, sources.groups[places])
        # 8 upright sources for 8; 4 lying ones for 6: none twice before each came once.
        counts = np.bincount(places, minlength=len(sources))
        assert counts.max() - counts.min() == (0 if label else 1)
    batches = list(translator.sample_batches({"lying": 8, "upright": 6}, seed=1, batch_size=5))
    assert [(name, len(images)) for name, images in batches] == [
        *(("upright", 5), ("upright", 1)),
        *(("lying", 5), ("lying", 3)),
    ]
    again = np.concatenate([images for _, images in batches]).astype(int)
    assert np.abs(again - samples.images).max() <= 1
    other = translator.sample({"lying": 3}, seed=2)
    assert not np.array_equal(other.images, translator.sample({"lying": 3}, seed=3).images)
    assert len(translator.sample(6, seed=0)) == 6


def test_joins_a_training_set_group_by_group(
    translator: sr.TranslationAugmenter, data: sr.ImageDataset
) -> None:
    both = translator.augment(data)
    np.testing.assert_array_equal(both.images[: len(data)], data.images)
    assert set(both.groups[len(data) :]) <= set(data.groups)  # type: ignore[arg-type]
    # Images of another set are nobody's source.
    others = bars(12, seed=5).with_groups(None)
    mixed = translator.augment(others)
    assert not set(mixed.groups[:12]) & set(mixed.groups[12:])
    alone = make().fit_resample(data.with_groups(None), verbose=0)
    assert alone.class_counts == {"upright": 8, "lying": 8}
    assert set(alone.groups[len(data) :]) <= set(alone.groups[: len(data)])  # of its source
    assert len(np.unique(alone.groups)) == len(data)
    names = np.array(data.class_names)[data.labels]
    x, y = translator.augment((data.images / 255.0, names), ratio=0.5)
    assert x.dtype == np.float64
    assert (y == "lying").sum() == 6


@pytest.mark.slow
def test_a_checkpoint_is_taken_up(data: sr.ImageDataset, tmp_path: Path) -> None:
    straight = make(epochs=2).fit(data, verbose=0)
    make().fit(data, workdir=tmp_path, verbose=0)
    seen: list[str] = []

    def callbacks(name: str) -> list[Any]:
        seen.append(name)
        return []

    resumed = make(epochs=2).fit(data, workdir=tmp_path, callbacks=callbacks, verbose=0)
    assert seen == ["translation"]
    assert len(resumed.histories_["upright"]["cycle_loss"]) == 2
    for name in data.class_names:
        assert_equal_weights(resumed.generators_[name], straight.generators_[name])
    assert resumed.fingerprint() == straight.fingerprint()
    others = sr.ImageDataset.from_arrays(data.images, 1 - data.labels, class_names=data.class_names)
    with pytest.raises(ValueError, match="another images"):
        make(epochs=3).fit(others, workdir=tmp_path, verbose=0)


def test_a_saved_folder_holds_no_real_image(
    translator: sr.TranslationAugmenter, data: sr.ImageDataset, tmp_path: Path
) -> None:
    translator.save(tmp_path)
    assert {file.suffix for file in tmp_path.iterdir()} == {".keras", ".json"}
    with pytest.raises(NotFittedError, match=r"load\(folder, sources=train\)"):
        sr.TranslationAugmenter.load(tmp_path).sample(2)
    with pytest.raises(ValueError, match="classes and shape"):
        sr.TranslationAugmenter.load(tmp_path, sources=data.to_rgb())
    back = sr.TranslationAugmenter.load(tmp_path, sources=data)
    expected = translator.sample(4, seed=0)
    np.testing.assert_array_equal(back.sample(4, seed=0).images, expected.images)
    assert back.fingerprint() == translator.fingerprint()
    fewer = sr.TranslationAugmenter.load(tmp_path, sources=data.select(np.arange(10)))
    assert fewer.fingerprint() != back.fingerprint()  # it makes other images
    alone = sr.TranslationAugmenter.load(tmp_path, sources=data.with_groups(None))
    places = alone.sample({"lying": 8}, seed=0).groups
    assert sorted(places) == np.flatnonzero(data.labels == 0).tolist()  # type: ignore[arg-type]


def test_clones_keep_the_arguments_of_the_generator(
    translator: sr.TranslationAugmenter, tmp_path: Path
) -> None:
    again = clone(translator)
    assert again.get_params() == translator.get_params()
    assert not hasattr(again, "sources_")
    given = clone(make(generator=functools.partial(sr.CycleGAN, residual_blocks=1))).generator
    assert given.keywords == {"residual_blocks": 1}
    translator.save(tmp_path)
    loaded = clone(sr.TranslationAugmenter.load(tmp_path)).generator(image_shape=(8, 8, 1), seed=0)
    assert isinstance(loaded, sr.CycleGAN)
    assert loaded.residual_blocks == 0
    assert loaded.class_names is None


def test_what_cannot_be_translated_is_refused(data: sr.ImageDataset) -> None:
    three = sr.ImageDataset.from_arrays(np.zeros((3, 16, 16), "uint8"), [0, 1, 2])
    with pytest.raises(ValueError, match="between two classes"):
        make().fit(three, verbose=0)
    with pytest.raises(ValueError, match=r"\['lying'\] have none"):
        make().fit(data.select(data.labels == 0), verbose=0)
    synthetic = sr.ImageDataset.from_arrays(data.images, data.labels, synthetic=True)
    with pytest.raises(ValueError, match="12 of 12 images are synthetic"):
        make().fit(synthetic, verbose=0)
    with pytest.raises(TypeError, match="filter"):
        make(filter=sr.filter_samples)


def test_a_translation_that_breaks_down_is_an_error(data: sr.ImageDataset) -> None:
    augmenter = make()
    with (
        pytest.warns(DivergenceWarning, match="Back to the state after 0 steps"),
        pytest.raises(DivergenceError, match="No epoch"),
    ):
        augmenter.fit(data, callbacks=lambda name: [Break(0)], verbose=0)
    assert not hasattr(augmenter, "generators_")


def test_planned_steps_pass_over_the_larger_class() -> None:
    augmenter = sr.TranslationAugmenter(epochs=3, batch_size=4)
    assert augmenter.planned_steps({"a": 10, "b": 4}) == 9
