"""Whether synthetic images are copies of training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthray.duplicates.duplicates import find_copies
from synthray.evaluation.distances import Features, nearest, reach

_TOO_NEAR = -3.0  # standard deviations
_PAIRS = 8  # closest ones that are named


@dataclass(frozen=True, eq=False)
class Memorization:
    """What synthetic images have in common with training images, beside held-out images.

    Attributes:
        n_synthetic: How many synthetic images were checked.
        copies: Places of synthetic images that show a training image's radiograph, as
            `find_duplicates` judges; shape `(m,)`.
        copied: The training image of each, shape `(m,)`.
        c_t: Three-sample test of Meehan et al. 2020 in standard deviations: below -3, synthetic
            images lie nearer to training images than new real images do.
        authenticity: AuthPct of Alaa et al. 2022 (arXiv 2102.08921): share of the synthetic images
            that are further from their nearest training image than that one is from its own nearest
            of another group: beside a copy in its own group, every image would pass.
        ratio: Median distance of synthetic images to training, divided by that of held-out images.
        closest: Pairs of a synthetic and a training image, the closest first, shape `(p, 2)`.
    """

    n_synthetic: int
    copies: NDArray[np.int64]
    copied: NDArray[np.int64]
    c_t: float
    authenticity: float
    ratio: float
    closest: NDArray[np.int64]

    @property
    def found(self) -> bool:
        """Whether there is any sign of copying."""
        return bool(len(self.copies)) or self.c_t < _TOO_NEAR

    def describe(self) -> str:
        """Return the verdict in a sentence or two."""
        parts = []
        if len(self.copies):
            parts.append(
                f"COPIES: {len(self.copies)} of {self.n_synthetic} synthetic images "
                f"({len(self.copies) / self.n_synthetic:.1%}) show the radiograph of a training "
                "image."
            )
        if self.c_t < _TOO_NEAR:
            parts.append(
                f"Synthetic images lie nearer to training images than new real images do (C_T = "
                f"{self.c_t:.1f} standard deviations): the generator memorizes, or makes only "
                "typical images, of low recall."
            )
        return " ".join(parts) or (
            f"No sign of copying: none of {self.n_synthetic} synthetic images shows the radiograph "
            "of a training image, and they lie no nearer to training images than new real images "
            f"do (C_T = {self.c_t:.1f})."
        )


def memorization(
    train_features: Features,
    synthetic_features: Features,
    held_out_features: Features,
    *,
    train: NDArray[np.uint8],
    synthetic: NDArray[np.uint8],
    groups: NDArray[np.integer] | None = None,
) -> Memorization:
    """Look for copies of training images, by registration and by distances of features.

    Args:
        train_features: Features of the training images, shape `(n, d)`.
        synthetic_features: Of the synthetic images.
        held_out_features: Of real images that no generator has seen.
        train: The training images, `uint8`, shape `(n, h, w, c)`.
        synthetic: The synthetic images.
        groups: Of the training images, one integer each, shape `(n,)`; `None` if all differ.
    """
    original = find_copies(synthetic, train)
    copies = np.flatnonzero(original >= 0)
    distances, places = nearest(synthetic_features, train_features)
    held_out, _ = nearest(held_out_features, train_features)
    order = np.argsort(distances, kind="stable")[:_PAIRS]
    own = reach(train_features, 1, groups)
    return Memorization(
        n_synthetic=len(synthetic),
        copies=copies,
        copied=original[copies],
        c_t=copying_statistic(distances, held_out),
        authenticity=float((distances > own[places]).mean()),
        ratio=float(np.median(distances) / max(float(np.median(held_out)), 1e-12)),
        closest=np.stack([order, places[order]], 1),
    )


def copying_statistic(synthetic: NDArray[np.floating], held_out: NDArray[np.floating]) -> float:
    """Mann-Whitney's U as a z-score: below 0 if synthetic images are nearer to training.

    Meehan et al. 2020 (arXiv 2004.05675), section 3, over one cell: `(U - mean) / deviation` of
    how often a synthetic image is further from its nearest training image than a held-out one is.

    Args:
        synthetic: Distances of synthetic images to their nearest training image, shape `(m,)`.
        held_out: Those of held-out real images, shape `(n,)`.
    """
    from scipy.stats import mannwhitneyu

    m, n = len(synthetic), len(held_out)
    u = mannwhitneyu(synthetic, held_out, method="asymptotic").statistic
    return float((u - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12))
