"""`filter_samples`: leave out synthetic images that are copies, mislabelled or unlike real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthray.backbones.image_features import Backbone, ImageFeatures, image_features
from synthray.classifiers.cross_fitted_teacher import CrossFittedTeacher
from synthray.datasets.image_dataset import ImageDataset
from synthray.duplicates.duplicates import check_alike, find_copies
from synthray.evaluation import distances

Ensemble = Callable[[NDArray[np.uint8]], NDArray[np.floating]]


@dataclass(frozen=True, eq=False, repr=False)
class FilterReport:
    """Which synthetic images were kept, and why the others were not. `print` shows the counts.

    Attributes:
        samples: The kept images, in their order.
        kept: Whether each image was kept, shape `(n,)`.
        reasons: For each reason, which images it rejects, shape `(n,)`; several reasons may reject
            one image.
    """

    samples: ImageDataset
    kept: NDArray[np.bool_]
    reasons: Mapping[str, NDArray[np.bool_]]

    @property
    def counts(self) -> dict[str, int]:
        """How many images each reason rejects."""
        return {reason: int(mask.sum()) for reason, mask in self.reasons.items()}

    def __str__(self) -> str:
        """Return the counts in a sentence."""
        counts = ", ".join(f"{count} {reason}" for reason, count in self.counts.items())
        return (
            f"Kept {int(self.kept.sum())} of {len(self.kept)} synthetic images. Rejected: "
            f"{counts or 'none, since no check was asked for'}."
        )

    __repr__ = __str__


def filter_samples(
    synthetic: ImageDataset,
    real_train: ImageDataset,
    *,
    ensemble: Ensemble | None = None,
    agreement: float = 0.5,
    copies: bool = True,
    support: bool = True,
    hardest: float | None = None,
    k: int = 5,
    features: ImageFeatures | Backbone | None = None,
) -> FilterReport:
    """Leave out synthetic images that should not be trained on.

    An image is rejected for these reasons:

    - `"copy"`: it shows the radiograph of a training image, as
      [`find_duplicates`][synthray.find_duplicates] judges.
    - `"contradicted"`: the ensemble gives its class a probability below `agreement`.
    - `"outside"`: it lies within reach of no training image of its class. The reach of an image is
      the distance to its k-th nearest of that class (the precision of Kynkaanniemi et al.
      2019, arXiv 1904.06991). Each of `real_train.groups` counts once, and an image's own group
      does not count: otherwise the nearest neighbours of a rotated copy are further copies.
    - `"easy"`: no other reason rejects it, but it is not in the share `hardest` of its class that
      the ensemble is least sure of.

    Only training images are used, never test images.

    Args:
        synthetic: Synthetic images with the labels that they were generated for.
        real_train: The real images that the generators learnt from, of the same shape and classes.
        ensemble: A [`CrossFittedTeacher`][synthray.CrossFittedTeacher], which is fitted on
            `real_train` unless it has been, or a function from `uint8` images
            `(n, h, w, c)` to probabilities `(n, classes)`.
        agreement: The least probability that the ensemble must give, 0 to 1.
        copies: Whether to look for copies, which takes the longest.
        support: Whether to look for images that are unlike real ones.
        hardest: The share of each class to keep, above 0 and below 1: the images to whose most
            probable class the ensemble gives the least probability. `None` keeps all. It needs an
            ensemble.
        k: Which neighbour of a training image, of other groups, bounds its reach.
        features: In which images lie near each other, as for
            [`evaluate_samples`][synthray.evaluate_samples]. The default is
            `ImageFeatures("learning")`: what chooses must not judge, so the provenance of the kept
            images names the networks of features and ensemble.

    Raises:
        ValueError: If shapes or classes differ, a class has no more than `k` groups of training
            images, the ensemble does not return probabilities, or `hardest` is out of range or has
            no ensemble.

    Examples:
        >>> import synthray as sr
        >>> train = sr.make_phantoms(40, image_shape=(32, 32, 1), seed=0)
        >>> report = sr.filter_samples(train.select(range(4)), train)
        >>> report.counts, len(report.samples)
        ({'copy': 4, 'outside': 0}, 0)
    """
    check_alike({"real_train": real_train, "synthetic": synthetic}, may_be_empty=True)
    if hardest is not None and (ensemble is None or not 0 < hardest < 1):
        raise ValueError(
            "hardest is the share of synthetic images to keep, above 0 and below 1, and needs an "
            f"ensemble; got {hardest!r} {'without' if ensemble is None else 'with'} an ensemble."
        )
    reasons: dict[str, NDArray[np.bool_]] = {}
    networks = list(synthetic.provenance.get("networks", ()))
    if copies:
        reasons["copy"] = find_copies(synthetic.images, real_train.images) >= 0
    if ensemble is not None:
        if isinstance(ensemble, CrossFittedTeacher):
            networks += ensemble.fit(real_train).networks
        p = _probabilities(ensemble, synthetic)
        reasons["contradicted"] = p[np.arange(len(synthetic)), synthetic.labels] < agreement
    if support:
        chooser = image_features(features, "learning")
        reasons["outside"] = _outside(synthetic, real_train, chooser, k)
        networks.append(chooser.name)
    if networks:
        provenance = {**synthetic.provenance, "networks": list(dict.fromkeys(networks))}
        synthetic = replace(synthetic, provenance=provenance)
    kept = ~np.any([np.zeros(len(synthetic), bool), *reasons.values()], axis=0)
    if hardest is not None:
        reasons["easy"] = kept.copy()
        for label in np.unique(synthetic.labels):
            rows = np.flatnonzero(kept & (synthetic.labels == label))
            order = np.argsort(p[rows].max(axis=1), kind="stable")
            reasons["easy"][rows[order[: round(hardest * len(rows))]]] = False
        kept &= ~reasons["easy"]
    return FilterReport(samples=synthetic.select(kept), kept=kept, reasons=reasons)


def _probabilities(ensemble: Ensemble, synthetic: ImageDataset) -> NDArray[np.floating]:
    p = np.asarray(ensemble(synthetic.images))
    shape = (len(synthetic), synthetic.num_classes)
    if p.shape != shape or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            f"ensemble must return probabilities (0 to 1) of shape {shape}, got shape {p.shape} "
            f"with values such as {p.ravel()[:3]}."
        )
    return p


def _outside(
    synthetic: ImageDataset, real: ImageDataset, features: ImageFeatures, k: int
) -> NDArray[np.bool_]:
    outside = np.zeros(len(synthetic), bool)
    for label in np.unique(synthetic.labels):
        own, of_class = synthetic.labels == label, real.labels == label
        groups = real.group_codes[of_class]
        if (n := len(np.unique(groups))) <= k:
            raise ValueError(
                f"Class {real.class_names[label]!r} has {n} groups of training images; k={k} needs "
                "more. Pass a smaller k, or support=False."
            )
        images = real.images[of_class], synthetic.images[own]
        train, found = distances.standardised(*map(features, images))
        outside[own] = ~distances.within_reach(found, train, distances.reach(train, k, groups))
    return outside
