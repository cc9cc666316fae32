"""SyntheticAugmenter(filter=...): what is generated passes the filter, and nothing else changes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import synthray as sr
from helpers.tiny import tiny_augmenter
from helpers.toys import bars
from synthray.exceptions import SynthrayWarning


def even_only(samples: sr.ImageDataset, real: sr.ImageDataset) -> sr.FilterReport:
    """Keeps images whose values have an even sum: about one of two."""
    odd = sums(samples.images) % 2 == 1
    return sr.FilterReport(samples=samples.select(~odd), kept=~odd, reasons={"odd": odd})


def sums(images: NDArray[np.uint8]) -> NDArray[Any]:
    return images.reshape(len(images), -1).astype(int).sum(1)


@pytest.fixture(scope="module")
def filtered() -> sr.SyntheticAugmenter:
    return tiny_augmenter(filter=even_only).fit(bars(12), verbose=0)


def with_filter(augmenter: sr.SyntheticAugmenter, keep: Any) -> sr.SyntheticAugmenter:
    """The same generators with another filter."""
    other = clone(augmenter).set_params(filter=keep)
    vars(other).update({k: v for k, v in vars(augmenter).items() if k.endswith("_")})
    return other


def test_every_way_of_sampling_is_filtered(filtered: sr.SyntheticAugmenter, tmp_path: Path) -> None:
    wanted = {"upright": 70, "lying": 3}
    samples = filtered.sample(wanted, seed=1)
    assert samples.class_counts == wanted
    assert not (sums(samples.images) % 2).any()
    assert len(np.unique(sums(samples.images))) > 20  # not one image again and again
    tally = samples.provenance["filter"]
    for name, count in wanted.items():
        assert tally[name]["generated"] == tally[name]["kept"] + tally[name]["odd"]
        assert tally[name]["kept"] >= count
    batches = [images for _, images in filtered.sample_batches(wanted, seed=1, batch_size=16)]
    np.testing.assert_array_equal(np.concatenate(batches), samples.images)
    x, _ = filtered.augment((bars(12).images, bars(12).labels), seed=2)
    assert not (sums(x[12:]) % 2).any()
    filtered.sample_to_folder(tmp_path / "images", {"upright": 4}, seed=0, verbose=0)
    assert len(list((tmp_path / "images").rglob("*.png"))) == 4


def test_folders_hold_neither_filter_nor_training_images(
    filtered: sr.SyntheticAugmenter, tmp_path: Path
) -> None:
    filtered.save(tmp_path)
    with pytest.warns(SynthrayWarning, match=r"load\(folder, sources=train, filter="):
        bare = sr.SyntheticAugmenter.load(tmp_path)
    assert (sums(bare.sample(40, seed=0).images) % 2).any()
    with pytest.raises(NotFittedError, match=r"sources=train"):
        sr.SyntheticAugmenter.load(tmp_path, filter=even_only).sample(2)
    again = sr.SyntheticAugmenter.load(tmp_path, sources=bars(12), filter=even_only)
    np.testing.assert_array_equal(again.sample(9, seed=3).images, filtered.sample(9, seed=3).images)
    assert again.fingerprint() == filtered.fingerprint()
    others = sr.SyntheticAugmenter.load(tmp_path, sources=bars(12, seed=5), filter=even_only)
    assert others.fingerprint() != filtered.fingerprint()
    with pytest.raises(ValueError, match="classes and shape"):
        sr.SyntheticAugmenter.load(tmp_path, sources=bars(12, size=32), filter=even_only)


def test_a_fingerprint_knows_the_filter() -> None:
    def of(keep: Any) -> str:
        return tiny_augmenter(filter=keep).fingerprint()

    some = functools.partial(sr.filter_samples, k=3)
    prints = [of(None), of(even_only), of(sr.filter_samples), of(some)]
    assert len(set(prints)) == len(prints)
    assert of(functools.partial(sr.filter_samples, k=3)) == of(some)


def test_rounds_have_seeds_of_their_own_and_the_number_is_met(
    filtered: sr.SyntheticAugmenter,
) -> None:
    asked: list[int] = []

    def third(samples: sr.ImageDataset, real: sr.ImageDataset) -> sr.ImageDataset:
        assert set(samples.labels) == {1}
        assert samples.synthetic.all()
        np.testing.assert_array_equal(real.images, bars(12).images)
        asked.append(len(samples))
        return samples.select(range(0, len(samples), 3))

    images = with_filter(filtered, third).sample({"lying": 400}, seed=1).images
    assert len(np.unique(images, axis=0)) == 400
    assert asked[0] == 440
    assert len(asked) == 2
    assert asked[1] >= 3 * (400 - 147)


def test_a_filter_that_keeps_nothing_ends_with_advice(filtered: sr.SyntheticAugmenter) -> None:
    asked: list[int] = []

    def none(samples: sr.ImageDataset, real: sr.ImageDataset) -> sr.ImageDataset:
        asked.append(len(samples))
        return samples.select([])

    with pytest.raises(RuntimeError, match=r"kept 0 of \d+ images of class 'upright'"):
        with_filter(filtered, none).sample({"upright": 5})
    assert 512 <= sum(asked) <= 5000
    with pytest.raises(TypeError, match="FilterReport"):
        with_filter(filtered, lambda samples, real: samples.images).sample(2)
