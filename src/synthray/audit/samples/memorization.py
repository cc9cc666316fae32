"""Whether drawn images are copies of training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthray.audit.copies import find_copies
from synthray.audit.samples.features import Features
from synthray.audit.samples.neighbourhoods import nearest, reach

_MANY = -3.0  # standard deviations


@dataclass(frozen=True, eq=False)
class Memorization:
    """What drawn images have from training images, with held-out images as the yardstick.

    Attributes:
        n_drawn: How many drawn images were looked at.
        copies: Places of drawn images that show a training image's radiograph, as
            `find_duplicates` judges; shape `(m,)`.
        copied: The training image of each, shape `(m,)`.
        c_t: Three-sample test of Meehan et al. 2020 in standard deviations: below -3, drawn images
            lie nearer to training images than new real images do.
        authenticity: AuthPct of Alaa et al. 2022: share of the drawn images that are further from
            their nearest training image than that one is from its own nearest of another group.
        ratio: Median distance of drawn images to training, divided by that of held-out images.
        closest: Pairs of a drawn and a training image, the closest first, shape `(p, 2)`.
    """

    n_drawn: int
    copies: NDArray[np.int64]
    copied: NDArray[np.int64]
    c_t: float
    authenticity: float
    ratio: float
    closest: NDArray[np.int64]

    @property
    def found(self) -> bool:
        """Whether there is any sign of copying."""
        return bool(len(self.copies)) or self.c_t < _MANY

    def describe(self) -> str:
        """Return the verdict in a sentence or two."""
        parts = []
        if len(self.copies):
            parts.append(
                f"COPIES: {len(self.copies)} of {self.n_drawn} drawn images "
                f"({len(self.copies) / self.n_drawn:.1%}) show the radiograph of a training image."
            )
        if self.c_t < _MANY:
            parts.append(
                f"Drawn images lie nearer to training images than new real images do (C_T = "
                f"{self.c_t:.1f} standard deviations): training images shine through."
            )
        return " ".join(parts) or (
            f"No sign of copying: none of {self.n_drawn} drawn images shows a training image's "
            f"radiograph, and they lie no nearer to training than new real images do (C_T = "
            f"{self.c_t:.1f})."
        )


def copying_statistic(drawn: NDArray[np.floating], held_out: NDArray[np.floating]) -> float:
    """Mann-Whitney's U as a z-score: below 0 where drawn images are nearer to training.

    Meehan et al. 2020 (arXiv 2004.05675), section 3, over one cell: `(U - mean) / deviation` of
    how often a drawn image is further from its nearest training image than a held-out one is.

    Args:
        drawn: Distances of drawn images to their nearest training image, shape `(m,)`.
        held_out: Those of held-out real images, shape `(n,)`.
    """
    from scipy.stats import rankdata

    m, n = len(drawn), len(held_out)
    ranks = rankdata(np.concatenate([drawn, held_out]))
    u = ranks[:m].sum() - m * (m + 1) / 2
    return float((u - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12))


def authentic_share(
    drawn: Features, train: Features, groups: NDArray[np.integer] | None = None
) -> float:
    """Share of drawn images that are no nearer to training than training is to itself.

    The authenticity of Alaa et al. 2022 (arXiv 2102.08921): a drawn image is authentic if its
    nearest training image has another training image nearer to it. That one must be of another
    group: beside a copy of itself a training image would call every drawn one authentic.
    """
    return _authentic(*nearest(drawn, train), train, groups)


def _authentic(
    found: NDArray[np.float64],
    places: NDArray[np.int64],
    train: Features,
    groups: NDArray[np.integer] | None,
) -> float:
    return float((found > reach(train, 1, groups)[places]).mean())


def memorization(
    train_features: Features,
    drawn_features: Features,
    held_out_features: Features,
    *,
    train: NDArray[np.uint8],
    drawn: NDArray[np.uint8],
    groups: NDArray[np.integer] | None = None,
    pairs: int = 8,
) -> Memorization:
    """Look for copies of training images, by registration and by distances of features.

    Args:
        train_features: Features of the training images, shape `(n, d)`.
        drawn_features: Of the drawn images.
        held_out_features: Of real images that no generator has seen.
        train: The training images, `uint8`, shape `(n, h, w, c)`.
        drawn: The drawn images.
        groups: Of the training images, one integer each, shape `(n,)`; `None` where all differ.
        pairs: How many of the closest pairs to name.
    """
    original = find_copies(drawn, train)
    copies = np.flatnonzero(original >= 0)
    to_train, places = nearest(drawn_features, train_features)
    held_out, _ = nearest(held_out_features, train_features)
    order = np.argsort(to_train)[:pairs]
    return Memorization(
        n_drawn=len(drawn),
        copies=copies,
        copied=original[copies],
        c_t=copying_statistic(to_train, held_out),
        authenticity=_authentic(to_train, places, train_features, groups),
        ratio=float(np.median(to_train) / max(float(np.median(held_out)), 1e-12)),
        closest=np.stack([order, places[order]], 1),
    )
