"""How likely two images that are laid on each other show one radiograph: a logistic regression.

The weights come from `benchmarks/rows/pair_model.py`, which fits them to planted copies and to
pairs of different patients; `benchmarks/rows/duplicates.py` measures them on others.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthray.duplicates.registration import disc, moved
from synthray.duplicates.structure import Structure, scales
from synthray.duplicates.working import SIDE, Floats, Index

WEIGHTS = Path(__file__).with_suffix(".json")
Numbers = NDArray[np.float64]

_GRID = 3.0  # pixels between points whose overlap is looked at
_REACH = 0.44 * SIDE  # from the centre, at which a stretch is told in pixels


def measures(
    structure: Structure, i: Index, j: Index, found: Floats, coarse: Floats, fine: Floats
) -> Numbers:
    """Return what tells copies from two patients in one pose, shape `(n, 11)`.

    Correlations count as Fisher's z, distances and sizes as logarithms: of the fine structure, of
    what is left of it without edges, of sharp and of smooth images; the size of the details; by how
    many pixels the transform stretches and shifts; how far all edges are parallel, squared, since
    straight shafts fit each other along their length; the share of points inside both images; by
    how much the transform enlarges at most and at least.

    Args:
        structure: Of the images.
        i: Places of the first images, shape `(n,)`.
        j: Places of the second.
        found: Transforms, `(n, 6)`; see `registration.align`.
        coarse: Correlation of smooth images, `(n,)`.
        fine: Correlation of sharp ones.
    """
    detail, texture, size = structure.judge(i, j, found)
    large, small = (np.log(each) for each in scales(found))
    stretched = np.sqrt((large**2 + small**2) / 2) * _REACH
    shifted = np.hypot(*found[:, 4:].T)
    straight = np.minimum(structure.straightness[i], structure.straightness[j])
    y, x = disc(_GRID)
    overlap = moved(found, y, x)[2].mean(1)
    correlations = map(_fisher_z, (detail, texture, fine, coarse))
    far = (np.log(each + 0.5) for each in (stretched, shifted))
    columns = (*correlations, size, *far, straight**2, overlap, large, small)
    return np.stack(columns, 1).astype(np.float64)


def log_odds(found: Numbers) -> Numbers:
    """Return log-odds that pairs show one radiograph, shape `(n,)`, from their measures."""
    return np.asarray(terms(found) @ _weights(), np.float64)


def terms(found: Numbers) -> Numbers:
    """Return what the log-odds are linear in: 1, the measures and all their products."""
    i, j = np.triu_indices(found.shape[1])
    return np.concatenate([np.ones((len(found), 1)), found, found[:, i] * found[:, j]], 1)


@cache
def _weights() -> Numbers:
    record = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    return np.asarray(record["values"]["weights"], np.float64)


def _fisher_z(correlations: Floats) -> Numbers:
    return np.arctanh(np.clip(correlations, -0.5, 0.995, dtype=np.float64))
