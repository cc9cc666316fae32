"""Evidence on pairs: which images may show the same radiograph, and do they?"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray.audit.alignment import Index
from synthray.audit.embedding import Spectra, best_rotations, embeddings, spectra
from synthray.audit.neighbours import nearest
from synthray.audit.registration import Registration, starting_points

# Log-odds that two images are the same radiograph: from the correlations of fine structure and of
# what varies along its edges (Fisher's z), and from the logarithm of the scale between them; less a
# doubt where all edges are parallel: straight shafts fit each other at any place and scale.
# Fitted to planted copies and to pairs of different patients; benchmarks/duplicates.py measures
# them on draws that were not used for that.
_FIT, _ALONG, _ZOOMED, _OFFSET = 6.4, 3.4, -6.6, -10.5
_STRAIGHT, _STRETCHED, _SHIFTED = -5.0, -10.0, -1.4  # each, a change of log scale, of a pixel
_STEEPNESS = 6  # shafts have a straightness near 1, hands about 0.5

_ROUGH_FIT = 0.72  # of polar series; copies lie above, with their right rotation and scale
_FIRST_FIT = 0.68  # after a few steps on a coarse grid
_SECOND_FIT = 0.74  # after a few more on a fine one
_BLOCK = 128


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

    def shifted(self, copies: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the images, moved; what leaves on one side comes in on the other."""
        return np.roll(copies, (self.down, self.right), axis=(1, 2))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Pairs that were looked at.

    Attributes:
        i: Places of the first images, shape `(m,)`; less than `j`.
        j: Places of the second.
        log_odds: For being the same radiograph, shape `(m,)`.
    """

    i: Index
    j: Index
    log_odds: NDArray[np.float64]


def compare(
    copies: NDArray[np.float32],
    registration: Registration,
    places: Index,
    *,
    among: Index | None = None,
    views: Sequence[View],
    hypotheses: int,
    advance: Callable[[float], Any],
) -> Evidence:
    """Look at the likeliest pairs among some images.

    Args:
        copies: Gray images of `SIDE` x `SIDE`, shape `(n, SIDE, SIDE)`.
        registration: Of the same images.
        places: Which of them to compare.
        among: With which others; by default with each other.
        views: How images are laid on others; the first is the plain one.
        hypotheses: Rotations, flips and scales to try for a pair.
        advance: Called with the share that is done, 0 to 1.
    """
    own = among is None
    targets = places if among is None else among
    plain = spectra(copies[targets])
    points = embeddings(plain)
    guesses = []
    for number, view in enumerate(views):
        same = own and number == 0
        seen = plain if same else spectra(view.shifted(copies[places]), view.zoom)
        near = nearest(embeddings(seen), points, view.neighbours, others=own)
        table = _guesses(seen, plain, near, view, places, targets)
        guesses.append(table)
        advance(0.2 * (number + 1) / len(views))
    table = _likeliest(np.concatenate(guesses), len(copies), hypotheses)

    starts = range(0, len(table), _BLOCK)

    def judged(start: int) -> NDArray[np.float64]:
        return _log_odds(registration, table[start : start + _BLOCK])

    parts = []
    # The arrays' own operations run outside the interpreter's lock: threads suffice.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for done, part in enumerate(threads.map(judged, starts), 1):
            parts.append(part)
            advance(0.2 + 0.8 * done / len(starts))
    odds = np.concatenate(parts) if parts else np.zeros(0)
    return _best_of_pairs(table, odds, len(copies))


def _guesses(
    seen: Spectra,
    plain: Spectra,
    near: NDArray[np.int64],
    view: View,
    places: Index,
    targets: Index,
) -> NDArray[np.float64]:
    """Return rows (i, j, flipped, angle, scale, fit, right, down), two mirror states a pair."""
    k = near.shape[1]
    rows = []
    for start in range(0, len(near), _BLOCK):
        part = near[start : start + _BLOCK]
        i, j = np.repeat(np.arange(start, start + len(part)), k), part.ravel()
        fits, angles = best_rotations(seen[i], plain[j])
        for flipped in (0, 1):
            table = np.empty((len(i), 8))
            table[:, 0], table[:, 1], table[:, 2] = places[i], targets[j], flipped
            table[:, 3], table[:, 4], table[:, 5] = (
                angles[:, flipped],
                1 / view.zoom,
                fits[:, flipped],
            )
            table[:, 6:] = view.right, view.down
            if view.zoom < 1:  # from the enlarged one, whose whole disc the other one holds
                table[:, [0, 1]] = table[:, [1, 0]]
                table[:, 4] = view.zoom
                table[:, 3] *= 1 if flipped else -1
            rows.append(table[table[:, 5] > _ROUGH_FIT])
    return np.concatenate(rows) if rows else np.zeros((0, 8))


def _likeliest(table: NDArray[np.float64], n: int, hypotheses: int) -> NDArray[np.float64]:
    """Keep the best few rows of each pair, whichever of the two it was found from."""
    low, high = table[:, :2].min(1), table[:, :2].max(1)
    pair = low * n + high
    order = np.lexsort((-table[:, 5], pair))
    pair = pair[order]
    rank = np.arange(len(pair)) - np.searchsorted(pair, pair)
    return table[order][rank < hypotheses]


def _log_odds(registration: Registration, table: NDArray[np.float64]) -> NDArray[np.float64]:
    i, j = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    flipped = table[:, 2] > 0
    start = starting_points(flipped, *table[:, [3, 4, 6, 7]].astype(np.float32).T)
    odds = np.full(len(table), -np.inf)
    fit, found = registration.align(i, j, flipped, start, coarse=True)
    kept = np.flatnonzero(fit > _FIRST_FIT)
    fit, better = registration.align(i[kept], j[kept], flipped[kept], found[kept], coarse=False)
    sharp = fit > _SECOND_FIT
    kept, found = kept[sharp], better[sharp]
    if len(kept):
        i, j, flipped = i[kept], j[kept], flipped[kept]
        structure = registration.structure
        fits, along = structure.judge(i, j, flipped, found)
        straight = np.minimum(structure.straightness[i], structure.straightness[j])
        zoomed = np.abs(np.log(np.hypot(found[:, 0], found[:, 1])))
        shifted = np.hypot(found[:, 2], found[:, 3])
        doubt = _STRAIGHT + _STRETCHED * zoomed + _SHIFTED * shifted
        odds[kept] = _FIT * _fisher_z(fits) + _ALONG * _fisher_z(along)
        odds[kept] += _OFFSET + _ZOOMED * zoomed + straight**_STEEPNESS * doubt
    return odds


def _fisher_z(correlations: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.arctanh(np.clip(correlations, -0.5, 0.995, dtype=np.float64))


def _best_of_pairs(table: NDArray[np.float64], odds: NDArray[np.float64], n: int) -> Evidence:
    low = table[:, :2].min(1).astype(np.int64)
    high = table[:, :2].max(1).astype(np.int64)
    order = np.lexsort((-odds, low * n + high))
    low, high, odds = low[order], high[order], odds[order]
    first = np.unique(low * n + high, return_index=True)[1]
    return Evidence(low[first], high[first], odds[first])
