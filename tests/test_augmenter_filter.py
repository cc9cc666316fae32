"""SyntheticAugmenter(filter=...): what is drawn passes the filter, and nothing else changes."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import synthray as sr
from synthray.augmenter.filtering import draw_filtered
from toys import bars

tiny = functools.partial(sr.DCGAN, width=0.125)


def even_only(drawn: sr.ImageDataset, real: sr.ImageDataset) -> sr.FilterReport:
    """Keeps images whose values have an even sum: about one of two."""
    odd = drawn.images.reshape(len(drawn), -1).sum(1) % 2 == 1
    return sr.FilterReport(samples=drawn.select(~odd), kept=~odd, reasons={"odd": odd})


def sums(images: NDArray[np.uint8]) -> NDArray[Any]:
    return images.reshape(len(images), -1).astype(int).sum(1)


@pytest.fixture(scope="module")
def fitted() -> sr.SyntheticAugmenter:
    augmenter = sr.SyntheticAugmenter(tiny, epochs=1, random_state=0, filter=even_only)
    return augmenter.fit(bars(12), verbose=0)


def test_every_way_of_drawing_is_filtered(fitted: sr.SyntheticAugmenter, tmp_path: Path) -> None:
    wanted = {"upright": 70, "lying": 3}
    drawn = fitted.sample(wanted, seed=1)
    assert drawn.class_counts == wanted
    assert not (sums(drawn.images) % 2).any()
    assert len(np.unique(sums(drawn.images))) > 20  # not one image again and again
    tally = drawn.provenance["filter"]
    for name, count in wanted.items():
        assert tally[name]["drawn"] == tally[name]["kept"] + tally[name]["odd"]
        assert tally[name]["kept"] >= count
    batches = list(fitted.sample_batches(wanted, seed=1, batch_size=16))
    assert max(len(images) for _, images in batches) <= 16
    np.testing.assert_array_equal(np.concatenate([b for _, b in batches]), drawn.images)
    np.testing.assert_array_equal(fitted.sample(wanted, seed=1).images, drawn.images)
    x, _ = fitted.augment((bars(12).images, bars(12).labels), seed=2)
    assert not (sums(x[12:]) % 2).any()
    fitted.sample_to_folder(tmp_path / "drawn", {"upright": 4}, seed=0, verbose=0)
    assert len(list((tmp_path / "drawn").rglob("*.png"))) == 4


def test_files_hold_neither_filter_nor_training_images(
    fitted: sr.SyntheticAugmenter, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "manifest.json").read_text())["filtered"] is True
    with pytest.warns(UserWarning, match=r"draws unfiltered; to filter: load\(folder, filter="):
        bare = sr.SyntheticAugmenter.load(tmp_path / "saved")
    assert (sums(bare.sample(40, seed=0).images) % 2).any()
    again = sr.SyntheticAugmenter.load(tmp_path / "saved", filter=even_only)
    with pytest.raises(RuntimeError, match=r"use_sources\(train\)"):
        again.sample(2)
    again.use_sources(bars(12))
    np.testing.assert_array_equal(again.sample(9, seed=3).images, fitted.sample(9, seed=3).images)
    with pytest.raises(ValueError, match="Expected classes and shape"):
        again.use_sources(bars(12, size=32))


def test_a_fingerprint_knows_the_filter(fitted: sr.SyntheticAugmenter) -> None:
    def of(keep: Any) -> str:
        return sr.SyntheticAugmenter(tiny, random_state=0, filter=keep).fingerprint((16, 16, 1))

    teacher = sr.CrossFittedTeacher()
    some = functools.partial(sr.filter_samples, k=3)
    prints = [of(None), of(even_only), of(sr.filter_samples), of(some)]
    prints += [of(functools.partial(some, teacher=teacher))]
    prints += [of(functools.partial(some, teacher=sr.CrossFittedTeacher(folds=4)))]
    assert len(set(prints)) == len(prints)
    assert of(functools.partial(sr.filter_samples, k=3)) == of(some)
    teacher.balanced_accuracy_ = 0.5  # what it learns is no part of what it is
    assert of(functools.partial(some, teacher=teacher)) == prints[4]
    copy = fitted.unfitted_copy(random_state=0)
    assert copy.filter is even_only
    assert not hasattr(copy, "sources_")
    other = fitted.fingerprint()
    fitted.use_sources(bars(12, seed=5))
    assert fitted.fingerprint() != other


def count_up(name: str, n: int, seed: int) -> NDArray[np.uint8]:
    """Images of one value each, that of the seed."""
    return np.full((n, 16, 16, 1), seed % 251, np.uint8)


def test_rounds_have_seeds_of_their_own_and_the_number_is_met() -> None:
    asked: list[int] = []

    def draw(name: str, n: int, seed: int) -> NDArray[np.uint8]:
        asked.append(n)
        return count_up(name, n, seed)

    def third(drawn: sr.ImageDataset, real: sr.ImageDataset) -> sr.ImageDataset:
        assert set(drawn.labels) == {1}
        assert drawn.synthetic.all()
        return drawn.select(range(0, len(drawn), 3))

    found = list(draw_filtered(draw, {"upright": 0, "lying": 400}, third, bars(4), [1, 2]))
    images = np.concatenate([part for _, part in found])
    assert {name for name, _ in found} == {"lying"}
    assert len(images) == 400
    assert len(np.unique(images)) == len(asked) == 2
    assert asked[0] == 440
    assert asked[1] >= 3 * (400 - 147)


def test_a_filter_that_keeps_nothing_ends_with_advice() -> None:
    def none(drawn: sr.ImageDataset, real: sr.ImageDataset) -> sr.ImageDataset:
        return drawn.select([])

    tally: dict[str, dict[str, int]] = {}
    with pytest.raises(RuntimeError, match=r"kept 0 of \d+ images drawn of class 'upright'"):
        list(draw_filtered(count_up, {"upright": 5, "lying": 0}, none, bars(4), [1, 2], tally))
    assert 512 <= tally["upright"]["drawn"] <= 5000
    wrong: Any = lambda drawn, real: drawn.images  # noqa: E731
    with pytest.raises(TypeError, match="filter must return a FilterReport or the ImageDataset"):
        list(draw_filtered(count_up, {"upright": 5, "lying": 0}, wrong, bars(4), [1, 2]))


def test_a_translation_is_not_filtered() -> None:
    with pytest.raises(ValueError, match="TranslationAugmenter takes no filter"):
        sr.TranslationAugmenter(filter=sr.filter_samples)
