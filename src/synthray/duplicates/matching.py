"""Evidence on pairs: which images may show the same radiograph, and do they?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthray._progress import progress_bar
from synthray.duplicates import embedding
from synthray.duplicates.embedding import Floats, Index, Spectra
from synthray.duplicates.registration import Registration, starting_points
from synthray.duplicates.structure import Structure

LINK = 0.5  # log-odds above which a pair may start a cluster
_FOR, _AGAINST = 6.0, -3.0  # bounds on the weight of one pair


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


def joined(labels: Index, parts: Iterable[Evidence]) -> Index:
    """Return larger clusters, joined as far as the evidence allows.

    The strongest pairs are joined first. Two clusters join if the weights of all compared pairs
    between them have a positive sum, as in average linkage over the known pairs: pairs that do not
    fit outvote one false link.

    Args:
        labels: Clusters so far, each called by the place of one of its images, shape `(n,)`.
        parts: Evidence on pairs.

    Returns:
        Clusters in the same form.
    """
    from scipy.cluster.hierarchy import DisjointSet

    i, j, odds = map(np.concatenate, zip(*parts, strict=True))
    sets = DisjointSet(range(len(labels)))
    for place, label in enumerate(labels.tolist()):
        sets.merge(place, label)
    between: dict[int, dict[int, float]] = {}  # sums of weights between clusters, by their roots
    weights = np.clip(odds, _AGAINST, _FOR).tolist()
    for place, other, weight in zip(i.tolist(), j.tolist(), weights, strict=True):
        a, b = sets[place], sets[other]
        if a != b:
            between.setdefault(a, {})[b] = between.get(a, {}).get(b, 0.0) + weight
            between.setdefault(b, {})[a] = between[a][b]
    for at in np.lexsort((j, i, -odds)):
        if odds[at] < LINK:
            break
        a, b = sets[int(i[at])], sets[int(j[at])]
        if a == b or between[a][b] <= 0:
            continue
        sets.merge(a, b)
        kept, gone = (a, b) if sets[a] == a else (b, a)
        for other, weight in between.pop(gone).items():
            between[other].pop(gone)
            if other != kept:
                between[kept][other] = between[kept].get(other, 0.0) + weight
                between[other][kept] = between[kept][other]
    return np.asarray([sets[place] for place in range(len(labels))], np.int64)


# Log-odds that two images are the same radiograph: from the correlations of fine structure and of
# what varies along its edges (Fisher's z), and from the logarithm of the scale between them; less a
# doubt where all edges are parallel: straight shafts fit each other at any place and scale.
# Fitted to planted copies and to pairs of different patients; benchmarks/duplicates.py measures
# them on copies that were not used for that.
_FIT, _ALONG, _ZOOMED, _OFFSET = 6.4, 3.4, -6.6, -10.5
_STRAIGHT, _STRETCHED, _SHIFTED = -5.0, -10.0, -1.4  # each, a change of log scale, of a pixel
_STEEPNESS = 6  # shafts have a straightness near 1, hands about 0.5

_ROUGH_FIT = 0.72  # of polar series; copies lie above, with their right rotation and scale
_FIRST_FIT = 0.68  # after a few steps on a coarse grid
_SECOND_FIT = 0.74  # after a few more on a fine one
_BLOCK = 128

Table = NDArray[np.float64]
"""Guesses of transforms, a row each: i, j, flipped, angle, scale, fit, right, down."""


@dataclass(frozen=True)
class View:
    """A way to look at images when neighbours are searched.

    Attributes:
        zoom: Radii are this many times as long.
        right: Pixels by which images are moved to the right first.
        down: Pixels by which they are moved down.
        neighbours: How many neighbours of each image to take.
    """

    zoom: float = 1.0
    right: int = 0
    down: int = 0
    neighbours: int = 8


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
            hypotheses: Rotations, flips and scales to try for a pair.
            verbose: 0 for silence.
        """
        n = len(self._copies)
        targets = places if among is None else among
        plain = embedding.spectra(self._copies[targets])
        points = embedding.embeddings(plain)
        guesses = []
        for view in views:
            # What leaves on one side comes in on the other.
            shifted = np.roll(self._copies[places], (view.down, view.right), axis=(1, 2))
            seen = embedding.spectra(shifted, view.zoom)
            near = embedding.nearest(
                embedding.embeddings(seen), points, view.neighbours, others=among is None
            )
            guesses.append(_guesses(seen, plain, near, view, places, targets))
        table = np.concatenate(guesses)
        table = table[_best(table, table[:, 5], n, hypotheses)]
        blocks = [table[start : start + _BLOCK] for start in range(0, len(table), _BLOCK)]
        odds = np.full(len(table), -np.inf)
        bar = progress_bar(len(table), "Comparing images", unit="pair", verbose=verbose)
        # The operations of arrays run outside the interpreter's lock: threads suffice.
        with bar, ThreadPoolExecutor(os.cpu_count()) as threads:
            for k, part in enumerate(threads.map(self._log_odds, blocks)):
                odds[k * _BLOCK : (k + 1) * _BLOCK] = part
                bar.update(len(part))
        best = _best(table, odds, n, 1)
        ends = np.sort(table[best, :2].astype(np.int64), axis=1)
        return Evidence(ends[:, 0], ends[:, 1], odds[best])

    def _log_odds(self, table: Table) -> NDArray[np.float64]:
        i, j = table[:, :2].astype(np.int64).T
        flipped = table[:, 2] > 0
        found = starting_points(flipped, *table[:, [3, 4, 6, 7]].astype(np.float32).T)
        kept = np.arange(len(table))
        for coarse, least in ((True, _FIRST_FIT), (False, _SECOND_FIT)):
            fit, found = self._registration.align(
                i[kept], j[kept], flipped[kept], found, coarse=coarse
            )
            kept, found = kept[fit > least], found[fit > least]
        odds = np.full(len(table), -np.inf)
        if len(kept):
            i, j, straightness = i[kept], j[kept], self._structure.straightness
            fits, along = self._structure.judge(i, j, flipped[kept], found)
            straight = np.minimum(straightness[i], straightness[j])
            zoomed = np.abs(np.log(np.hypot(found[:, 0], found[:, 1])))
            shifted = np.hypot(found[:, 2], found[:, 3])
            doubt = _STRAIGHT + _STRETCHED * zoomed + _SHIFTED * shifted
            odds[kept] = _FIT * _fisher_z(fits) + _ALONG * _fisher_z(along)
            odds[kept] += _OFFSET + _ZOOMED * zoomed + straight**_STEEPNESS * doubt
        return odds


def _guesses(
    seen: Spectra, plain: Spectra, near: Index, view: View, places: Index, targets: Index
) -> Table:
    """Return two rows a pair, one for each mirror state, as far as they fit roughly."""
    rows = [np.zeros((0, 8))]
    for start in range(0, len(near), _BLOCK):
        part = near[start : start + _BLOCK]
        i, j = np.repeat(np.arange(start, start + len(part)), near.shape[1]), part.ravel()
        fits, angles = embedding.best_rotations(seen[i], plain[j])
        for flipped in (0, 1):
            table = np.empty((len(i), 8))
            table[:, 0], table[:, 1], table[:, 2] = places[i], targets[j], flipped
            table[:, 3], table[:, 5] = angles[:, flipped], fits[:, flipped]
            table[:, [4, 6, 7]] = 1 / view.zoom, view.right, view.down
            if view.zoom < 1:  # from the enlarged one, whose whole disc the other one holds
                table[:, [0, 1]] = table[:, [1, 0]]
                table[:, 4] = view.zoom
                table[:, 3] *= 1 if flipped else -1
            rows.append(table[table[:, 5] > _ROUGH_FIT])
    return np.concatenate(rows)


def _best(table: Table, scores: NDArray[np.float64], n: int, count: int) -> Index:
    """Return the rows with the highest scores, `count` of each pair, in the order of pairs."""
    pair = table[:, :2].min(1) * n + table[:, :2].max(1)
    order = np.lexsort((-scores, pair))
    pair = pair[order]
    return np.asarray(order[np.arange(len(pair)) - np.searchsorted(pair, pair) < count])


def _fisher_z(correlations: Floats) -> NDArray[np.float64]:
    return np.arctanh(np.clip(correlations, -0.5, 0.995, dtype=np.float64))
