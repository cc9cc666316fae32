"""`Phase`: a stretch of a classifier's training, and the images that it sees."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from synthray.datasets.image_dataset import ImageDataset

Source = (
    Literal["real", "synthetic", "mixed", "copies", "duplicated"]
    | Callable[[ImageDataset, ImageDataset | None], ImageDataset]
)
Labels = Literal["own", "teachers"]
Reset = Literal["optimizer", "head"]

_SOURCES = ("real", "synthetic", "mixed", "copies", "duplicated")
SOFT_LABELS = "soft_labels"
"""The annotation of probabilities that are learnt in place of labels, `(n, classes)`."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training on one kind of images.

    Attributes:
        source: `"real"` for the training set, `"synthetic"` for drawn images, `"mixed"` for both
            together. For controls: `"copies"` for real images repeated until there are as many of
            each class as there are drawn ones, `"duplicated"` for the training set and those copies
            together. Or a function `(train, synthetic) -> ImageDataset`, where `synthetic` is
            `None` in a comparison without an augmenter. Images whose annotation `"soft_labels"`,
            `(n, classes)`, is not NaN are learnt with those probabilities in place of their label.
        augment: Whether images pass through the comparison's `augmentation`.
        share: This phase's part of the arm's steps, in proportion to the shares of its other
            phases. With `budget="epochs"` it has no effect.
        ratio: Drawn images for each real one, of those that there are, each class with its share
            of them; `None` for all.
        weight: What a drawn image weighs in the loss, where a real one weighs 1.
        labels: `"teachers"`: images are learnt with the probabilities that the comparison's
            teachers give them, an ensemble that is trained on the real training images (knowledge
            distillation, Hinton et al. 2015, arXiv 1503.02531; from drawn images, Ding et al. 2021,
            arXiv 2104.03164).
        rate: Multiplies the learning rate that the classifier was compiled with.
        reset: What begins anew with this phase: `"optimizer"` its moments and its count of steps,
            `"head"` the last layer's weights, which take the values that they began with.
        apart: Whether batches hold either real or drawn images. Batch normalisation then
            normalizes each kind by itself, and when the phase ends, the statistics that it
            predicts with are taken from the real images alone (after Xie et al. 2020, arXiv
            1911.09665; scales and offsets are shared here).

    Raises:
        ValueError: If the source is unknown or a number is out of its range.
    """

    source: Source = "real"
    augment: bool = False
    share: float = 1.0
    _: KW_ONLY
    ratio: float | None = None
    weight: float = 1.0
    labels: Labels = "own"
    rate: float = 1.0
    reset: tuple[Reset, ...] = ()
    apart: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        if not callable(self.source) and self.source not in _SOURCES:
            raise ValueError(
                f"source must be one of {_SOURCES} or a function, got {self.source!r}."
            )
        for name in ("share", "weight", "rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)!r}.")
        if self.labels not in get_args(Labels):
            raise ValueError(f"labels must be one of {get_args(Labels)}, got {self.labels!r}.")
        if not set(self.reset) <= set(get_args(Reset)):
            raise ValueError(f"reset must name some of {get_args(Reset)}, got {self.reset!r}.")
        object.__setattr__(self, "reset", tuple(self.reset))
        if self.ratio is not None:
            if not 0 < self.ratio < math.inf:
                raise ValueError(
                    f"ratio must be positive, got {self.ratio!r}. For real images alone: "
                    'Phase("real").'
                )
            if callable(self.source) or self.source == "real":
                raise ValueError(
                    "ratio says how many drawn images a phase takes; the source "
                    f"{self.source!r} is not one of {_SOURCES[1:]}."
                )

    @property
    def needs_synthetic(self) -> bool:
        """Whether the phase cannot do without drawn images, or without knowing how many."""
        return not callable(self.source) and self.source != "real"

    @property
    def uses_synthetic(self) -> bool:
        """Whether drawn images change what the phase trains on."""
        return callable(self.source) or self.needs_synthetic

    @property
    def shows_synthetic(self) -> bool:
        """Whether it trains on drawn images themselves; a function is taken to."""
        return callable(self.source) or self.source in ("synthetic", "mixed")

    @property
    def manner(self) -> tuple[Any, ...]:
        """How the phase trains, apart from what on: phases in a row that share it are one fit."""
        return self.rate, self.apart, self.labels

    def planned_size(self, n_real: int, n_drawn: int) -> int:
        """Return how many images the phase has; a function is taken to return all."""
        if self.ratio is not None:
            n_drawn = round(self.ratio * n_real)
        sizes = {"real": n_real, "synthetic": n_drawn, "copies": n_drawn}
        return (
            n_real + n_drawn if callable(self.source) else sizes.get(self.source, n_real + n_drawn)
        )

    def data(self, train: ImageDataset, synthetic: ImageDataset | None) -> ImageDataset:
        """Return the images of this phase.

        Raises:
            ValueError: If there are too few drawn images for its ratio, or if a function returns
                something that does not fit.
        """
        if callable(self.source):
            made = self.source(train, synthetic)
            like = (train.image_shape, train.class_names)
            if not isinstance(made, ImageDataset) or (made.image_shape, made.class_names) != like:
                raise ValueError(
                    f"The source of a phase must return an ImageDataset of shape "
                    f"{train.image_shape} and classes {train.class_names}, got {made!r}."
                )
            return made
        if synthetic is None or self.source == "real":
            return train
        if self.ratio is not None:
            synthetic = first_of_each_class(synthetic, round(self.ratio * len(train)))
        if self.source == "synthetic":
            return synthetic
        if self.source == "mixed":
            return _with_drawn(train, synthetic)
        copies = _copies(train, synthetic)
        return copies if self.source == "copies" else train.concatenate(copies)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; a function by its name, what is at its default left out."""
        source = self.source
        name = getattr(source, "__qualname__", repr(source)) if callable(source) else source
        return {"source": name, "augment": self.augment, "share": self.share, **self.options()}

    def options(self) -> dict[str, Any]:
        """Return the arguments behind `share` that are not at their defaults."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.kw_only}
        defaults = {f.name: f.default for f in fields(self)}
        return {name: value for name, value in found.items() if value != defaults[name]}


def _with_drawn(train: ImageDataset, synthetic: ImageDataset) -> ImageDataset:
    """Return both, without annotations that one lacks and that have no value for "not known".

    None of those that are left out takes part in training.
    """
    both = []
    for own, other in ((train, synthetic), (synthetic, train)):
        kept = {
            name: column
            for name, column in own.annotations.items()
            if name in other.annotations or column.dtype.kind == "f" or name == SOFT_LABELS
        }
        both.append(replace(own, annotations=kept))
    return both[0].concatenate(both[1])


def first_of_each_class(drawn: ImageDataset, n: int) -> ImageDataset:
    """Return `n` images in their order, each class with the share that it has.

    Raises:
        ValueError: If there are fewer.
    """
    check_count(n, len(drawn))
    chosen = np.zeros(len(drawn), bool)
    counts = np.bincount(drawn.labels, minlength=drawn.num_classes)
    ends = np.round(np.cumsum(counts) * (n / len(drawn))).astype(int)
    for label, count in enumerate(np.diff(ends, prepend=0)):
        chosen[np.flatnonzero(drawn.labels == label)[:count]] = True
    return drawn.select(chosen)


def check_count(asked: int, drawn: int) -> None:
    """Raise where a phase asks for more drawn images than there are.

    Raises:
        ValueError: If it does.
    """
    if asked > drawn:
        raise ValueError(
            f"A phase asks for {asked} drawn images and there are {drawn}. Draw more "
            "(n_synthetic=), or lower its ratio."
        )


def _copies(train: ImageDataset, synthetic: ImageDataset) -> ImageDataset:
    """Return real images, each class repeated in turn until there are as many as drawn ones."""
    index: list[NDArray[np.int64]] = [
        np.resize(np.flatnonzero(train.labels == label), count)
        for label, count in enumerate(synthetic.class_counts.values())
    ]
    return train.select(np.concatenate(index))
