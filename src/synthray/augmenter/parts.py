"""One generator a class, or one for all: what is trained on which images."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from synthray._seeds import spawn_seeds
from synthray.datasets.image_dataset import ImageDataset
from synthray.generators.gan import GAN

Conditional = bool | Literal["auto"]
Epochs = int | Literal["auto"]

ALL_CLASSES = "all classes"
FEW = 1000  # images of the smallest class, below which "auto" trains one model for all
IMAGES_SEEN = 35_000  # by a generator with epochs="auto"


def parts_of(data: ImageDataset, conditional: bool) -> dict[str, ImageDataset]:
    """Return the images of each generator, by the name that its folder and callbacks get.

    One model of all classes sees each equally often: images of rarer classes are repeated.
    """
    if not conditional:
        return data.by_class()
    rows = [np.flatnonzero(data.labels == label) for label in range(data.num_classes)]
    most = max(map(len, rows))
    return {ALL_CLASSES: data.select(np.concatenate([np.resize(part, most) for part in rows]))}


def sizes_of(counts: Mapping[str, int], conditional: bool) -> dict[str, int]:
    """Return how many images an epoch of each generator passes over."""
    if not conditional:
        return dict(counts)
    return {ALL_CLASSES: len(counts) * max(counts.values())}


def epochs_of(asked: Epochs, images: int) -> int:
    """Return the epochs of a generator that learns from so many images.

    Raises:
        ValueError: If `asked` is neither `"auto"` nor an integer from 1.
    """
    if asked == "auto":
        return -(-IMAGES_SEEN // images)
    if not isinstance(asked, int | np.integer) or asked < 1:
        raise ValueError(f'epochs must be an integer from 1, or "auto", got {asked!r}.')
    return int(asked)


def is_conditional(asked: Conditional, make: Callable[..., GAN], counts: Mapping[str, int]) -> bool:
    """Whether one model learns all classes.

    Raises:
        ValueError: If `asked` is something else, or the generator cannot learn classes.
    """
    if asked not in (True, False, "auto"):
        raise ValueError(f'conditional must be True, False or "auto", got {asked!r}.')
    able = len(counts) > 1 and "num_classes" in _parameters(make)
    if asked is True and not able:
        raise ValueError(
            "conditional=True trains one model for all classes, of which there must be at least "
            "two; and the generator must take num_classes=, as R3GAN does. Pass "
            "conditional=False for one generator a class."
        )
    return able and (asked is True or (asked == "auto" and min(counts.values()) < FEW))


def make_generators(
    make: Callable[..., GAN], data: ImageDataset, conditional: bool, seed: int
) -> dict[str, GAN]:
    """Make an untrained generator for each part, with seeds of their own.

    Raises:
        ValueError: If they are class-conditional and were not asked to be.
    """
    shape = data.image_shape
    if conditional:
        one = spawn_seeds(seed, 1)[0]
        return {ALL_CLASSES: make(image_shape=shape, seed=one, num_classes=data.num_classes)}
    seeds = spawn_seeds(seed, data.num_classes)
    made = {
        name: make(image_shape=shape, seed=each)
        for name, each in zip(data.class_names, seeds, strict=True)
    }
    if any(getattr(gan, "num_classes", None) is not None for gan in made.values()):
        raise ValueError(
            "The generator is class-conditional, but one was to be trained for each class. Leave "
            "num_classes out of it and pass conditional=True to the augmenter."
        )
    return made


def label_argument(gan: Any, label: int) -> dict[str, int]:
    """Return what `sample` needs to be told of the class."""
    return {} if getattr(gan, "num_classes", None) is None else {"labels": label}


def _parameters(make: Callable[..., GAN]) -> Mapping[str, Any]:
    try:
        return inspect.signature(make).parameters
    except (TypeError, ValueError):  # a callable in C
        return {}
