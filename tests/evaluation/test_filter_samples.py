"""Which synthetic images are left out, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import synthray as sr
from helpers.planted import textured
from helpers.toys import looks


def dataset(images: NDArray[np.uint8], labels: Any, *, synthetic: bool = False) -> sr.ImageDataset:
    return sr.ImageDataset.from_arrays(images, labels, class_names=("a", "b"), synthetic=synthetic)


@pytest.fixture(scope="module")
def real() -> sr.ImageDataset:
    return dataset(textured(24, side=32), np.arange(24) % 2)


@pytest.fixture(scope="module")
def synthetic(real: sr.ImageDataset) -> sr.ImageDataset:
    """Six new images, a copy and its mirror image, and two blank ones with noise."""
    noise = np.random.default_rng(0).integers(0, 255, (2, 32, 32), np.uint8)
    images = [*textured(6, side=32, seed=1), real.images[3, ..., 0], real.images[4, :, ::-1, 0]]
    return dataset(np.stack([*images, *noise]), [0, 1, 0, 1, 0, 1, 1, 0, 0, 1], synthetic=True)


def test_each_reason_speaks_for_itself(real: sr.ImageDataset, synthetic: sr.ImageDataset) -> None:
    def ensemble(images: NDArray[np.uint8]) -> NDArray[Any]:
        p = np.full((len(images), 2), 0.5)
        p[2] = 0.4, 0.6  # generated as class 0
        p[1] = 0.4, 0.6
        return p

    report = sr.filter_samples(synthetic, real, ensemble=ensemble, features=looks)
    assert np.flatnonzero(report.reasons["copy"]).tolist() == [6, 7]
    assert np.flatnonzero(report.reasons["contradicted"]).tolist() == [2]
    assert report.reasons["outside"][[8, 9]].all()
    assert not report.reasons["outside"][[6, 7]].any()
    expected = ~np.any(list(report.reasons.values()), axis=0)
    np.testing.assert_array_equal(report.kept, expected)
    np.testing.assert_array_equal(report.samples.images, synthetic.images[expected])
    assert report.samples.synthetic.all()
    assert f"Kept {expected.sum()} of 10 synthetic images" in str(report)
    assert "2 copy, 1 contradicted, " in repr(report)
    options: dict[str, Any] = {"copies": False, "features": looks}
    strict = sr.filter_samples(synthetic, real, ensemble=ensemble, agreement=0.55, **options)
    assert strict.counts["contradicted"] == 9
    assert "copy" not in strict.counts


def test_reach_is_that_of_the_class_and_of_k(real: sr.ImageDataset) -> None:
    """Features on a line: class a at 0, 1, 2 ..., class b at 100, 101, ..."""

    def place(images: NDArray[np.uint8]) -> NDArray[Any]:
        return images.reshape(len(images), -1)[:, :1].astype(float)

    def at(values: list[int], labels: list[int]) -> sr.ImageDataset:
        images = np.zeros((len(values), 32, 32), np.uint8)
        images[:, 0, 0] = values
        return dataset(images, labels)

    train = at([0, 1, 2, 3, 100, 101, 102, 103], [0] * 4 + [1] * 4)
    synthetic = at([4, 5, 6, 100, 97, 2], [0, 0, 0, 0, 1, 1])

    def outside(k: int) -> list[bool]:
        report = sr.filter_samples(synthetic, train, copies=False, k=k, features=place)
        return [bool(value) for value in report.reasons["outside"]]

    assert outside(1) == [False, True, True, True, True, True]
    assert outside(3) == [False, False, False, True, False, True]


def test_copies_of_a_radiograph_do_not_shorten_the_reach_of_others() -> None:
    """Ten radiographs of a class, eight shifted copies of each: grouped, or taken for eighty."""
    radiographs = textured(20, side=32)
    shifts = [(dy, dx) for dy in (0, 1) for dx in (0, 1, 2, 3)]
    copies = np.concatenate([np.roll(radiographs, shift, (1, 2)) for shift in shifts])
    labels, groups = np.tile(np.arange(20) % 2, 8), np.tile(np.arange(20), 8)
    ungrouped = dataset(copies, labels)
    new = dataset(textured(20, side=32, seed=1), np.arange(20) % 2, synthetic=True)
    options: dict[str, Any] = {"copies": False, "k": 3, "features": looks}
    once = sr.filter_samples(new, dataset(radiographs, labels[:20]), **options)
    alike = sr.filter_samples(new, ungrouped.with_groups(groups), **options)
    taken_apart = sr.filter_samples(new, ungrouped, **options)
    assert once.counts["outside"] < 5
    assert alike.counts["outside"] <= once.counts["outside"]
    assert taken_apart.counts["outside"] > 15
    with pytest.raises(ValueError, match=r"10 groups of training images; k=10 needs more"):
        sr.filter_samples(new, ungrouped.with_groups(groups), **(options | {"k": 10}))


def test_nothing_asked_nothing_dropped(real: sr.ImageDataset, synthetic: sr.ImageDataset) -> None:
    report = sr.filter_samples(synthetic, real, copies=False, support=False)
    assert report.kept.all()
    assert "no check" in str(report)
    none = sr.filter_samples(synthetic.select([]), real, copies=False, features=looks)
    assert len(none.samples) == 0


def test_mistakes_are_explained(real: sr.ImageDataset, synthetic: sr.ImageDataset) -> None:
    with pytest.raises(ValueError, match=r"'synthetic': \(\(16, 16, 1\)"):
        sr.filter_samples(synthetic.resize(16, 16), real)
    with pytest.raises(
        ValueError, match=r"Class 'a' has 12 groups of training images; k=12 needs more"
    ):
        sr.filter_samples(synthetic, real, k=12, copies=False, features=looks)
    for ensemble, message in (
        (lambda x: np.zeros(len(x)), r"shape \(10, 2\), got shape \(10,\)"),
        (lambda x: np.full((len(x), 2), 2.0), r"such as \[2"),
    ):
        with pytest.raises(ValueError, match=message):
            sr.filter_samples(synthetic, real, ensemble=ensemble, copies=False)


def test_the_network_that_chose_is_named(real: sr.ImageDataset, synthetic: sr.ImageDataset) -> None:
    kept = sr.filter_samples(synthetic, real, copies=False).samples
    assert kept.provenance["networks"] == ["efficientnet_lite0"]
    again = sr.filter_samples(kept, real, copies=False, features=looks).samples
    assert again.provenance["networks"] == ["efficientnet_lite0", "looks"]
    assert "networks" not in sr.filter_samples(synthetic, real, support=False).samples.provenance


def test_the_hardest_of_each_class_are_kept(
    real: sr.ImageDataset, synthetic: sr.ImageDataset
) -> None:
    sure = np.asarray([0.9, 0.6, 0.5, 0.8, 0.7, 0.95, 0.99, 0.55, 0.3, 0.65])  # of their class

    def ensemble(images: NDArray[np.uint8]) -> NDArray[Any]:
        other = 1 - sure
        return np.where(synthetic.labels[:, None] == [0, 1], sure[:, None], other[:, None])

    options: dict[str, Any] = {"ensemble": ensemble, "copies": False, "support": False}
    report = sr.filter_samples(synthetic, real, hardest=0.5, **options)
    # Image 8 is contradicted; of 0, 2, 4, 7 of class 0 two are kept, of 1, 3, 5, 6, 9 two.
    assert np.flatnonzero(report.kept).tolist() == [1, 2, 7, 9]
    assert report.counts == {"contradicted": 1, "easy": 5}
    assert sr.filter_samples(synthetic, real, **options).counts == {"contradicted": 1}


@pytest.mark.parametrize(("hardest", "with_ensemble"), [(0.5, False), (1.0, True), (0.0, True)])
def test_hardest_needs_an_ensemble_and_a_share(
    real: sr.ImageDataset, synthetic: sr.ImageDataset, hardest: float, with_ensemble: bool
) -> None:
    ensemble = (lambda images: np.full((len(images), 2), 0.5)) if with_ensemble else None
    with pytest.raises(ValueError, match="hardest is the share"):
        sr.filter_samples(synthetic, real, hardest=hardest, ensemble=ensemble)
