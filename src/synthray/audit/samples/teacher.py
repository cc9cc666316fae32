"""`CrossFittedTeacher`: classifiers of real images that judge what is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from synthray._fingerprint import digest
from synthray._seeds import spawn_seeds
from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.datasets import _splits
from synthray.datasets.image_dataset import ImageDataset

_AT_ONCE = 256


class CrossFittedTeacher:
    """Classifiers trained on the folds of a real set, each on all but one.

    Called with images, it returns the mean of their probabilities. What it says about the images
    that it was trained on comes from the one classifier that has not seen them
    (`out_of_fold_`), so `balanced_accuracy_` tells what its word is worth: a teacher that is right
    in two cases of three drops many good images.

    Args:
        classifier: Makes a classifier: called with `num_classes=`, `image_shape=` and `seed=`,
            returns a `FractureClassifier` or a Keras model that takes `uint8` images, compiled for
            integer labels, and returns probabilities, `(n, 1)` for two classes or `(n, classes)`.
        folds: Number of classifiers, at least 2. Groups stay whole.
        epochs: Passes of each over its images. Classes weigh alike, however rare.
        batch_size: Images a training step.
        seed: Of folds and weights.

    Attributes:
        members_: The trained classifiers.
        out_of_fold_: Probabilities of the training images, shape `(n, classes)`.
        balanced_accuracy_: Mean share of each class that `out_of_fold_` gets right.

    Raises:
        ValueError: If there are fewer than 2 folds, or fewer groups than folds.

    Examples:
        >>> import functools
        >>> import synthray as sr
        >>> train = sr.make_phantoms(60, image_shape=(32, 32, 1), seed=0)
        >>> teacher = sr.CrossFittedTeacher(folds=2, epochs=1).fit(train)
        >>> teacher(train.images[:3]).shape
        (3, 2)
        >>> careful = functools.partial(sr.filter_samples, teacher=teacher, copies=False)
        >>> augmenter = sr.SyntheticAugmenter(filter=careful)
    """

    members_: list[Any]
    out_of_fold_: NDArray[np.float64]
    balanced_accuracy_: float

    def __init__(
        self,
        classifier: Callable[..., Any] = FractureClassifier,
        *,
        folds: int = 3,
        epochs: int = 20,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        if folds < 2 or epochs < 1:
            raise ValueError(
                f"folds must be at least 2 and epochs at least 1, got {folds} and {epochs}."
            )
        self.classifier = classifier
        self.folds = folds
        self.epochs = epochs
        self.batch_size = batch_size
        self.seed = seed

    def fit(self, data: ImageDataset) -> Self:
        """Train on real images; nothing is done where it was trained on these before.

        Args:
            data: Real training images, with groups where several show one patient.
        """
        key = digest([data, data.group_codes])
        if getattr(self, "_fitted_on", None) == key:
            return self
        members, out_of_fold = [], np.zeros((len(data), data.num_classes))
        seeds = spawn_seeds(self.seed, self.folds)
        folds = _splits.folds(data.labels, data.groups, self.folds, self.seed)
        for seed, (seen, rest) in zip(seeds, folds, strict=True):
            member = self.classifier(
                num_classes=data.num_classes, image_shape=data.image_shape, seed=seed
            )
            counts = np.bincount(data.labels[seen], minlength=data.num_classes)
            weights = {i: len(seen) / max(n, 1) / len(counts) for i, n in enumerate(counts)}
            member.fit(
                data.images[seen],
                data.labels[seen],
                epochs=self.epochs,
                batch_size=self.batch_size,
                class_weight=weights,
                verbose=0,
            )
            members.append(member)
            out_of_fold[rest] = _probabilities(member, data.images[rest])
        right = out_of_fold.argmax(1) == data.labels
        self.members_ = members
        self.out_of_fold_ = out_of_fold
        self.balanced_accuracy_ = float(
            np.mean([right[data.labels == label].mean() for label in np.unique(data.labels)])
        )
        self._fitted_on = key
        return self

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return probabilities of images, shape `(n, classes)`: the mean of all classifiers."""
        return np.mean([_probabilities(member, images) for member in self._fitted()], axis=0)

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what the classifiers compute before their last layer, side by side.

        For `evaluate_samples(features=teacher.features)`. Drawn and held-out images are described
        alike, as neither was trained on. Training images were: the `real` and `augmented` rows, and
        the screen for copies, should be read in
        [`random_features`][synthray.random_features].

        Args:
            images: `uint8`, shape `(n, height, width, channels)`.

        Returns:
            Shape `(n, features)`; of three `FractureClassifier`s 384.

        Raises:
            TypeError: If the classifiers have no method `features`.
        """
        members = self._fitted()
        if not hasattr(members[0], "features"):
            raise TypeError(
                f"{type(members[0]).__name__} has no method features(images). Use "
                "FractureClassifier, or give your model one."
            )
        return np.concatenate([member.features(images) for member in members], axis=1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments: what tells one teacher from another."""
        return {
            "classifier": self.classifier,
            "folds": self.folds,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }

    def _fitted(self) -> list[Any]:
        if not hasattr(self, "members_"):
            raise RuntimeError(
                "This CrossFittedTeacher has not been fitted. Call fit(train) first."
            )
        return self.members_


def _probabilities(member: Any, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    found = np.asarray(member.predict(images, batch_size=_AT_ONCE, verbose=0), np.float64)
    return np.concatenate([1 - found, found], axis=1) if found.shape[1] == 1 else found
