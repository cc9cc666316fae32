"""How far synthetic images are from real ones: numbers from two sets of features.

Kernel distance and Frechet distance; by nearest neighbours precision, recall, density and coverage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthray._parts import slices

Features = NDArray[np.float64]


def standardised(*sets: NDArray[np.floating]) -> tuple[Features, ...]:
    """Centre features on the first set and scale them to a mean variance of 1 there.

    All features share one scale: otherwise those that hardly vary among real images would
    dominate as soon as they vary among synthetic ones.
    """
    first = np.asarray(sets[0], np.float64)
    mean, scale = first.mean(0), np.sqrt(first.var(0).mean())
    scale = scale if scale > 1e-9 else 1.0
    return tuple((np.asarray(each, np.float64) - mean) / scale for each in sets)


_PARTS = 20  # left out in turn, for the interval
_ROWS = 1024
_ROUNDING = 1e-11  # of the squared lengths: more than a matrix product loses


@dataclass(frozen=True)
class Neighbourhoods:
    """How synthetic images lie among real ones.

    Attributes:
        precision: Share of the synthetic images that lie within reach of a real one.
        recall: Share of the real images that lie within reach of a synthetic one.
        density: Mean number of real images whose reach a synthetic one lies in, as a share of `k`;
            above 1 if synthetic images crowd where real ones are dense.
        coverage: Share of the real images that have a synthetic one within their reach.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def kernel_distance(x: Features, y: Features) -> float:
    """Kernel inception distance: the unbiased squared MMD with a cubic kernel.

    `k(a, b) = (a.b / d + 1)^3`: Binkowski et al. 2018 (arXiv 1801.01401), section 4. Its
    mean is 0 for two sets from one distribution, whatever their sizes; single values may be
    below 0.

    Args:
        x: Features, shape `(n, d)`, n at least 2.
        y: Features, shape `(m, d)`, m at least 2.

    Raises:
        ValueError: If a set has fewer than two images.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"Expected at least 2 images a set, got {len(x)} and {len(y)}.")
    return _within(x) + _within(y) - 2 * float(_kernel(x, y).mean())


def kernel_distance_interval(
    x: Features, y: Features, *, seed: int = 0
) -> tuple[float, float, float]:
    """Return the kernel distance and the ends of its 95 % interval.

    The interval is a jackknife over 20 random parts of both sets (fewer for few images), with
    Student's t. Between sets of one distribution it is about 1.4 times as wide as necessary. Its
    ends are infinite for sets of fewer than 6 images.
    """
    from scipy.stats import t

    whole = kernel_distance(x, y)
    count = min(_PARTS, len(x) // 2, len(y) // 2)
    if count < 3:
        return whole, -np.inf, np.inf
    rng = np.random.default_rng(seed)
    xs, ys = ([z[i] for i in np.array_split(rng.permutation(len(z)), count)] for z in (x, y))
    sums = [
        np.asarray([[_kernel(p, q).sum() - (p is q) * _own(p) for q in b] for p in a])
        for a, b in ((xs, xs), (ys, ys), (xs, ys))
    ]
    sizes = np.asarray([[len(part) for part in parts] for parts in (xs, ys)], float)
    without = np.empty(count)
    for part in range(count):
        kept = np.arange(count) != part
        n, m = sizes[:, kept].sum(1)
        xx, yy, xy = (each[np.ix_(kept, kept)].sum() for each in sums)
        without[part] = xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)
    error = np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
    half = float(t.ppf(0.975, count - 1) * error)
    return whole, whole - half, whole + half


def frechet_distance(x: Features, y: Features) -> float:
    """Squared Frechet distance of two normal distributions with the sets' means and covariances.

    `|m - n|^2 + tr(C + D - 2 (C D)^(1/2))`: Heusel et al. 2017 (arXiv 1706.08500), section 3,
    as a share of the first set's variance: 0 for equal sets, and a shift as large as the deviation
    of the first set gives 1. It is biased: two sets from one distribution are farther apart the
    fewer images they have, so compare values of sets of equal sizes only.

    Args:
        x: Features, shape `(n, d)`, n at least 2.
        y: Features, shape `(m, d)`, m at least 2.
    """
    shift = ((x.mean(0) - y.mean(0)) ** 2).sum()
    a, b = ((z - z.mean(0)) / np.sqrt(len(z) - 1) for z in (x, y))
    total, other = (a * a).sum(), (b * b).sum()
    # The singular values of A B' are the roots of the eigenvalues of (A'A) (B'B).
    a, b = (np.asarray(np.linalg.qr(z, "r")) if len(z) > z.shape[1] else z for z in (a, b))
    joint = np.linalg.norm(a @ b.T, "nuc")
    return float((shift + total + other - 2 * joint) / max(total, 1e-12))


def neighbourhoods(real: Features, synthetic: Features, *, k: int = 5) -> Neighbourhoods:
    """Measure precision and recall, density and coverage.

    The reach of an image is the distance to its k-th nearest neighbour in its own set. Precision
    and recall: Kynkaanniemi et al. 2019 (arXiv 1904.06991), section 2; density and coverage:
    Naeem et al. 2020 (arXiv 2002.09797), section 3. Compare values of sets of equal sizes only:
    coverage grows with the number of synthetic images.

    Args:
        real: Features, shape `(n, d)`.
        synthetic: Features, shape `(m, d)`.
        k: Which neighbour.

    Raises:
        ValueError: If a set has no more than `k` images.
    """
    if min(len(real), len(synthetic)) <= k:
        raise ValueError(
            f"Expected more than k={k} images a set, got {len(real)} real and {len(synthetic)} "
            "synthetic."
        )
    inner, outer = reach(real, k), reach(synthetic, k)
    inside = np.zeros(len(synthetic))
    covered, recalled = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows in slices(len(real), _ROWS):
        distances = _distances(real[rows], synthetic)
        within = distances <= inner[rows, None]
        inside += within.sum(0)
        covered[rows] = within.any(1)
        recalled[rows] = (distances <= outer).any(1)
    return Neighbourhoods(
        precision=float((inside > 0).mean()),
        recall=float(recalled.mean()),
        density=float(inside.mean() / k),
        coverage=float(covered.mean()),
    )


def within_reach(x: Features, points: Features, reaches: Features) -> NDArray[np.bool_]:
    """Return which rows lie within reach of any point, shape `(len(x),)`."""
    found = np.zeros(len(x), bool)
    for rows in slices(len(x), _ROWS):
        found[rows] = (_distances(x[rows], points) <= reaches).any(1)
    return found


def reach(x: Features, k: int, groups: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
    """Return the distance of each row to its k-th nearest other row, shape `(n,)`.

    Args:
        x: Features, shape `(n, d)`.
        k: Which neighbour.
        groups: One integer a row, shape `(n,)`. A row's neighbours are then other groups, each as
            near as the nearest of its rows: copies of one radiograph shorten no reach. The reach
            is infinite if there are no `k` other groups.
    """
    names, codes = np.unique(np.arange(len(x)) if groups is None else groups, return_inverse=True)
    found = np.full(len(x), np.inf)
    if k >= len(names):
        return found
    order = np.argsort(codes, kind="stable")
    first = np.searchsorted(codes[order], np.arange(len(names)))
    for rows in slices(len(x), _ROWS):
        near = np.minimum.reduceat(_distances(x[rows], x)[:, order], first, axis=1)
        near[np.arange(len(near)), codes[rows]] = np.inf
        found[rows] = np.partition(near, k - 1, axis=1)[:, k - 1]
    return found * (1 + 1e-9)  # a pair at the same distance is within reach, whatever is rounded


def nearest(x: Features, points: Features) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return each row's distance to the nearest point, and which it is, shape `(n,)` each."""
    found, places = np.empty(len(x)), np.empty(len(x), np.int64)
    for rows in slices(len(x), _ROWS):
        distances = _distances(x[rows], points)
        found[rows], places[rows] = distances.min(1), distances.argmin(1)
    return found, places


def _distances(a: Features, b: Features) -> NDArray[np.float64]:
    """Return distances, shape `(len(a), len(b))`; 0 for rows that are equal.

    A matrix product is much faster than differences. What it may lose by rounding is taken off the
    squares.
    """
    kept = 1 - _ROUNDING
    squares = a @ (-2 * b).T
    squares += kept * (a * a).sum(1)[:, None]
    squares += kept * (b * b).sum(1)
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


def _kernel(a: Features, b: Features) -> NDArray[np.float64]:
    likeness = a @ b.T / a.shape[1] + 1
    return np.asarray(likeness * likeness * likeness)  # a power takes ten times as long


def _own(x: Features) -> float:
    """Return the sum of `k(a, a)` over the rows."""
    return float((((x * x).sum(1) / x.shape[1] + 1) ** 3).sum())


def _within(x: Features) -> float:
    return float((_kernel(x, x).sum() - _own(x)) / (len(x) * (len(x) - 1)))
