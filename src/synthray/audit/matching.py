"""Evidence on pairs: which images may show the same radiograph, and do they?"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray.audit.embedding import Spectra, best_rotations, embeddings, spectra
from synthray.audit.neighbours import nearest
from synthray.audit.registration import Index, Registration, starting_points

# Log-odds that two images are the same radiograph, from the correlation of their fine structure
# (Fisher's z) and from how much of that structure is parallel edges: two straight shafts fit each
# other along their whole length, and prove little by it. Fitted once to planted copies and to pairs
# of different patients; benchmarks/duplicates.py measures it on draws not used for that.
_FIT, _STRAIGHT, _OFFSET = 9.6, -11.0, -9.8
_ZOOMED, _SHIFTED = -30.0, -1.0  # for straight ones, a change of log scale and of a pixel

_ROUGH_FIT = 0.72  # of polar series; copies lie above, with their right rotation and scale
_FIRST_FIT = 0.6  # after a few steps on a coarse grid
_BLOCK = 512


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
    neighbours: int,
    zooms: tuple[float, ...],
    hypotheses: int,
    advance: Callable[[float], Any],
) -> Evidence:
    """Look at the likeliest pairs among some images.

    Args:
        copies: Gray images of `SIDE` x `SIDE`, shape `(n, SIDE, SIDE)`.
        registration: Of the same images.
        places: Which of them to compare.
        neighbours: Pairs to look at for each image and zoom.
        zooms: Scales at which images are laid on others.
        hypotheses: Rotations, flips and scales to try for a pair.
        advance: Called with the share that is done, 0 to 1.
    """
    plain = spectra(copies[places])
    points = embeddings(plain)
    guesses = []
    for number, zoom in enumerate(zooms):
        zoomed = plain if zoom == 1.0 else spectra(copies[places], zoom)
        near = nearest(points if zoom == 1.0 else embeddings(zoomed), points, neighbours)
        guesses.append(_guesses(zoomed, plain, near, zoom))
        advance(0.2 * (number + 1) / len(zooms))
    table = _likeliest(np.concatenate(guesses), len(places), hypotheses)
    table[:, :2] = places[table[:, :2].astype(np.int64)]

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
    zoomed: Spectra, plain: Spectra, near: NDArray[np.int64], zoom: float
) -> NDArray[np.float64]:
    """Return rows (i, j, flipped, angle, scale, fit) of both mirror states of each pair."""
    k = near.shape[1]
    rows = []
    for start in range(0, len(near), _BLOCK):
        part = near[start : start + _BLOCK]
        i, j = np.repeat(np.arange(start, start + len(part)), k), part.ravel()
        fits, angles = best_rotations(zoomed[i], plain[j])
        for flipped in (0, 1):
            columns = (i, j, np.full(len(i), flipped), angles[:, flipped])
            kept = fits[:, flipped] > _ROUGH_FIT
            table = np.column_stack([*columns, np.full(len(i), 1 / zoom), fits[:, flipped]])
            rows.append(table[kept])
    return np.concatenate(rows) if rows else np.zeros((0, 6))


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
    start = starting_points(table[:, 3].astype(np.float32), table[:, 4].astype(np.float32))
    odds = np.full(len(table), -np.inf)
    fit, found = registration.align(i, j, flipped, start, coarse=True)
    kept = np.flatnonzero(fit > _FIRST_FIT)
    if len(kept):
        i, j, flipped = i[kept], j[kept], flipped[kept]
        _, found = registration.align(i, j, flipped, found[kept], coarse=False)
        fits = registration.judge(i, j, flipped, found)
        straight = np.minimum(registration.straightness[i], registration.straightness[j]) ** 4
        zoomed = np.abs(np.log(np.hypot(found[:, 0], found[:, 1])))
        shifted = np.hypot(found[:, 2], found[:, 3])
        doubt = _STRAIGHT + _ZOOMED * zoomed + _SHIFTED * shifted
        odds[kept] = _FIT * np.arctanh(np.clip(fits, -0.5, 0.995)) + straight * doubt + _OFFSET
    return odds


def _best_of_pairs(table: NDArray[np.float64], odds: NDArray[np.float64], n: int) -> Evidence:
    low = table[:, :2].min(1).astype(np.int64)
    high = table[:, :2].max(1).astype(np.int64)
    order = np.lexsort((-odds, low * n + high))
    low, high, odds = low[order], high[order], odds[order]
    first = np.unique(low * n + high, return_index=True)[1]
    return Evidence(low[first], high[first], odds[first])
