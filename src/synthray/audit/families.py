"""Families from evidence on pairs, without welding them through a chain of one false link."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from synthray.audit.matching import Evidence

LINK = 0.5  # log-odds that start a family
_FOR, _AGAINST = 6.0, -3.0  # what one pair may weigh in a union of families


class Families:
    """Groups of places that only grow.

    Args:
        n: Number of images.
    """

    def __init__(self, n: int) -> None:
        self._parent = np.arange(n)

    def labels(self) -> NDArray[np.int64]:
        """Return one number an image, equal within a family, shape `(n,)`."""
        return np.asarray([self._root(i) for i in range(len(self._parent))], np.int64)

    def grow(self, parts: Iterable[Evidence]) -> None:
        """Join families, the strongest link first, as far as all their evidence allows.

        Two families join if the pairs that were looked at between them speak for it in sum, each
        weighing no more than a bound: one false link between two families is outvoted by the pairs
        that do not fit, as in average linkage over the pairs that are known.
        """
        found = list(parts)
        i = np.concatenate([part.i for part in found])
        j = np.concatenate([part.j for part in found])
        odds = np.concatenate([part.log_odds for part in found])
        between: dict[int, dict[int, float]] = {}
        for a, b, weight in zip(
            i.tolist(), j.tolist(), np.clip(odds, _AGAINST, _FOR).tolist(), strict=True
        ):
            a, b = self._root(a), self._root(b)
            if a != b:
                between.setdefault(a, {})[b] = between.get(a, {}).get(b, 0.0) + weight
                between.setdefault(b, {})[a] = between[a][b]
        for at in np.lexsort((j, i, -odds)):
            if odds[at] < LINK:
                break
            a, b = self._root(int(i[at])), self._root(int(j[at]))
            if a != b and between[a][b] > 0:
                self._join(a, b, between)

    def _join(self, a: int, b: int, between: dict[int, dict[int, float]]) -> None:
        if len(between[a]) < len(between[b]):
            a, b = b, a
        self._parent[b] = a
        for other, weight in between.pop(b).items():
            between[other].pop(b)
            if other != a:
                between[a][other] = between[a].get(other, 0.0) + weight
                between[other][a] = between[a][other]

    def _root(self, i: int) -> int:
        parent = self._parent
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i
