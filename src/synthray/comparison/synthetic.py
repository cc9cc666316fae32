"""The synthetic images of a comparison: from an augmenter, or given."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from sklearn.base import clone

from synthray.augmenter.labels import counts_by_name
from synthray.comparison.arms import Arm
from synthray.datasets.image_dataset import ImageDataset

Counts = int | Mapping[Any, int] | None


def check_augmenter(
    augmenter: Any, arms: tuple[Arm, ...], train: ImageDataset, n: Counts, *, with_folds: bool
) -> None:
    """Raise where the arms cannot get synthetic images that fit the training set.

    Raises:
        TypeError: If `augmenter` can neither generate images nor is a set of them.
        ValueError: If there is none, or shapes, classes or counts do not fit.
    """
    needing = [arm.name for arm in arms if arm.needs_synthetic]
    if augmenter is None:
        if needing:
            raise ValueError(
                f"The arms {needing} train on synthetic images. Pass augmenter=SyntheticAugmenter("
                "...), or an ImageDataset of synthetic images, or leave those arms out."
            )
        return
    if isinstance(augmenter, ImageDataset):
        if n is not None:
            raise ValueError(
                "n_synthetic is for an augmenter that generates images. Of an ImageDataset, pass "
                "the images to use: augmenter.select(...)."
            )
        if not len(augmenter) or not augmenter.synthetic.all():
            raise ValueError(
                f"Expected an augmenter or a data set of synthetic images, got {augmenter!r}. "
                "Mark synthetic images with ImageDataset.from_arrays(..., synthetic=True)."
            )
        _check_fit(augmenter.image_shape, augmenter.class_names, train)
    elif not (hasattr(augmenter, "fit") and hasattr(augmenter, "sample")):
        raise TypeError(
            "augmenter must be a SyntheticAugmenter, an object with fit and sample, or an "
            f"ImageDataset of synthetic images, got {type(augmenter).__name__}."
        )
    elif is_fitted(augmenter):
        _check_fit(augmenter.image_shape_, augmenter.class_names_, train)
    if with_folds and (isinstance(augmenter, ImageDataset) or is_fitted(augmenter)):
        raise ValueError(
            "With folds, generators must learn from the training side of each fold alone, and "
            "these images (or this fitted augmenter) may have learnt from any. Pass an augmenter "
            "that is not fitted, or a test set instead of folds."
        )
    if isinstance(n, Mapping):
        classes = getattr(augmenter, "classes_", range(train.num_classes))
        counts_by_name(n, train.class_names, list(classes))


def is_fitted(augmenter: Any) -> bool:
    """Whether an augmenter can generate every class; one whose `fit` was interrupted cannot."""
    names = getattr(augmenter, "class_names_", None)
    return names is not None and set(getattr(augmenter, "generators_", names)) >= set(names)


def for_seed(augmenter: Any, seed: int) -> Any:
    """Return an augmenter for one seed: a fitted one itself, of another an unfitted clone."""
    if is_fitted(augmenter):
        return augmenter
    own = clone(augmenter, safe=False)
    if hasattr(own, "get_params") and "random_state" in own.get_params(deep=False):
        own.set_params(random_state=seed)
    return own


def fitted_for_seed(augmenter: Any, train: ImageDataset, seed: int, **options: Any) -> Any:
    """Return an augmenter that generates for one seed; one that is not fitted is left so.

    Args:
        augmenter: Has `fit(train)` and `sample(counts, seed=)`.
        train: Images to learn from.
        seed: Of weights, order and latents.
        **options: `verbose` and `workdir`, given to `fit` if its signature names them; but `None`.
    """
    own = for_seed(augmenter, seed)
    if not is_fitted(own):
        named = inspect.signature(own.fit).parameters
        wanted = {k: v for k, v in options.items() if k in named and v is not None}
        own.fit(train, **wanted)
    return own


def planned(augmenter: Any, train: ImageDataset, n: Counts) -> int:
    """Return how many synthetic images there will be."""
    if augmenter is None:
        return 0
    if isinstance(augmenter, ImageDataset):
        return len(augmenter)
    if n is None:
        return len(train)
    return sum(n.values()) if isinstance(n, Mapping) else int(n)


def _check_fit(image_shape: Any, class_names: Any, train: ImageDataset) -> None:
    found = (tuple(image_shape), tuple(class_names))
    if found != (train.image_shape, train.class_names):
        raise ValueError(
            f"The synthetic images have shape {found[0]} and classes {found[1]}, the training set "
            f"{train.image_shape} and {train.class_names}. Fit the augmenter on the same training "
            "set."
        )
