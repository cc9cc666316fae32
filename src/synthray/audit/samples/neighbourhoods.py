"""Fidelity and variety by nearest neighbours: precision, recall, density, coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthray.audit.samples.features import Features

_ROWS = 1024
_PAIRS = 4096
_ROUNDING = 1e-11  # of the squared lengths: more than what is lost where they almost cancel out


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


def neighbourhoods(
    real: Features,
    drawn: Features,
    *,
    k: int = 5,
    real_reach: NDArray[np.float64] | None = None,
) -> Neighbourhoods:
    """Measure precision and recall, density and coverage.

    The reach of an image is the distance to its k-th nearest neighbour of its own set. Precision
    and recall: Kynkaanniemi et al. 2019 (arXiv 1904.06991), section 2; density and coverage:
    Naeem et al. 2020 (arXiv 2002.09797), section 3. Values of sets of other sizes cannot
    be compared: coverage grows with the number of drawn images.

    Args:
        real: Features, shape `(n, d)`.
        drawn: Features, shape `(m, d)`.
        k: Which neighbour.
        real_reach: `reach(real, k)`, where it is known.

    Raises:
        ValueError: If a set has no more than `k` images.
    """
    if min(len(real), len(drawn)) <= k:
        raise ValueError(
            f"Expected more than k={k} images a set, got {len(real)} real and {len(drawn)} drawn."
        )
    if real_reach is None:
        real_reach = reach(real, k)
    inner, outer = real_reach**2, reach(drawn, k) ** 2
    inside = np.zeros(len(drawn))
    covered = np.zeros(len(real), bool)
    recalled = np.zeros(len(real), bool)
    for start in range(0, len(real), _ROWS):
        rows = slice(start, start + _ROWS)
        squares = least_squares(real[rows], drawn)
        within = squares <= inner[rows, None]
        inside += within.sum(0)
        covered[rows] = within.any(1)
        recalled[rows] = (squares <= outer).any(1)
    return Neighbourhoods(
        precision=float((inside > 0).mean()),
        recall=float(recalled.mean()),
        density=float(inside.mean() / k),
        coverage=float(covered.mean()),
    )


def reach(x: Features, k: int, groups: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
    """Return the distance of each row to its k-th nearest other row, shape `(n,)`.

    Args:
        x: Features, shape `(n, d)`.
        k: Which neighbour.
        groups: One integer a row, shape `(n,)`. A row's neighbours are then other groups, each as
            near as the nearest of its rows: copies of one radiograph make nobody's reach shorter.
            Infinite where there are no `k` others.
    """
    own = np.arange(len(x))
    names, codes = np.unique(own if groups is None else groups, return_inverse=True)
    n = len(names)
    if k >= n:
        return np.full(len(x), np.inf)
    alone = n == len(x)
    if alone:
        codes = own
    order = np.argsort(codes, kind="stable")
    first = np.searchsorted(codes[order], np.arange(n))
    found = np.empty(len(x))
    for start in range(0, len(x), _ROWS):
        rows = own[start : start + _ROWS]
        squares = least_squares(x[rows], x)
        of_groups = squares if alone else np.minimum.reduceat(squares[:, order], first, axis=1)
        of_groups[np.arange(len(rows)), codes[rows]] = np.inf
        place = of_groups.argpartition(k - 1, axis=1)[:, k - 1]
        if not alone:
            place = np.where(codes == place[:, None], squares, np.inf).argmin(axis=1)
        found[rows] = _distances(x, rows, x, place)
    return found


def nearest(x: Features, points: Features) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return each row's distance to the nearest point, and which it is, shape `(n,)` each.

    Of points at one distance, it is the first.
    """
    found, places = np.empty(len(x)), np.empty(len(x), np.int64)
    longest = float((points * points).sum(1).max())
    for start in range(0, len(x), _ROWS):
        part = x[start : start + _ROWS]
        squares = least_squares(part, points)
        doubt = 4 * _ROUNDING * ((part * part).sum(1) + longest)
        i, j = np.nonzero(squares <= (squares.min(1) + doubt)[:, None])
        exact = _distances(part, i, points, j)
        order = np.lexsort((j, exact, i))
        first = order[np.unique(i[order], return_index=True)[1]]
        found[start : start + _ROWS], places[start : start + _ROWS] = exact[first], j[first]
    return found, places


def least_squares(a: Features, b: Features) -> NDArray[np.float64]:
    """Return what squared distances are at least, shape `(len(a), len(b))`.

    By a matrix product, which is much faster than differences. What is lost in rounding is taken
    off: two pairs at one distance both count as no further apart than it.
    """
    kept = 1 - _ROUNDING
    squares = a @ (-2 * b).T
    squares += kept * (a * a).sum(1)[:, None]
    squares += kept * (b * b).sum(1)
    return np.asarray(squares)


def _distances(
    a: Features, i: NDArray[np.int64], b: Features, j: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return distances of pairs of rows, to the last digit, shape `(len(i),)`."""
    found = np.empty(len(i))
    for start in range(0, len(i), _PAIRS):
        at = slice(start, start + _PAIRS)
        found[at] = np.sqrt(((a[i[at]] - b[j[at]]) ** 2).sum(1))
    return found
