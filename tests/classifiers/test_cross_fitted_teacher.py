"""CrossFittedTeacher: trained on real images, judged on those it has not seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import synthray as sr
from helpers.toys import bars


class Memory:
    """Knows by heart what it was trained on; of all else it says class 0."""

    def __init__(self, num_classes: int, image_shape: Any, seed: int) -> None:
        self.num_classes, self.seed = num_classes, seed

    def fit(self, images: Any, labels: Any, **arguments: Any) -> None:
        self.known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
        self.arguments = arguments

    def predict(self, images: Any, **arguments: Any) -> NDArray[Any]:
        found = [self.known.get(image.tobytes(), 0) for image in images]
        return np.eye(self.num_classes)[found]


@pytest.fixture(scope="module")
def data() -> sr.ImageDataset:
    return bars(24, size=32).select(range(23)).with_groups(np.arange(23) // 4)


def test_each_image_is_judged_by_the_member_that_has_not_seen_it(data: sr.ImageDataset) -> None:
    ensemble = sr.CrossFittedTeacher(Memory, folds=3, epochs=7, batch_size=4).fit(data)
    assert len(ensemble.members_) == 3
    assert len({member.seed for member in ensemble.members_}) == 3
    # Unseen images are called class 0: all of class 0 right, none of class 1.
    np.testing.assert_array_equal(ensemble.out_of_fold_, np.eye(2)[np.zeros(23, int)])
    assert ensemble.balanced_accuracy_ == 0.5
    groups = data.group_codes
    seen = [[image.tobytes() in m.known for image in data.images] for m in ensemble.members_]
    assert (np.sum(seen, axis=0) == 2).all()  # two of three have seen it
    for mask in np.array(seen):
        assert not set(groups[mask]) & set(groups[~mask])
    p = ensemble(data.images)
    np.testing.assert_allclose(p[data.labels == 1], np.tile([1 / 3, 2 / 3], (11, 1)))
    weights = ensemble.members_[0].arguments["class_weight"]
    counts = np.bincount(list(ensemble.members_[0].known.values()))
    assert weights[0] * counts[0] == pytest.approx(weights[1] * counts[1])
    assert ensemble.members_[0].arguments["epochs"] == 7
    with pytest.raises(TypeError, match="Memory has no method features"):
        ensemble.features(data.images)


def test_trains_again_only_on_other_images(data: sr.ImageDataset) -> None:
    ensemble = sr.CrossFittedTeacher(Memory).fit(data)
    members = ensemble.members_
    assert ensemble.fit(data).members_ is members
    assert ensemble.fit(data.with_groups(None)).members_ is not members
    few = bars(12, size=32, seed=1)
    synthetic = few.select(range(6))
    report = sr.filter_samples(synthetic, few, ensemble=ensemble, copies=False, support=False)
    assert report.counts == {"contradicted": 0}  # two of three members know each of these
    assert {len(m.known) for m in ensemble.members_} == {8}


@pytest.mark.slow
def test_learns_to_tell_classes_apart_and_describes_images() -> None:
    train, other = bars(120, size=32), bars(20, size=32, seed=1)
    ensemble = sr.CrossFittedTeacher(
        sr.FractureClassifier, folds=2, epochs=20, batch_size=8, seed=3
    ).fit(train)
    assert ensemble.balanced_accuracy_ > 0.85
    assert (ensemble(other.images).argmax(1) == other.labels).mean() > 0.85
    wrong = sr.ImageDataset.from_arrays(
        other.images, 1 - other.labels, class_names=other.class_names, synthetic=True
    )
    report = sr.filter_samples(wrong, train, ensemble=ensemble, copies=False, support=False)
    assert report.kept.mean() < 0.15
    features = ensemble.features(other.images)
    assert features.shape == (20, 256)
    for half, member in zip(np.split(features, 2, axis=1), ensemble.members_, strict=True):
        np.testing.assert_allclose(half, member.features(other.images, batch_size=7), atol=1e-5)
        # The last layer makes probabilities of them.
        kernel, bias = member.network.layers[-1].get_weights()
        p = 1 / (1 + np.exp(-(half @ kernel + bias)))
        expected = member.predict(other.images, verbose=0)
        np.testing.assert_allclose(p, expected, atol=1e-5)
    assert ensemble.members_[0].features(other.images[:0]).shape == (0, 128)


def test_mistakes_are_explained(data: sr.ImageDataset) -> None:
    with pytest.raises(ValueError, match="folds must be at least 2 and epochs at least 1"):
        sr.CrossFittedTeacher(folds=1)
    with pytest.raises(RuntimeError, match=r"Call fit\(train\) first"):
        sr.CrossFittedTeacher()(data.images)
    with pytest.raises(ValueError, match="at least 9 groups"):
        sr.CrossFittedTeacher(Memory, folds=9).fit(data)
    assert sr.CrossFittedTeacher(SimpleNamespace, seed=4).get_config() == {
        "classifier": SimpleNamespace,
        "folds": 3,
        "epochs": 20,
        "batch_size": 32,
        "seed": 4,
    }
