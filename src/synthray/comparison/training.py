"""`Training`: how a classifier is trained, written once and shared by all that train one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import keras
import numpy as np
from numpy.typing import NDArray

from synthray.augmentation.batch_augmentation import BatchAugmentation
from synthray.augmentation.classic import classic_augmentation
from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.datasets.image_dataset import ImageDataset

Budget = Literal["equal_steps", "epochs"]
ClassWeight = Literal["balanced"] | Mapping[int, float] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """How a classifier is trained: for `run_comparison`, `train_classifier` and `tune`.

    Attributes:
        classifier: Makes a new classifier for each fit: called with those of `num_classes=`,
            `image_shape=` and `seed=` that its signature names (with none, for
            `lambda: my_model()`). Returns a Keras model that takes float32 images of 0 to 255,
            shape `(n, *image_shape)`, and ends in a softmax over all classes or, for two, in one
            sigmoid. A model that is not compiled gets Adam at 1e-3 and the cross-entropy.
        epochs: Passes over the training images. An epoch has `ceil(len(train) / batch_size)` steps,
            whatever an arm trains on.
        batch_size: Images a step.
        augmentation: What phases with `augment=True` apply: a Keras layer, or a function from a
            float32 batch of 0 to 255 to the same (called with `seed=` if its signature names it).
            By default [`classic_augmentation()`][synthray.classic_augmentation].
        class_weight: `"balanced"` weighs images so that all classes of a phase count the same; a
            dict gives the weight of each label.
        budget: `"equal_steps"`: every arm takes `epochs` epochs in all, shared out over its phases.
            `"epochs"`: every phase sees its own images `epochs` times, to the nearest whole epoch,
            as in the original experiment; arms with more images or more phases train longer.
        validation: Evaluated after each epoch, for the histories (`val_...`) and `callbacks`. A
            share such as 0.15 is taken out of the training images, whole groups; with a test set
            it may also be an `ImageDataset`.
        callbacks: Called with an arm's name and a seed, returns Keras callbacks for that fit. In a
            worker process they cannot change objects of the calling process.

    Raises:
        TypeError: If a value is of another kind.
        ValueError: If a value is out of its range.

    Examples:
        >>> import synthray as sr
        >>> training = sr.Training(epochs=30, class_weight="balanced")
        >>> training.batch_size
        32
    """

    classifier: Callable[..., Any] = FractureClassifier
    epochs: int = 20
    batch_size: int = 32
    augmentation: Any = None
    class_weight: ClassWeight = None
    budget: Budget = "equal_steps"
    validation: ImageDataset | float | None = None
    callbacks: Callable[[str, int], list[Any]] | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if isinstance(self.classifier, keras.Model) or not callable(self.classifier):
            raise TypeError(
                "classifier must be a function that makes a new Keras model for each fit, got "
                f"{type(self.classifier).__name__}. Write classifier=lambda: build_my_model()."
            )
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, operator.index(value))
            except TypeError:
                raise TypeError(f"{name} must be an integer, got {value!r}.") from None
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}.")
        if self.budget not in get_args(Budget):
            raise ValueError(f"budget must be one of {get_args(Budget)}, got {self.budget!r}.")
        if self.augmentation is not None:
            self.batch_augmentation()  # raises where it is neither a layer nor a function
        if isinstance(self.class_weight, Mapping):  # plain numbers, which JSON takes
            weights = {int(label): float(weight) for label, weight in self.class_weight.items()}
            object.__setattr__(self, "class_weight", weights)
        elif self.class_weight not in (None, "balanced"):
            raise ValueError(
                'class_weight must be "balanced", None, or a dict with a weight for each label, '
                f"got {self.class_weight!r}."
            )
        if isinstance(self.validation, float) and not 0.0 < self.validation < 1.0:
            raise ValueError(f"validation must be a share between 0 and 1, got {self.validation}.")
        if not isinstance(self.validation, ImageDataset | float | None):
            raise TypeError(
                "validation must be an ImageDataset or a share of the training images such as "
                f"0.15, got {type(self.validation).__name__}."
            )

    @property
    def classifier_name(self) -> str:
        """The name of the function that makes classifiers."""
        make = getattr(self.classifier, "func", self.classifier)  # of a functools.partial
        return str(getattr(make, "__qualname__", type(make).__name__))

    def batch_augmentation(self) -> BatchAugmentation:
        """Return what augmented phases apply."""
        transform = classic_augmentation() if self.augmentation is None else self.augmentation
        return BatchAugmentation(transform, batch_size=self.batch_size)

    def image_weights(
        self,
        labels: NDArray[np.int64],
        num_classes: int,
        probabilities: NDArray[np.floating] | None = None,
    ) -> NDArray[np.float32] | None:
        """Return one weight an image by its class; with soft labels, the mean of its classes'.

        Raises:
            ValueError: If a dict lacks a label or has others.
        """
        if self.class_weight is None:
            return None
        if probabilities is None:
            probabilities = np.eye(num_classes)[labels]
        if isinstance(self.class_weight, Mapping):
            if set(self.class_weight) != set(range(num_classes)):
                raise ValueError(
                    "class_weight must have a weight for each of the labels "
                    f"{list(range(num_classes))}, got {self.class_weight!r}."
                )
            weights = np.asarray([self.class_weight[label] for label in range(num_classes)])
        else:
            counts = probabilities.sum(axis=0)
            weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        found: NDArray[np.float32] = (probabilities @ weights).astype(np.float32)
        return found
