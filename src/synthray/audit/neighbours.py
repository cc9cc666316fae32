"""Nearest neighbours in blocks: every pair is looked at, no matrix of all pairs is kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024
_COLUMNS = 32_768


def nearest(
    queries: NDArray[np.float32], points: NDArray[np.float32], k: int, *, others: bool = True
) -> NDArray[np.int64]:
    """Return the `k` points with the largest product for each query.

    Memory is that of one block, whatever the number of points; time grows with its square.

    Args:
        queries: Unit vectors, shape `(m, d)`.
        points: Unit vectors, shape `(n, d)`.
        k: How many; fewer where there are fewer points.
        others: Whether both are of the same images, so that a query's own place does not count.

    Returns:
        Places, shape `(m, k)` or what there is of it, in no order.
    """
    n = len(points)
    k = min(k, n - others)
    found = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK]
        rows = np.arange(len(block))
        best = np.full((len(block), 0), -2.0, np.float32)
        places = np.empty((len(block), 0), np.int64)
        for first in range(0, n, _COLUMNS):
            likeness = block @ points[first : first + _COLUMNS].T
            own = rows + start - first
            inside = others & (own >= 0) & (own < likeness.shape[1])
            likeness[rows[inside], own[inside]] = -2.0
            kept = min(k, likeness.shape[1])
            top = np.argpartition(likeness, likeness.shape[1] - kept, axis=1)[:, -kept:]
            best = np.hstack([best, np.take_along_axis(likeness, top, 1)])
            places = np.hstack([places, top + first])
        top = np.argpartition(best, best.shape[1] - k, axis=1)[:, -k:]
        found[start : start + _BLOCK] = np.take_along_axis(places, top, 1)
    return found
