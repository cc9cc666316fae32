"""The drawn images of a comparison: from an augmenter, or given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthray.comparison.arms import Arm
from synthray.datasets.image_dataset import ImageDataset


def check_augmenter(augmenter: Any, arms: list[Arm], train: ImageDataset, n: Any) -> None:
    """Raise where the arms cannot get drawn images that fit the training set.

    Raises:
        TypeError: If `augmenter` can neither draw nor is drawn already.
        ValueError: If there is none, or shapes, classes or counts do not fit.
    """
    needing = [arm.name for arm in arms if arm.needs_synthetic]
    if augmenter is None:
        if needing:
            raise ValueError(
                f"The arms {needing} train on synthetic images. Pass augmenter=SyntheticAugmenter("
                "...), or an ImageDataset of drawn images, or leave those arms out."
            )
        return
    if isinstance(augmenter, ImageDataset):
        if n is not None:
            raise ValueError(
                "n_synthetic is for an augmenter that draws. Of a drawn ImageDataset, pass the "
                "images to use: augmenter.select(...)."
            )
        if not len(augmenter) or not augmenter.synthetic.all():
            raise ValueError(
                f"Expected an augmenter or a data set of synthetic images, got {augmenter!r}. "
                "Mark drawn images with ImageDataset.from_arrays(..., synthetic=True)."
            )
        _check_fit(augmenter.image_shape, augmenter.class_names, train)
    elif not (hasattr(augmenter, "fit") and hasattr(augmenter, "sample")):
        raise TypeError(
            "augmenter must be a SyntheticAugmenter or an ImageDataset of drawn images, got "
            f"{type(augmenter).__name__}."
        )
    elif is_fitted(augmenter):
        _check_fit(augmenter.image_shape_, augmenter.class_names_, train)


def is_fitted(augmenter: Any) -> bool:
    """Whether an augmenter can draw every class; one whose `fit` was interrupted cannot."""
    if not hasattr(augmenter, "class_names_"):
        return False
    return set(getattr(augmenter, "generators_", augmenter.class_names_)) >= set(
        augmenter.class_names_
    )


def draw(
    augmenter: Any,
    train: ImageDataset,
    n: int | Mapping[Any, int] | None,
    *,
    seed: int,
    verbose: Any,
) -> ImageDataset:
    """Return drawn images; an augmenter that is not fitted is fitted on the training set first."""
    if isinstance(augmenter, ImageDataset):
        return augmenter
    if not is_fitted(augmenter):
        augmenter.fit(train, verbose=verbose)
    drawn: ImageDataset = augmenter.sample(train.class_counts if n is None else n, seed=seed)
    return drawn


def _check_fit(image_shape: Any, class_names: Any, train: ImageDataset) -> None:
    found = (tuple(image_shape), tuple(class_names))
    if found != (train.image_shape, train.class_names):
        raise ValueError(
            f"The synthetic images have shape {found[0]} and classes {found[1]}, the training set "
            f"{train.image_shape} and {train.class_names}. Fit the augmenter on the same training "
            "set."
        )
