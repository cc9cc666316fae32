"""Evidence on pairs: which images may show the same radiograph, and do they?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthray._parts import in_threads, slices
from synthray._progress import progress_bar
from synthray.duplicates import embedding
from synthray.duplicates.embedding import Detail
from synthray.duplicates.pair_model import log_odds, measures
from synthray.duplicates.registration import align
from synthray.duplicates.structure import Structure
from synthray.duplicates.windows import Windows, distinctive, inverse, transforms, whole
from synthray.duplicates.working import Copies, Floats, Index

LINK = 0.5  # log-odds above which a pair may start a cluster
SURE = 2.0  # the same in a first look, whose clusters stay
_FOR, _AGAINST = 4.0, -1.0  # bounds on the weight of one pair
_EACH, _MANY = 0.6, 6  # weight that a link needs for each image more of the smaller cluster


class Evidence(NamedTuple):
    """Pairs that were compared.

    Attributes:
        i: Places of the first images, shape `(m,)`; less than `j`.
        j: Places of the second.
        log_odds: For being the same radiograph, shape `(m,)`.
    """

    i: Index
    j: Index
    log_odds: NDArray[np.float64]


def joined(labels: Index, parts: Iterable[Evidence], *, link: float = LINK) -> Index:
    """Return larger clusters, joined as far as the evidence allows.

    The strongest pairs are joined first. Two clusters join if the weights of all compared pairs
    between them have a positive sum, as in average linkage over the known pairs: pairs that do not
    fit outvote one false link. Clusters of several images need more than one weak link.

    Args:
        labels: Clusters so far, each called by the place of one of its images, shape `(n,)`.
        parts: Evidence on pairs.
        link: Log-odds above which a pair joins clusters.

    Returns:
        Clusters in the same form.
    """
    from scipy.cluster.hierarchy import DisjointSet

    i, j, odds = map(np.concatenate, zip(*parts, strict=True))
    sets = DisjointSet(range(len(labels)))
    for place, label in enumerate(labels.tolist()):
        sets.merge(place, label)
    between: dict[int, dict[int, float]] = {}  # sums of weights between clusters, by their roots
    # Pairs that could not be laid on each other tell nothing: they may overlap too little.
    i, j, odds = (each[np.isfinite(odds)] for each in (i, j, odds))
    weights = np.clip(odds, _AGAINST, _FOR).tolist()
    for place, other, weight in zip(i.tolist(), j.tolist(), weights, strict=True):
        a, b = sets[place], sets[other]
        if a != b:
            between.setdefault(a, {})[b] = between.get(a, {}).get(b, 0.0) + weight
            between.setdefault(b, {})[a] = between[a][b]
    for at in np.lexsort((j, i, -odds)):
        if odds[at] < link:
            break
        a, b = sets[int(i[at])], sets[int(j[at])]
        smaller = min(sets.subset_size(a), sets.subset_size(b), _MANY)
        if a == b or between[a][b] <= _EACH * (smaller - 1):
            continue
        sets.merge(a, b)
        kept, gone = (a, b) if sets[a] == a else (b, a)
        for other, weight in between.pop(gone).items():
            between[other].pop(gone)
            if other != kept:
                between[kept][other] = between[kept].get(other, 0.0) + weight
                between[other][kept] = between[kept][other]
    return np.asarray([sets[place] for place in range(len(labels))], np.int64)


_ROUGH_FIT = 0.72  # of polar series; copies lie above, with their right rotation and scale
_FIRST_FIT = 0.68  # after a few steps on a coarse grid
_SECOND_FIT = 0.8  # after a few more on a fine one
_IMAGES, _PAIRS = 1024, 256  # that a thread takes at once
_AT_ONCE = 2048


class Guesses(NamedTuple):
    """How pairs may be laid on each other.

    Attributes:
        i: Places of the first images, shape `(m,)`.
        j: Places of the second.
        fit: How well windows of them fit, shape `(m,)`.
        start: Transforms, shape `(m, 6)`, that do not enlarge.
    """

    i: Index
    j: Index
    fit: Floats
    start: Floats

    def take(self, at: Index | slice) -> Guesses:
        """Return some of the guesses."""
        return Guesses(self.i[at], self.j[at], self.fit[at], self.start[at])


@dataclass(frozen=True)
class View:
    """A way to look for likely pairs.

    Attributes:
        whole: Whether to compare whole images, or their distinctive windows.
        neighbours: How many neighbours of each window to take.
        pairs: How many images to compare with each, those with the most neighbours.
        hypotheses: Ways to lay a pair on each other that are tried.
        alike: Least likeness of neighbours.
        detail: Of descriptions.
    """

    whole: bool
    neighbours: int
    pairs: int
    hypotheses: int
    alike: float
    detail: Detail


class Matcher:
    """Compares pairs of images.

    Args:
        copies: Gray images, shape `(n, SIDE, SIDE)`.
        verbose: 0 for silence.
    """

    def __init__(self, copies: Copies, *, verbose: Any = 0) -> None:
        self._copies = copies
        self._structure = Structure(copies)
        self._verbose = verbose

    def compare(self, places: Index, *, among: Index | None = None, view: View) -> Evidence:
        """Compare the likeliest pairs.

        Args:
            places: Which images to compare, in ascending order.
            among: With which others; by default with each other.
            view: How images are laid on others.
        """
        n = len(self._copies)
        guesses = self._guesses(view, places, among)
        guesses = guesses.take(_best(guesses.i, guesses.j, guesses.fit, n, view.hypotheses))
        parts = slices(len(guesses.i), _PAIRS)
        with self._bar(len(guesses.i), "Comparing pairs", "pair") as bar:
            found = in_threads(lambda at: self._log_odds(guesses.take(at)), parts, bar.update)
        odds = np.concatenate([np.zeros(0), *found])
        best = _best(guesses.i, guesses.j, odds, n, 1)
        ends = np.sort(np.stack([guesses.i[best], guesses.j[best]], 1), axis=1)
        return Evidence(ends[:, 0], ends[:, 1], odds[best])

    def _guesses(self, view: View, places: Index, among: Index | None) -> Guesses:
        """Find pairs of images with windows that are alike, and how these lie on each other."""
        windows, described = points, vectors = self._described(view, places)
        if among is not None:
            points, vectors = self._described(view, among)
        neighbours = embedding.Neighbours(vectors, points.image)

        def guess(at: slice) -> Guesses:
            own = slice(*np.searchsorted(windows.image, places[at][[0, -1]] + [0, 1]))
            queries = windows.take(own)
            near, alike = neighbours.of(described[own], queries.image, view.neighbours)
            query, column = np.nonzero(alike > view.alike)
            point, weight = near[query, column], alike[query, column] - view.alike
            kept = _likeliest(
                queries.image[query], points.image[point], weight, view.pairs, view.hypotheses
            )
            return self._laid(queries.take(query[kept]), points.take(point[kept]), view.detail)

        with self._bar(len(places), "Looking for pairs", "image") as bar:
            rows = in_threads(guess, slices(len(places), _IMAGES), bar.update)
        return Guesses(*map(np.concatenate, zip(*rows, strict=True)))

    def _described(self, view: View, places: Index) -> tuple[Windows, Floats]:
        windows = whole(places) if view.whole else distinctive(self._copies, places)
        return windows, embedding.embeddings(self._copies, windows, view.detail)

    def _laid(self, first: Windows, second: Windows, detail: Detail) -> Guesses:
        """Return how windows lie on others at their best rotation, if they fit."""
        parts = list(slices(len(first.image), _AT_ONCE)) or [slice(0, 0)]
        rows = []
        for at in parts:
            one, two = first.take(at), second.take(at)
            fits, angles = embedding.best_rotations(
                *(embedding.spectra(self._copies, each, detail) for each in (one, two))
            )
            for mirror in (0, 1):
                good = np.flatnonzero(fits[:, mirror] > _ROUGH_FIT)
                a, b = one.take(good), two.take(good)
                laid = transforms(a, b, angles[good, mirror], np.full(len(good), mirror))
                rows.append((a.image, b.image, fits[good, mirror], laid))
        i, j, fit, start = map(np.concatenate, zip(*rows, strict=True))
        # From the image that shows less: the other one holds its whole disc.
        enlarged = np.abs(start[:, 0] * start[:, 3] - start[:, 1] * start[:, 2]) > 1
        start[enlarged] = inverse(start[enlarged])
        return Guesses(np.where(enlarged, j, i), np.where(enlarged, i, j), fit, start)

    def _log_odds(self, guesses: Guesses) -> NDArray[np.float64]:
        odds = np.full(len(guesses.i), -np.inf)
        kept, found = self.measured(guesses)
        odds[kept] = log_odds(found)
        return odds

    def measured(self, guesses: Guesses) -> tuple[Index, NDArray[np.float64]]:
        """Return which guesses can be laid on each other, `(m,)`, and their `measures`."""
        i, j, _, found = guesses
        kept = np.arange(len(i))
        fits: list[Floats] = []
        for coarse, least in ((True, _FIRST_FIT), (False, _SECOND_FIT)):
            places, codes = np.unique(np.stack([i[kept], j[kept]]), return_inverse=True)
            copies, (first, second) = self._copies[places], codes.reshape(2, -1)
            fit, found = align(copies, first, second, found, coarse=coarse)
            good = fit > least
            kept, found, fits = kept[good], found[good], [each[good] for each in (*fits, fit)]
        return kept, measures(self._structure, i[kept], j[kept], found, *fits)

    def _bar(self, total: int, what: str, unit: str) -> Any:
        return progress_bar(total, what, unit=unit, verbose=self._verbose)


def _likeliest(i: Index, j: Index, weight: Floats, pairs: int, hypotheses: int) -> Index:
    """Return the best few rows of the pairs that have the highest sums for each `i`."""
    n = max(i.max(initial=0), j.max(initial=0)) + 1
    keys, codes = np.unique(i * n + j, return_inverse=True)
    votes = np.bincount(codes, weight)
    order = np.lexsort((keys, -votes, keys // n))
    rank = np.arange(len(keys)) - np.searchsorted((keys // n)[order], (keys // n)[order])
    good = np.zeros(len(keys), bool)
    good[order[rank < pairs]] = True
    rows = np.flatnonzero(good[codes])
    order = rows[np.lexsort((-weight[rows], codes[rows]))]
    rank = np.arange(len(order)) - np.searchsorted(codes[order], codes[order])
    return order[rank < hypotheses]


def _best(i: Index, j: Index, scores: NDArray[np.floating], n: int, count: int) -> Index:
    """Return the rows with the highest scores, `count` of each pair, in the order of pairs."""
    pair = np.minimum(i, j) * n + np.maximum(i, j)
    order = np.lexsort((-scores, pair))
    pair = pair[order]
    return np.asarray(order[np.arange(len(pair)) - np.searchsorted(pair, pair) < count])
