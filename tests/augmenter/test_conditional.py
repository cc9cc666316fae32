"""SyntheticAugmenter(conditional=...): one model that learns all classes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthray as sr
from helpers.tiny import TinyGAN, tiny_augmenter
from helpers.toys import assert_equal_weights, bars

small = functools.partial(sr.R3GAN, width=0.125, label_images=0)


def eager(num_classes: int | None = None, **arguments: Any) -> sr.R3GAN:
    gan = small(num_classes=num_classes, **arguments)
    gan.compile(run_eagerly=True)
    return gan


def make(**arguments: Any) -> sr.SyntheticAugmenter:
    return tiny_augmenter(**({"generator": eager, "conditional": True} | arguments))


@pytest.fixture(scope="module")
def conditional() -> sr.SyntheticAugmenter:
    data = bars(20, size=8)
    few = data.select(np.flatnonzero((data.labels == 0) | (np.arange(20) < 4)))  # 10 and 2
    return make().fit(few, verbose=0)


def test_one_model_makes_each_class(conditional: sr.SyntheticAugmenter, tmp_path: Path) -> None:
    gan = conditional.generators_["upright"]
    assert gan is conditional.generators_["lying"]
    assert gan.num_classes == 2
    # The rarer class is shown as often: 10 images of each, 8 a step.
    assert int(gan.optimizer.iterations.numpy()) == 3
    assert conditional.planned_steps(conditional.n_train_) == 3
    samples = conditional.sample({"upright": 5, "lying": 4}, seed=1)
    assert samples.class_counts == {"upright": 5, "lying": 4}
    lying = conditional.sample({"lying": 4}, seed=1).images
    np.testing.assert_array_equal(samples.by_class()["lying"].images, lying)
    same_latents = gan.sample(4, seed=2, labels=0), gan.sample(4, seed=2, labels=1)
    assert not np.array_equal(*same_latents)
    conditional.save(tmp_path)
    assert len(list(tmp_path.glob("*.keras"))) == 1
    back = sr.SyntheticAugmenter.load(tmp_path)
    assert back.generators_["upright"] is back.generators_["lying"]
    assert back.conditional is True
    images = conditional.sample(6, seed=3).images
    np.testing.assert_array_equal(back.sample(6, seed=3).images, images)


@pytest.mark.slow
def test_a_stopped_fit_goes_on(tmp_path: Path) -> None:
    data = bars(16, size=8)
    called: list[str] = []

    def note(name: str) -> list[Any]:
        called.append(name)
        return []

    straight = make(epochs=2).fit(data, callbacks=note, verbose=0)
    make(epochs=1).fit(data, workdir=tmp_path, verbose=0)
    other = sr.ImageDataset.from_arrays(data.images, 1 - data.labels, class_names=data.class_names)
    with pytest.raises(ValueError, match="another images"):
        make(epochs=2).fit(other, workdir=tmp_path, verbose=0)
    assert called == ["all classes"]
    resumed = make(epochs=2).fit(data, workdir=tmp_path, verbose=0)
    assert len(resumed.histories_["lying"]["loss"]) == 2
    # Not the same weights: of one epoch alone, the learning rate fell faster.
    assert int(resumed.generators_["lying"].images_seen.numpy()) == 32
    again = make(epochs=2).fit(data, verbose=0)
    assert_equal_weights(again.generators_["lying"], straight.generators_["lying"])


def test_auto_picks_what_the_generator_can() -> None:
    def is_shared(generator: Any, conditional: Any = "auto") -> bool:
        augmenter = make(generator=generator, conditional=conditional, batch_size=1)
        return augmenter.planned_steps(counts) == 2 * 50

    counts = {"a": 50, "b": 20}
    assert is_shared(small)
    assert is_shared(small, True)
    assert not is_shared(small, False)
    assert not is_shared(TinyGAN)
    for generator, few in ((TinyGAN, counts), (small, {"a": 5})):
        with pytest.raises(ValueError, match="conditional=True trains one model for all classes"):
            make(generator=generator).planned_steps(few)
    with pytest.raises(ValueError, match="got 'yes'"):
        make(conditional="yes").planned_steps(counts)
    both = functools.partial(small, num_classes=2)
    with pytest.raises(ValueError, match="pass conditional=True to the augmenter"):
        make(generator=both, conditional=False).fit(bars(8, size=8), verbose=0)


def test_auto_is_what_the_generator_recommends() -> None:
    counts = {"a": 4000, "b": 1000}
    steps = sr.SyntheticAugmenter().planned_steps(counts)
    assert steps == 2 * (8000 // 8)  # 12,000 images of one model
    assert sr.SyntheticAugmenter(sr.DCGAN).planned_steps(counts) == 9 * 125 + 35 * 32
    one = functools.partial(sr.ProjectedGAN, width=0.5)
    assert sr.SyntheticAugmenter(one, epochs=1).planned_steps(counts) == 1000
    assert sr.TranslationAugmenter(epochs=1).planned_steps(counts) == 1000
    by_function = sr.TranslationAugmenter(lambda **given: sr.CycleGAN(**given), epochs=1)
    assert by_function.planned_steps(counts) == 1000
    with pytest.raises(ValueError, match="epochs"):
        sr.SyntheticAugmenter(epochs=0).planned_steps(counts)
    with pytest.raises(ValueError, match="batch_size"):
        sr.SyntheticAugmenter(batch_size=0).planned_steps(counts)
