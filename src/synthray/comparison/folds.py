"""Which images train and which judge: the audit, and the folds that follow from it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from synthray.datasets import splits
from synthray.datasets.image_dataset import ImageDataset
from synthray.duplicates.duplicates import find_duplicates
from synthray.duplicates.leakage import (
    LeakageReport,
    audit_leakage,
    fold_leakage,
    joined_groups,
)
from synthray.exceptions import LeakageError, LeakageWarning

Leakage = Literal["warn", "raise", "off"]
Rows = NDArray[np.int64]
Say = Callable[[str], None]

FOLD_SEED = 0
"""Seed of the cut into folds and of validation shares."""


@dataclass(frozen=True, eq=False)
class Judging:
    """Which images train and which judge.

    Attributes:
        splits: Rows that train and rows that judge of each fold; of one test set, all of both.
        images: All images that judge, in the order of results.
        folds: The fold in which each of them judges.
        groups: Their groups, given and found; `None` where there are neither.
        leak: What the audit found; `None` where it was off.
        name: What the cut is called in the record.
        grouped: Whether no group is cut.
    """

    splits: tuple[tuple[Rows, Rows], ...]
    images: ImageDataset
    folds: NDArray[np.int64]
    groups: NDArray[Any] | None
    leak: LeakageReport | None
    name: str
    grouped: bool


def judge_by_test_set(
    train: ImageDataset, test: ImageDataset, leakage: Leakage, say: Say
) -> Judging:
    """Audit a training and a test set as they are."""
    leak, groups = None, test.groups
    if leakage != "off":
        leak = audit_leakage(train, test, verbose=0)
        _announce(leak, leakage, say)
        groups = joined_groups(test.groups, leak.test_clusters)
    rows = (np.arange(len(train)), np.arange(len(test)))
    return Judging((rows,), test, np.zeros(len(test), np.int64), groups, leak, "one test set", True)


def judge_by_folds(data: ImageDataset, cv: Any, leakage: Leakage, say: Say) -> Judging:
    """Cut a data set into folds: an integer never cuts a group or a duplicate cluster.

    Raises:
        LeakageError: If folds cut a duplicate cluster and `leakage` is `"raise"`.
        TypeError: If `cv` is neither an integer nor a splitter.
        ValueError: If it does not judge each image once.
    """
    groups, clusters = data.groups, None
    if leakage != "off":
        clusters = find_duplicates(data, verbose=0)
        groups = joined_groups(data.groups, clusters)
        say(_describe_clusters(data, clusters, groups))
    if isinstance(cv, int | np.integer) and not isinstance(cv, bool):
        found = list(splits.folds(data.labels, groups, int(cv), FOLD_SEED))
        name = f"{cv} folds, stratified, no group is cut"
    else:
        found = _split_by(cv, data, groups)
        name = " ".join(str(cv).split())
    folds = np.full(len(data), -1)
    for fold, (_, test) in enumerate(found):
        folds[test] = fold
    leak = None
    if clusters is not None:
        leak = fold_leakage(data, folds, clusters)
        _announce(leak, leakage, say)
    codes = splits.group_codes(groups, len(data))
    pairs = np.unique(np.stack([codes, folds]), axis=1)
    grouped = pairs.shape[1] == len(np.unique(codes))
    return Judging(tuple(found), data, folds, groups, leak, name, grouped)


def check_leakage(leakage: Any) -> None:
    """Raise where the argument is unknown."""
    if leakage not in get_args(Leakage):
        raise ValueError(f"leakage must be one of {get_args(Leakage)}, got {leakage!r}.")


def _split_by(cv: Any, data: ImageDataset, groups: Any) -> list[tuple[Rows, Rows]]:
    if isinstance(cv, str | bool) or not hasattr(cv, "split"):
        raise TypeError(
            "cv must be a number of folds from 2, or a scikit-learn splitter such as "
            f"StratifiedGroupKFold(5), got {cv!r}."
        )
    blank = np.zeros(len(data))
    with warnings.catch_warnings():  # the record says whether groups are cut
        warnings.filterwarnings("ignore", "The groups parameter is ignored")
        found = [
            (np.sort(train), np.sort(test)) for train, test in cv.split(blank, data.labels, groups)
        ]
    if len(found) < 2:
        raise ValueError(f"cv must make two or more folds, {cv} makes {len(found)}.")
    judged = np.bincount(np.concatenate([test for _, test in found]), minlength=len(data))
    both = any(np.intersect1d(train, test).size for train, test in found)
    if both or (judged != 1).any():
        raise ValueError(
            "cv must judge each image once, by a classifier that was not trained on it; "
            f"{cv} judges {int((judged == 0).sum())} of {len(data)} images never and "
            f"{int((judged > 1).sum())} more than once. Use a KFold, not a shuffle split or "
            "repeated folds; for repetitions pass more seeds."
        )
    return found


def _describe_clusters(
    data: ImageDataset, clusters: NDArray[np.int64], groups: NDArray[np.int64]
) -> str:
    sizes = np.bincount(clusters)
    copies = int(sizes[sizes > 1].sum())
    if not copies:
        return f"Audit: no radiograph appears twice among {len(data)} images."
    text = (
        f"Audit: {copies} of {len(data)} images share a radiograph with another; "
        f"{len(sizes)} distinct radiographs, the largest duplicate cluster has {sizes.max()}."
    )
    if data.groups is not None and len(np.unique(groups)) < len(np.unique(data.group_codes)):
        text += " The given groups cut some of these clusters; they are kept whole here."
    return text


def _announce(leak: LeakageReport, leakage: Leakage, say: Say) -> None:
    text = leak.describe()
    if not leak.found:
        say(text)
    elif leakage == "raise":
        raise LeakageError(f'{text} To run it as it is, pass leakage="warn".')
    else:
        warnings.warn(text, LeakageWarning, stacklevel=5)
