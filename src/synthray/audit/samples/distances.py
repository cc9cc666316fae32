"""Distances between two sets of features: kernel distance and sliced Wasserstein distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthray.audit.samples.features import Features

_PARTS = 20  # that are left out in turn, for the interval
_PROJECTIONS = 256


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
    """Return the kernel distance and a 95 % interval for it.

    The interval is that of a jackknife over 20 random parts of both sets (fewer for few images),
    with Student's t. Between sets of one distribution it is wider than need be, by about 1.4.

    Returns:
        The distance of the whole sets, and the ends of the interval; these are infinite for sets
        of fewer than 6 images.
    """
    from scipy.stats import t

    count = min(_PARTS, len(x) // 2, len(y) // 2)
    if count < 3:
        return kernel_distance(x, y), -np.inf, np.inf
    rng = np.random.default_rng(seed)
    xs, ys = ([z[i] for i in np.array_split(rng.permutation(len(z)), count)] for z in (x, y))
    sums = [_among(xs), _among(ys), np.asarray([[_kernel(a, b).sum() for b in ys] for a in xs])]
    for each, parts in zip(sums, (xs, ys), strict=False):  # an image with itself says nothing
        each[np.diag_indices(count)] -= [float(_own(part).sum()) for part in parts]
    sizes = np.asarray([[len(part) for part in parts] for parts in (xs, ys)], float)

    def value(kept: NDArray[np.bool_]) -> float:
        n, m = sizes[:, kept].sum(1)
        xx, yy, xy = (each[np.ix_(kept, kept)].sum() for each in sums)
        return float(xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m))

    without = np.asarray([value(np.arange(count) != part) for part in range(count)])
    error = np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
    whole = value(np.ones(count, bool))
    half = float(t.ppf(0.975, count - 1) * error)
    return whole, whole - half, whole + half


def sliced_wasserstein(x: Features, y: Features, *, seed: int = 0) -> float:
    """Sliced Wasserstein distance of order 2 over 256 random directions.

    The root of the mean squared distance between sorted projections: Bonneel et al. 2015
    (doi:10.1007/s10851-014-0506-3). Two sets that differ by a shift `v` are
    `|v| / sqrt(d)` apart.

    Args:
        x: Features, shape `(n, d)`.
        y: Features, shape `(m, d)`.
        seed: Of the directions.
    """
    directions = np.random.default_rng(seed).standard_normal((x.shape[1], _PROJECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    size = max(len(x), len(y))
    a, b = (_quantiles(np.sort(each @ directions, axis=0), size) for each in (x, y))
    return float(np.sqrt(((a - b) ** 2).mean()))


def _kernel(a: Features, b: Features) -> NDArray[np.float64]:
    likeness = a @ b.T
    likeness /= a.shape[1]
    likeness += 1
    return np.asarray(likeness * likeness * likeness)  # a power takes ten times as long


def _among(parts: list[Features]) -> NDArray[np.float64]:
    """Return the sum of the kernel over each pair of parts, shape `(parts, parts)`."""
    found = np.zeros((len(parts), len(parts)))
    for i, a in enumerate(parts):
        for j, b in enumerate(parts[: i + 1]):
            found[i, j] = found[j, i] = _kernel(a, b).sum()
    return found


def _own(x: Features) -> NDArray[np.float64]:
    """Return `k(a, a)` for each row."""
    return np.asarray(((x * x).sum(1) / x.shape[1] + 1) ** 3)


def _within(x: Features) -> float:
    n = len(x)
    return float((_kernel(x, x).sum() - _own(x).sum()) / (n * (n - 1)))


def _quantiles(values: Features, size: int) -> Features:
    """Return `size` evenly spaced quantiles of each column; sorted values come in."""
    if len(values) == size:
        return values
    places = (np.arange(size) + 0.5) / size * len(values) - 0.5
    places = np.clip(places, 0, len(values) - 1)
    low = np.floor(places).astype(int)
    share = (places - low)[:, None]
    return values[low] * (1 - share) + values[np.minimum(low + 1, len(values) - 1)] * share
