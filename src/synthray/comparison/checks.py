"""Checks of a comparison's arguments, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from synthray.datasets.image_dataset import ImageDataset


def check_data(
    train: ImageDataset, test: ImageDataset, validation: ImageDataset | None = None
) -> None:
    """Raise where data sets do not belong together.

    Raises:
        TypeError: If one is not an `ImageDataset`.
        ValueError: If one is empty or holds synthetic images, shapes or classes differ, or a class
            has no training image.
    """
    sets = {"train": train, "test": test}
    if validation is not None:
        sets["validation"] = validation
    for name, data in sets.items():
        if not isinstance(data, ImageDataset):
            raise TypeError(
                f"{name} must be an ImageDataset, got {type(data).__name__}. For arrays: "
                "ImageDataset.from_arrays(images, labels)."
            )
        if not len(data):
            raise ValueError(f"{name} holds no image.")
        if data.synthetic.any():
            raise ValueError(
                f"{int(data.synthetic.sum())} of {len(data)} images of {name} are synthetic. Only "
                "augmenter= may hold drawn images: data.select(~data.synthetic)."
            )
        found = (data.image_shape, data.class_names)
        if found != (train.image_shape, train.class_names):
            raise ValueError(
                f"{name} has images of {found[0]} and classes {found[1]}, train has "
                f"{train.image_shape} and {train.class_names}. Load them alike, or use resize, "
                "to_grayscale or to_rgb."
            )
    empty = [name for name, count in train.class_counts.items() if not count]
    if empty or train.num_classes < 2:
        raise ValueError(
            f"Expected training images of two or more classes, got {train.class_counts}."
        )


def check_validation(
    validation: ImageDataset | float | None, data: ImageDataset, *, with_folds: bool
) -> None:
    """Raise where validation images cannot be had.

    Raises:
        TypeError: If it is neither a share nor a data set.
        ValueError: If it does not fit.
    """
    if validation is None:
        return
    if isinstance(validation, ImageDataset):
        if with_folds:
            raise ValueError(
                "With folds, validation images come out of the training side of each: pass a "
                "share, such as validation=0.15."
            )
        check_data(data, data, validation)
    elif not isinstance(validation, float):
        raise TypeError(
            "validation must be an ImageDataset or a share of the training images such as 0.15, "
            f"got {type(validation).__name__}."
        )
    elif not 0.0 < validation < 1.0:
        raise ValueError(f"validation must be a share between 0 and 1, got {validation}.")


def checked_seeds(seeds: Iterable[int]) -> list[int]:
    """Return the seeds as a list.

    Raises:
        ValueError: If there is none, one is not an integer from 0, or one appears twice.
    """
    found: list[Any] = list(seeds) if isinstance(seeds, Iterable) else []
    whole = all(isinstance(seed, int | np.integer) and seed >= 0 for seed in found)
    if not found or not whole or len(set(found)) != len(found):
        raise ValueError(
            "seeds must be different integers from 0, such as (0,) or range(5); got "
            f"{found if found else seeds}."
        )
    return [int(seed) for seed in found]


def positive_label(positive_class: int | str | None, class_names: tuple[str, ...]) -> int:
    """Return the label of the positive class.

    Raises:
        ValueError: If there is no such class.
    """
    if positive_class is None:
        return 1
    if positive_class in class_names:
        return class_names.index(str(positive_class))
    if isinstance(positive_class, int) and 0 <= positive_class < len(class_names):
        return positive_class
    raise ValueError(f"positive_class must be one of {class_names}, got {positive_class!r}.")
