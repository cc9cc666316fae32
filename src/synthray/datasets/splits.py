"""Splits that never cut a group, stratified by class (scikit-learn)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

_MAX_PARTS = 20  # a test share is met to within 1/20 of a part: 0.37 becomes 7 of 19 parts


def group_codes(groups: NDArray[Any] | None, n: int) -> Indices:
    """Return one integer a group, `0 ... k - 1`; without groups every image is its own."""
    if groups is None:
        return np.arange(n)
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def split(
    labels: NDArray[np.int64], groups: NDArray[Any] | None, test_size: float, seed: int | None
) -> tuple[Indices, Indices]:
    """Return sorted train and test indices; groups stay whole, class shares are kept."""
    if not 0.0 < test_size < 1.0:
        raise ValueError(
            f"test_size is the share of images for the test set and must lie between 0 and 1, "
            f"got {test_size!r}."
        )
    share = Fraction(test_size).limit_denominator(_MAX_PARTS)
    share = min(max(share, Fraction(1, _MAX_PARTS)), Fraction(_MAX_PARTS - 1, _MAX_PARTS))
    parts = [test for _, test in folds(labels, groups, share.denominator, seed)]
    test = np.sort(np.concatenate(parts[: share.numerator]))
    train = np.setdiff1d(np.arange(len(labels)), test)
    return train, test


def folds(
    labels: NDArray[np.int64], groups: NDArray[Any] | None, k: int, seed: int | None
) -> Iterator[tuple[Indices, Indices]]:
    """Yield `k` pairs of sorted train and test indices, each image in one test part."""
    from sklearn.model_selection import StratifiedGroupKFold

    codes = group_codes(groups, len(labels))
    for label in np.unique(labels):
        held = len(np.unique(codes[labels == label]))
        if held < k:
            raise ValueError(
                f"Expected at least {k} groups of every class to make {k} parts, but class {label} "
                f"has {held}. Use fewer folds (or a larger test_size), or add images."
            )
    if k < 2:
        raise ValueError(f"Expected at least 2 folds, got {k}.")
    splitter = StratifiedGroupKFold(n_splits=k, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Counted above in groups, which is what can be split; scikit-learn counts images.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        for train, test in splitter.split(np.zeros(len(labels)), labels, codes):
            yield np.sort(train), np.sort(test)
