"""Distances between two sets of features: kernel distance and sliced Wasserstein distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthray.audit.samples.features import Features

_BLOCKS = 20  # for the interval
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

    The interval comes from the distances of 20 disjoint blocks of both sets (fewer where blocks
    would have under 5 images), each unbiased: their mean's standard error, Student's t.

    Returns:
        The distance of the whole sets, and the ends of the interval.
    """
    from scipy.stats import t

    value = kernel_distance(x, y)
    blocks = min(_BLOCKS, len(x) // 5, len(y) // 5)
    if blocks < 2:
        return value, -np.inf, np.inf
    rng = np.random.default_rng(seed)
    parts = [np.array_split(rng.permutation(len(each)), blocks) for each in (x, y)]
    found = [kernel_distance(x[i], y[j]) for i, j in zip(*parts, strict=True)]
    half = float(t.ppf(0.975, blocks - 1) * np.std(found, ddof=1) / np.sqrt(blocks))
    return value, value - half, value + half


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
    return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)


def _within(x: Features) -> float:
    kernel = _kernel(x, x)
    n = len(x)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))


def _quantiles(values: Features, size: int) -> Features:
    """Return `size` evenly spaced quantiles of each column; sorted values come in."""
    if len(values) == size:
        return values
    places = (np.arange(size) + 0.5) / size * len(values) - 0.5
    places = np.clip(places, 0, len(values) - 1)
    low = np.floor(places).astype(int)
    share = (places - low)[:, None]
    return values[low] * (1 - share) + values[np.minimum(low + 1, len(values) - 1)] * share
