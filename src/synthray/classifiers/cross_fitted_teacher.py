"""`CrossFittedTeacher`: an ensemble of classifiers of real images that judges synthetic images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._digest import digest
from synthray._seeds import spawn_seeds
from synthray.classifiers.transfer_classifier import TransferClassifier
from synthray.datasets import splits as _splits
from synthray.datasets.image_dataset import ImageDataset

_AT_ONCE = 256


class CrossFittedTeacher:
    """An ensemble of classifiers, one for each fold of a real set, trained on the other folds.

    Called with images, it returns the mean of their probabilities. `out_of_fold_` holds the
    probabilities of the training images, each from the one classifier that has not seen the image.
    So `balanced_accuracy_` shows how far to trust the ensemble: a filter that uses one of two
    thirds rejects many good images.

    Args:
        classifier: Makes a classifier: called with `num_classes=`, `image_shape=` and `seed=`,
            returns a classifier of the library or a Keras model that takes `uint8` images, compiled
            for integer labels, and returns probabilities, `(n, 1)` for two classes or
            `(n, classes)`.
        folds: Number of classifiers, at least 2. Groups stay whole.
        epochs: Passes of each over its images. Classes have equal weight, however rare.
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
        >>> ensemble = sr.CrossFittedTeacher(folds=2, epochs=1).fit(train)
        >>> ensemble(train.images[:3]).shape
        (3, 2)
        >>> careful = functools.partial(sr.filter_samples, ensemble=ensemble, copies=False)
        >>> augmenter = sr.SyntheticAugmenter(filter=careful)
    """

    members_: list[Any]
    out_of_fold_: NDArray[np.float64]
    balanced_accuracy_: float

    def __init__(
        self,
        classifier: Callable[..., Any] = TransferClassifier,
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
        """Train on real images; does nothing if it was trained on the same images before.

        Args:
            data: Real training images, with groups if several show one patient.
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
            images, labels = data.images[seen], data.labels[seen]
            counts = np.bincount(labels, minlength=data.num_classes)
            weights = {i: len(seen) / max(n, 1) / len(counts) for i, n in enumerate(counts)}
            options = {"epochs": self.epochs, "batch_size": self.batch_size, "verbose": 0}
            member.fit(images, labels, class_weight=weights, **options)
            members.append(member)
            out_of_fold[rest] = _probabilities(member, data.images[rest])
        self.members_ = members
        self.out_of_fold_ = out_of_fold
        right = out_of_fold.argmax(axis=1) == data.labels
        shares = [right[data.labels == label].mean() for label in np.unique(data.labels)]
        self.balanced_accuracy_ = float(np.mean(shares))
        self._fitted_on = key
        return self

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return probabilities of images, shape `(n, classes)`: the mean of all classifiers."""
        return np.mean([_probabilities(member, images) for member in self._fitted()], axis=0)

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what the classifiers compute before their last layer, side by side.

        For `evaluate_samples(features=ensemble.features)`. Synthetic and held-out images are
        comparable, as the classifiers were trained on neither. They were trained on the training
        images, so read the references and the search for copies in the default features instead.

        Args:
            images: `uint8`, shape `(n, height, width, channels)`.

        Returns:
            Shape `(n, features)`: of three `FractureClassifier`s 384, of three
            `TransferClassifier`s 2592, the same three times if their backbone is frozen.

        Raises:
            TypeError: If the classifiers have no method `features`.
        """
        members = self._fitted()
        if not hasattr(members[0], "features"):
            raise TypeError(
                f"{type(members[0]).__name__} has no method features(images). Use a classifier of "
                "the library, or give your model one."
            )
        return np.concatenate([member.features(images) for member in members], axis=1)

    @property
    def networks(self) -> list[str]:
        """Names of the pretrained networks that the classifiers start from."""
        backbones = [getattr(member, "backbone", None) for member in self._fitted()]
        return sorted({each.name for each in backbones if isinstance(each, keras.Model)})

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("classifier", "folds", "epochs", "batch_size", "seed")
        return {name: getattr(self, name) for name in names}

    def _fitted(self) -> list[Any]:
        if not hasattr(self, "members_"):
            raise RuntimeError(
                "This CrossFittedTeacher has not been fitted. Call fit(train) first."
            )
        return self.members_


def _probabilities(member: Any, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    found = np.asarray(member.predict(images, batch_size=_AT_ONCE, verbose=0), np.float64)
    return np.concatenate([1 - found, found], axis=1) if found.shape[1] == 1 else found
