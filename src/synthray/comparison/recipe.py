"""`Recipe`: what all fits of a comparison have in common, checked before anything is trained."""

from __future__ import annotations

import operator
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from os import PathLike
from typing import Any, get_args

import keras

from synthray._backend import steps_at_once
from synthray._version import __version__
from synthray.comparison import synthetic as drawn_images
from synthray.comparison.arms import Arm, Budget, resolve_arms
from synthray.comparison.augmentation import BatchAugmentation, classic_augmentation
from synthray.comparison.checks import positive_label
from synthray.comparison.fit import ClassWeight, image_weights
from synthray.comparison.models import ClassifierFactory
from synthray.comparison.store import RunStore
from synthray.comparison.stretches import Beginning
from synthray.datasets.image_dataset import ImageDataset


@dataclass(frozen=True, eq=False)
class Recipe:
    """What all cells of a comparison share; as in `run_comparison`.

    Attributes:
        arms: The arms.
        factory: Makes the classifiers.
        augment: What augmented phases apply.
        augmenter: Draws images, or images drawn already, or `None`.
        n_synthetic: How many to draw.
        epochs: Passes over the training images.
        batch_size: Images a step.
        budget: What is equal.
        class_weight: Weights of classes.
        positive: Label of the positive class.
        teachers: How many classifiers label images together, where an arm asks for that.
        callbacks: Makes the user's callbacks.
        store: Where finished fits are kept, or `None`.
        versions: Versions of what computes.
    """

    arms: tuple[Arm, ...]
    factory: ClassifierFactory
    augment: BatchAugmentation
    augmenter: Any
    n_synthetic: int | Mapping[Any, int] | None
    epochs: int
    batch_size: int
    budget: Budget
    class_weight: ClassWeight
    positive: int
    teachers: int
    callbacks: Callable[[str, int], list[Any]] | None
    store: RunStore | None
    versions: Mapping[str, str]

    def try_classifier(self, seed: int) -> None:
        """Make a classifier, and what its phases change: mistakes show before anything long.

        Raises:
            TypeError: If it is no Keras model.
            ValueError: If its output does not fit, or a phase cannot do to it what it should.
        """
        model = self.factory(seed)
        for arm in self.arms:
            Beginning(model, arm)


def make_recipe(
    data: ImageDataset,
    arms: Iterable[Arm | str],
    *,
    augmenter: Any,
    classifier: Callable[..., Any],
    epochs: int,
    batch_size: int,
    budget: Budget,
    augmentation: Any,
    class_weight: ClassWeight,
    n_synthetic: int | Mapping[Any, int] | None,
    teachers: int,
    workdir: str | PathLike[str] | None,
    positive_class: int | str | None = None,
    callbacks: Callable[[str, int], list[Any]] | None = None,
    with_folds: bool = False,
) -> Recipe:
    """Check the arguments that `run_comparison` and `train_classifier` share; bring them together.

    Args:
        data: Real images, checked already.
        arms: Names and `Arm` objects.
        augmenter: As in `run_comparison`.
        classifier: As in `run_comparison`.
        epochs: As in `run_comparison`.
        batch_size: As in `run_comparison`.
        budget: As in `run_comparison`.
        augmentation: As in `run_comparison`.
        class_weight: As in `run_comparison`.
        n_synthetic: As in `run_comparison`.
        teachers: As in `run_comparison`.
        workdir: As in `run_comparison`.
        positive_class: As in `run_comparison`.
        callbacks: As in `run_comparison`.
        with_folds: Whether generators must learn within folds.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If arguments do not fit.
    """
    chosen = resolve_arms(arms)
    try:
        epochs, batch_size = operator.index(epochs), operator.index(batch_size)
    except TypeError:
        raise TypeError(
            f"epochs and batch_size must be integers, got {epochs!r} and {batch_size!r}."
        ) from None
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"epochs and batch_size must be 1 or more, got {epochs}, {batch_size}.")
    if teachers < 1:
        raise ValueError(f"teachers must be 1 or more, got {teachers}.")
    if budget not in get_args(Budget):
        raise ValueError(f"budget must be one of {get_args(Budget)}, got {budget!r}.")
    positive = positive_label(positive_class, data.class_names)
    if class_weight is not None:
        image_weights(data.labels, data.num_classes, class_weight)
    if isinstance(class_weight, Mapping):  # plain numbers, which JSON takes
        class_weight = {int(label): float(weight) for label, weight in class_weight.items()}
    drawn_images.check_augmenter(augmenter, chosen, data, n_synthetic, with_folds=with_folds)
    transform = classic_augmentation() if augmentation is None else augmentation
    return Recipe(
        arms=tuple(chosen),
        factory=ClassifierFactory(
            classifier,
            data,
            steps_per_execution=steps_at_once(),
        ),
        augment=BatchAugmentation(transform, batch_size=batch_size),
        augmenter=augmenter,
        n_synthetic=n_synthetic,
        epochs=epochs,
        batch_size=batch_size,
        budget=budget,
        class_weight=class_weight,
        positive=positive,
        teachers=teachers,
        callbacks=callbacks,
        store=None if workdir is None else RunStore(workdir),
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    backend = keras.backend.backend()
    return {
        "synthray": __version__,
        "python": platform.python_version(),
        "backend": backend,
        **{name: version(name) for name in ("keras", backend, "numpy", "scikit-learn")},
    }
