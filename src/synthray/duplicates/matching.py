"""Evidence on pairs: which images may show the same radiograph, and do they?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthray._progress import progress_bar
from synthray.duplicates import embedding
from synthray.duplicates.embedding import Detail
from synthray.duplicates.registration import Registration
from synthray.duplicates.structure import Structure, scales
from synthray.duplicates.windows import distinctive, inverse, transforms, whole
from synthray.duplicates.working import SIDE, Floats, Index

LINK = 0.5  # log-odds above which a pair may start a cluster
SURE = 2.0  # the same in a first look, whose clusters stay
_FOR, _AGAINST = 6.0, -2.0  # bounds on the weight of one pair
_EACH, _MANY = 0.6, 6  # weight that a link needs for each image more of the smaller cluster
_UNLIKE = -1.0  # weight of a pair that could not be laid on each other: it may overlap too little


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
    weights = np.where(np.isinf(odds), _UNLIKE, np.clip(odds, _AGAINST, _FOR)).tolist()
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


# Log-odds that two images are the same radiograph: from the correlations of fine structure, with
# edges and without (Fisher's z), less for coarse structure, and from how far the transform is from
# a turn about the centre: by how many pixels it stretches and shifts, in logarithms. Of two
# patients, images fit best if one is stretched and shifted by a few pixels; where all edges are
# parallel, by any: straight shafts fit each other along their length.
# Fitted to planted copies and to pairs of different patients; benchmarks/rows/duplicates.py
# measures them on copies that were not used for that.
_DETAIL, _TEXTURE, _SIZE, _OFFSET = 4.1, 4.2, -3.0, -9.35
_STRETCHED, _SHIFTED = (-1.1, 0.56), (-1.7, 0.62)  # times the logarithm, and its square
_STRAIGHT, _BOTH_STRETCHED, _BOTH_SHIFTED = 2.7, -2.3, -2.4

_ROUGH_FIT = 0.72  # of polar series; copies lie above, with their right rotation and scale
_FIRST_FIT = 0.68  # after a few steps on a coarse grid
_SECOND_FIT = 0.74  # after a few more on a fine one
_BLOCK = 128
_AT_ONCE = 2048
_COLUMNS = (((), np.int64), ((), np.int64), ((), np.float32), ((6,), np.float32))  # of guesses


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
        alike: Least likeness of neighbours.
        detail: Of descriptions.
    """

    whole: bool
    neighbours: int
    pairs: int
    alike: float
    detail: Detail


class Matcher:
    """Compares pairs of images.

    Args:
        copies: Gray images, shape `(n, SIDE, SIDE)`.
    """

    def __init__(self, copies: Floats) -> None:
        self._copies = copies
        self._registration = Registration(copies)
        self._structure = Structure(copies)

    def compare(
        self,
        places: Index,
        *,
        among: Index | None = None,
        views: Sequence[View],
        hypotheses: int,
        verbose: Any = 0,
    ) -> Evidence:
        """Compare the likeliest pairs.

        Args:
            places: Which images to compare.
            among: With which others; by default with each other.
            views: How images are laid on others.
            hypotheses: Ways to lay a pair on each other that are tried.
            verbose: 0 for silence.
        """
        n = len(self._copies)
        found = [self._guesses(view, places, among, hypotheses) for view in views]
        guesses = Guesses(*map(np.concatenate, zip(*found, strict=True)))
        kept = _best(guesses.i, guesses.j, guesses.fit, n, hypotheses)
        guesses = guesses.take(kept)
        m = len(kept)
        blocks = [slice(start, start + _BLOCK) for start in range(0, m, _BLOCK)]
        odds = np.full(m, -np.inf)
        bar = progress_bar(m, "Comparing images", unit="pair", verbose=verbose)
        # The operations of arrays run outside the interpreter's lock: threads suffice.
        with bar, ThreadPoolExecutor(os.cpu_count()) as threads:
            parts = map(guesses.take, blocks)
            for block, part in zip(blocks, threads.map(self._log_odds, parts), strict=True):
                odds[block] = part
                bar.update(len(part))
        best = _best(guesses.i, guesses.j, odds, n, 1)
        ends = np.sort(np.stack([guesses.i[best], guesses.j[best]], 1), axis=1)
        return Evidence(ends[:, 0], ends[:, 1], odds[best])

    def _guesses(self, view: View, places: Index, among: Index | None, hypotheses: int) -> Guesses:
        """Find pairs of images with windows that are alike, and how these lie on each other."""
        find = whole if view.whole else partial(distinctive, self._copies)
        describe = partial(embedding.embeddings, self._copies, detail=view.detail)
        first = second = find(places)
        queries = points = describe(first)
        if among is not None:
            second = find(among)
            points = describe(second)
        near, alike = embedding.nearest(
            queries, points, view.neighbours, (first.image, second.image)
        )
        query, column = np.nonzero(alike > view.alike)
        point, weight = near[query, column], alike[query, column] - view.alike
        kept = _likeliest(first.image[query], second.image[point], weight, view.pairs, hypotheses)
        first, second = first.take(query[kept]), second.take(point[kept])
        rows = [Guesses(*(np.zeros((0, *shape), kind) for shape, kind in _COLUMNS))]
        for begin in range(0, len(kept), _AT_ONCE):
            at = np.arange(begin, min(begin + _AT_ONCE, len(kept)))
            one, two = first.take(at), second.take(at)
            fits, angles = embedding.best_rotations(
                *(embedding.spectra(self._copies, each, view.detail) for each in (one, two))
            )
            for mirror in (0, 1):
                good = np.flatnonzero(fits[:, mirror] > _ROUGH_FIT)
                a, b = one.take(good), two.take(good)
                laid = transforms(a, b, angles[good, mirror], np.full(len(good), mirror))
                rows.append(Guesses(a.image, b.image, fits[good, mirror], laid))
        i, j, fit, start = map(np.concatenate, zip(*rows, strict=True))
        # From the image that shows less: the other one holds its whole disc.
        enlarged = np.abs(start[:, 0] * start[:, 3] - start[:, 1] * start[:, 2]) > 1
        start[enlarged] = inverse(start[enlarged])
        return Guesses(np.where(enlarged, j, i), np.where(enlarged, i, j), fit, start)

    def _log_odds(self, guesses: Guesses) -> NDArray[np.float64]:
        i, j, _, found = guesses
        kept = np.arange(len(i))
        for coarse, least in ((True, _FIRST_FIT), (False, _SECOND_FIT)):
            fit, found = self._registration.align(i[kept], j[kept], found, coarse=coarse)
            kept, found = kept[fit > least], found[fit > least]
        odds = np.full(len(i), -np.inf)
        if len(kept):
            i, j, straightness = i[kept], j[kept], self._structure.straightness
            detail, texture, size = self._structure.judge(i, j, found)
            straight = np.minimum(straightness[i], straightness[j])
            large, small = scales(found)
            # The root of the summed squares of half the logarithms' sum and difference.
            stretch = np.sqrt((np.log(large) ** 2 + np.log(small) ** 2) / 2) * SIDE * 0.44
            stretched, shifted = np.log(stretch + 0.5), np.log(np.hypot(*found[:, 4:].T) + 0.5)
            odds[kept] = _OFFSET + _DETAIL * _fisher_z(detail) + _TEXTURE * _fisher_z(texture)
            odds[kept] += _SIZE * size
            for far, (linear, square) in ((stretched, _STRETCHED), (shifted, _SHIFTED)):
                odds[kept] += linear * far + square * far**2
            doubt = _STRAIGHT + _BOTH_STRETCHED * stretched + _BOTH_SHIFTED * shifted
            odds[kept] += straight**2 * doubt
        return odds


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


def _fisher_z(correlations: Floats) -> NDArray[np.float64]:
    return np.arctanh(np.clip(correlations, -0.5, 0.995, dtype=np.float64))
