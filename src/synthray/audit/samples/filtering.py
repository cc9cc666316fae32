"""`filter_samples`: leave out drawn images that are copies, mislabelled or unlike real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthray.audit.copies import find_copies
from synthray.audit.samples.features import Describe, Features, random_features, standardised
from synthray.audit.samples.neighbourhoods import least_squares, reach
from synthray.audit.samples.teacher import CrossFittedTeacher
from synthray.datasets.image_dataset import ImageDataset

Teacher = Callable[[NDArray[np.uint8]], NDArray[np.floating]]

_ROWS = 1024


@dataclass(frozen=True, eq=False, repr=False)
class FilterReport:
    """Which drawn images were kept, and why the others were not. `print` shows the counts.

    Attributes:
        samples: The images that were kept, in their order.
        kept: Whether each image was kept, shape `(n,)`.
        reasons: For each reason, which images it speaks against, shape `(n,)`; one image may have
            several.
    """

    samples: ImageDataset
    kept: NDArray[np.bool_]
    reasons: Mapping[str, NDArray[np.bool_]]

    @property
    def counts(self) -> dict[str, int]:
        """How many images each reason speaks against."""
        return {reason: int(mask.sum()) for reason, mask in self.reasons.items()}

    def __str__(self) -> str:
        """Return the counts in a sentence."""
        against = ", ".join(f"{count} {reason}" for reason, count in self.counts.items())
        return (
            f"Kept {int(self.kept.sum())} of {len(self.kept)} drawn images. Against the others "
            f"speak: {against or 'nothing was looked at'}."
        )

    __repr__ = __str__


def filter_samples(
    drawn: ImageDataset,
    real_train: ImageDataset,
    *,
    teacher: Teacher | None = None,
    agreement: float = 0.5,
    copies: bool = True,
    support: bool = True,
    hardest: float | None = None,
    k: int = 5,
    features: Describe = random_features,
) -> FilterReport:
    """Leave out drawn images that should not be trained on.

    - `"copy"`: it shows the radiograph of a training image, as
      [`find_duplicates`][synthray.find_duplicates] judges.
    - `"contradicted"`: a teacher gives its class a probability below `agreement`.
    - `"outside"`: it lies within reach of no training image of its class, the reach of an image
      being the distance to its k-th nearest of that class (the precision of Kynkaanniemi et al.
      2019, arXiv 1904.06991). Of `real_train.groups` each counts once and an image's own not at
      all: among rotated copies of a radiograph the nearest would be further copies.
    - `"easy"`: of the images of its class that nothing else speaks against, the teacher is surer of
      it than of the share `hardest`.

    Only training images are looked at, never those that judge.

    Args:
        drawn: Drawn images with the labels that they were drawn for.
        real_train: The real images that the generators learnt from, of the same shape and classes.
        teacher: A [`CrossFittedTeacher`][synthray.CrossFittedTeacher], which is fitted on
            `real_train` where it has not been already, or a function from `uint8` images
            `(n, h, w, c)` to probabilities `(n, classes)`.
        agreement: The least probability that the teacher must give, 0 to 1.
        copies: Whether to look for copies, which takes longest.
        support: Whether to look for images that are unlike real ones.
        hardest: The share of each class to keep, above 0 and below 1: those images whose most
            probable class the teacher gives the least probability. `None` for all. Needs a teacher.
        k: Which neighbour of a training image, of other groups, bounds its reach.
        features: As for [`evaluate_samples`][synthray.evaluate_samples].

    Raises:
        ValueError: If shapes or classes differ, a class has no more than `k` groups of training
            images, the teacher does not return probabilities, or `hardest` is out of range or has
            no teacher.

    Examples:
        >>> import synthray as sr
        >>> train = sr.make_phantoms(40, image_shape=(32, 32, 1), seed=0)
        >>> report = sr.filter_samples(train.select(range(4)), train)
        >>> report.counts, len(report.samples)
        ({'copy': 4, 'outside': 0}, 0)
    """
    if (drawn.image_shape, drawn.class_names) != (real_train.image_shape, real_train.class_names):
        raise ValueError(
            f"real_train has images of {real_train.image_shape} and classes "
            f"{real_train.class_names}, drawn {drawn.image_shape} and {drawn.class_names}."
        )
    if hardest is not None and (teacher is None or not 0 < hardest < 1):
        raise ValueError(
            "hardest is the share of drawn images to keep, above 0 and below 1, and a teacher must "
            f"judge them; got {hardest!r} {'without' if teacher is None else 'with'} a teacher."
        )
    reasons: dict[str, NDArray[np.bool_]] = {}
    if copies:
        reasons["copy"] = find_copies(drawn.images, real_train.images) >= 0
    if teacher is not None:
        if isinstance(teacher, CrossFittedTeacher):
            teacher.fit(real_train)
        p = _probabilities(teacher, drawn)
        reasons["contradicted"] = p[np.arange(len(drawn)), drawn.labels] < agreement
    if support:
        reasons["outside"] = _outside(drawn, real_train, features, k)
    kept = ~np.any([np.zeros(len(drawn), bool), *reasons.values()], axis=0)
    if hardest is not None:
        reasons["easy"] = kept & ~_hardest(p.max(axis=1), drawn.labels, kept, hardest)
        kept &= ~reasons["easy"]
    return FilterReport(samples=drawn.select(kept), kept=kept, reasons=reasons)


def _hardest(
    certainty: NDArray[np.floating],
    labels: NDArray[np.int64],
    kept: NDArray[np.bool_],
    share: float,
) -> NDArray[np.bool_]:
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(kept & (labels == label))
        chosen[rows[np.argsort(certainty[rows], kind="stable")][: round(share * len(rows))]] = True
    return chosen


def _probabilities(teacher: Teacher, drawn: ImageDataset) -> NDArray[np.floating]:
    p = np.asarray(teacher(drawn.images))
    shape = (len(drawn), drawn.num_classes)
    if p.shape != shape or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            f"teacher must return probabilities of shape {shape}, got values of shape {p.shape}"
            f"{'' if p.shape != shape else ' that are not all of 0 to 1'}."
        )
    return p


def _outside(
    drawn: ImageDataset, real: ImageDataset, features: Describe, k: int
) -> NDArray[np.bool_]:
    outside = np.zeros(len(drawn), bool)
    for label, name in enumerate(drawn.class_names):
        own = np.flatnonzero(drawn.labels == label)
        of_class = real.labels == label
        groups = real.group_codes[of_class]
        if not len(own):
            continue
        if (n := len(np.unique(groups))) <= k:
            what = "training images" if real.groups is None else "groups of training images"
            raise ValueError(
                f"Class {name!r} has {n} {what}; k={k} needs more. Pass a smaller k, or "
                "support=False."
            )
        train, found = standardised(features(real.images[of_class]), features(drawn.images[own]))
        outside[own] = ~_within(found, train, reach(train, k, groups))
    return outside


def _within(found: Features, train: Features, reaches: NDArray[np.float64]) -> NDArray[np.bool_]:
    parts = [
        (least_squares(found[start : start + _ROWS], train) <= reaches**2).any(1)
        for start in range(0, len(found), _ROWS)
    ]
    return np.concatenate(parts)
