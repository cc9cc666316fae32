"""Fidelity and variety by nearest neighbours: precision, recall, density, coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthray.audit.samples.features import Features

_ROWS = 1024


@dataclass(frozen=True)
class Neighbourhoods:
    """How drawn images lie among real ones.

    Attributes:
        precision: Share of the drawn images that lie within reach of a real one.
        recall: Share of the real images that lie within reach of a drawn one.
        density: How many real images' reach a drawn one lies in, as a share of `k`; above 1 where
            drawn images crowd where real ones are dense.
        coverage: Share of the real images that have a drawn one within their reach.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def neighbourhoods(real: Features, drawn: Features, *, k: int = 5) -> Neighbourhoods:
    """Measure precision and recall, density and coverage.

    The reach of an image is the distance to its k-th nearest neighbour of its own set. Precision
    and recall: Kynkaanniemi et al. 2019 (arXiv 1904.06991), section 2; density and coverage:
    Naeem et al. 2020 (arXiv 2002.09797), section 3. Values of sets of other sizes cannot
    be compared: coverage grows with the number of drawn images.

    Args:
        real: Features, shape `(n, d)`.
        drawn: Features, shape `(m, d)`.
        k: Which neighbour.

    Raises:
        ValueError: If a set has no more than `k` images.
    """
    if min(len(real), len(drawn)) <= k:
        raise ValueError(
            f"Expected more than k={k} images a set, got {len(real)} real and {len(drawn)} drawn."
        )
    real_reach, drawn_reach = reach(real, k), reach(drawn, k)
    inside = np.zeros(len(drawn))
    covered = np.zeros(len(real), bool)
    recalled = np.zeros(len(real), bool)
    for start in range(0, len(real), _ROWS):
        rows = slice(start, start + _ROWS)
        distance = distances(real[rows], drawn)
        within = distance <= real_reach[rows, None]
        inside += within.sum(0)
        covered[rows] = within.any(1)
        recalled[rows] = (distance <= drawn_reach).any(1)
    return Neighbourhoods(
        precision=float((inside > 0).mean()),
        recall=float(recalled.mean()),
        density=float(inside.mean() / k),
        coverage=float(covered.mean()),
    )


def reach(x: Features, k: int) -> NDArray[np.float64]:
    """Return the distance of each row to its k-th nearest other row, shape `(n,)`."""
    found = np.empty(len(x))
    for start in range(0, len(x), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(x)))
        distance = distances(x[rows], x)
        distance[np.arange(len(rows)), rows] = np.inf
        found[rows] = np.partition(distance, k - 1, axis=1)[:, k - 1]
    return found


def nearest(x: Features, points: Features) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return each row's distance to the nearest point, and which it is, shape `(n,)` each."""
    found, places = np.empty(len(x)), np.empty(len(x), np.int64)
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        distance = distances(x[rows], points)
        places[rows] = distance.argmin(1)
        found[rows] = distance.min(1)
    return found, places


def distances(a: Features, b: Features) -> NDArray[np.float64]:
    """Return Euclidean distances, shape `(len(a), len(b))`."""
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(a, b))
