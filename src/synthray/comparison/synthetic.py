"""The drawn images of a comparison: from an augmenter, or given."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthray._fingerprint import digest
from synthray.augmenter.resampling import counts_by_name
from synthray.comparison.arms import Arm
from synthray.datasets.image_dataset import ImageDataset


def check_augmenter(
    augmenter: Any, arms: list[Arm], train: ImageDataset, n: Any, *, with_folds: bool = False
) -> None:
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
        _check_unseen(with_folds)
    elif not (hasattr(augmenter, "fit") and hasattr(augmenter, "sample")):
        raise TypeError(
            "augmenter must be a SyntheticAugmenter or an ImageDataset of drawn images, got "
            f"{type(augmenter).__name__}."
        )
    elif is_fitted(augmenter):
        _check_fit(augmenter.image_shape_, augmenter.class_names_, train)
        _check_unseen(with_folds)
    if isinstance(n, Mapping):
        classes = getattr(augmenter, "classes_", range(train.num_classes))
        counts_by_name(n, train.class_names, list(classes))  # raises where it would when it draws


def is_fitted(augmenter: Any) -> bool:
    """Whether an augmenter can draw every class; one whose `fit` was interrupted cannot."""
    if not hasattr(augmenter, "class_names_"):
        return False
    return set(getattr(augmenter, "generators_", augmenter.class_names_)) >= set(
        augmenter.class_names_
    )


def fingerprint(augmenter: Any, train: ImageDataset, *, seed: int) -> str:
    """Return the digest of what determines the drawn images, but for the training images.

    Raises:
        TypeError: If the augmenter does not tell.
    """
    if isinstance(augmenter, ImageDataset):
        return digest(augmenter)
    if not hasattr(augmenter, "fingerprint"):
        raise TypeError(
            "workdir= keeps fits apart by their settings, and asks the augmenter for "
            f"fingerprint(image_shape). {type(augmenter).__name__} has none."
        )
    found: str = fresh(augmenter, seed).fingerprint(train.image_shape)
    return found


def fresh(augmenter: Any, seed: int) -> Any:
    """Return an augmenter for one seed: a fitted one itself, of another an unfitted copy."""
    if is_fitted(augmenter):
        return augmenter
    if hasattr(augmenter, "unfitted_copy"):
        return augmenter.unfitted_copy(random_state=seed)
    return copy.deepcopy(augmenter)


def draw(
    augmenter: Any,
    train: ImageDataset,
    n: int | Mapping[Any, int] | None,
    *,
    seed: int,
    verbose: Any,
    workdir: Path | None = None,
    shown: Any = None,
) -> ImageDataset:
    """Return drawn images; an augmenter that is not fitted is left so, a copy learns from `train`.

    Args:
        augmenter: Draws; or images drawn already.
        train: Images to learn from.
        n: How many to draw; by default as many of each class as there are in `train`.
        seed: Of weights, order and latents.
        verbose: As in Keras' `fit`.
        workdir: Folder for the generators' checkpoints.
        shown: A Keras callback that shows progress.
    """
    if isinstance(augmenter, ImageDataset):
        return augmenter
    own = fresh(augmenter, seed)
    if not is_fitted(own):
        wanted: dict[str, Any] = {"verbose": verbose}
        if workdir is not None:
            wanted["workdir"] = workdir
        if shown is not None:
            wanted["callbacks"] = lambda name: [shown]
        named = inspect.signature(own.fit).parameters
        own.fit(train, **{key: value for key, value in wanted.items() if key in named})
    drawn: ImageDataset = own.sample(train.class_counts if n is None else n, seed=seed)
    return drawn


def planned(augmenter: Any, train: ImageDataset, n: int | Mapping[Any, int] | None) -> int:
    """Return how many drawn images there will be."""
    if augmenter is None:
        return 0
    if isinstance(augmenter, ImageDataset):
        return len(augmenter)
    if n is None:
        return len(train)
    return sum(n.values()) if isinstance(n, Mapping) else int(n)


def _check_unseen(with_folds: bool) -> None:
    if with_folds:
        raise ValueError(
            "With folds, generators must learn from the training side of each fold alone, and "
            "these images (or this fitted augmenter) may have learnt from any. Pass an augmenter "
            "that is not fitted, or a test set instead of folds."
        )


def _check_fit(image_shape: Any, class_names: Any, train: ImageDataset) -> None:
    found = (tuple(image_shape), tuple(class_names))
    if found != (train.image_shape, train.class_names):
        raise ValueError(
            f"The synthetic images have shape {found[0]} and classes {found[1]}, the training set "
            f"{train.image_shape} and {train.class_names}. Fit the augmenter on the same training "
            "set."
        )
