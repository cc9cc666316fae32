"""Which images train and which judge: the audit, and the folds that follow from it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from synthray.audit.duplicates import find_duplicates
from synthray.audit.leakage import audit_leakage, fold_leakage
from synthray.audit.leakage_report import LeakageReport
from synthray.datasets import _splits
from synthray.datasets.image_dataset import ImageDataset

Protocol = Literal["grouped", "leaky"]
Audit = Literal["warn", "raise", "off"]
Say = Callable[[str], None]

_DEFAULT_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Judging:
    """Who trains, who judges.

    Attributes:
        splits: Training and test images of each fold.
        images: All judging images, in the order of results.
        folds: The fold in which each of them judges.
        groups: Their groups, given and found; `None` where there are neither.
        leak: What the audit found; `None` where it was off.
    """

    splits: tuple[tuple[ImageDataset, ImageDataset], ...]
    images: ImageDataset
    folds: NDArray[np.int64]
    groups: NDArray[Any] | None
    leak: LeakageReport | None


def check_protocol(test: Any, folds: Any, protocol: Any, audit: Any) -> int | None:
    """Return the number of folds, `None` for a test set.

    Raises:
        ValueError: If the arguments do not go together.
    """
    for name, value, known in (("protocol", protocol, Protocol), ("audit", audit, Audit)):
        if value not in get_args(known):
            raise ValueError(f"{name} must be one of {get_args(known)}, got {value!r}.")
    if test is not None:
        if folds is not None:
            raise ValueError(
                f"Pass a test set or folds={folds}, not both: with folds every image of the data "
                "judges once."
            )
        return None
    if folds is None:
        return _DEFAULT_FOLDS
    if not isinstance(folds, int) or folds < 2:
        raise ValueError(f"folds must be an integer from 2, got {folds!r}.")
    return folds


def one_test_set(
    train: ImageDataset, test: ImageDataset, *, protocol: Protocol, audit: Audit, say: Say
) -> Judging:
    """Audit a training and a test set as they are."""
    leak, groups = None, test.groups
    if audit != "off":
        leak = audit_leakage(train, test, verbose=0)
        _announce(leak, protocol, audit, say)
        groups = join_groups(test, leak.test_families)
    folds = np.zeros(len(test), np.int64)
    return Judging(((train, test),), test, folds, groups, leak)


def cross_validation(
    data: ImageDataset, k: int, *, seed: int, protocol: Protocol, audit: Audit, say: Say
) -> Judging:
    """Cut a data set into folds, whole groups and whole families of duplicates each."""
    groups, families = data.groups, None
    if audit != "off":
        families = find_duplicates(data, verbose=0)
        groups = join_groups(data, families)
        text = _describe_families(data, families, groups)
        if audit == "raise" and protocol == "grouped" and _cuts(data, groups):
            raise ValueError(
                f"{text} The groups given (or none) would let folds cut these. Use "
                "data.with_groups(find_duplicates(data)), or audit='warn' to keep both together."
            )
        say(text)
    parts = list(_splits.folds(data.labels, None if protocol == "leaky" else groups, k, seed))
    folds = np.empty(len(data), np.int64)
    for fold, (_, test) in enumerate(parts):
        folds[test] = fold
    leak = None
    if families is not None:
        leak = fold_leakage(data, folds, families)
        _announce(leak, protocol, audit, say)
    grouped = data.with_groups(groups)
    splits = tuple((grouped.select(train), grouped.select(test)) for train, test in parts)
    return Judging(splits, data, folds, groups, leak)


def join_groups(data: ImageDataset, families: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return groups that keep both given groups and families of duplicates whole."""
    if data.groups is None:
        return families
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    given = data.group_codes
    n = int(given.max(initial=0)) + 1
    edges = (np.ones(len(data), bool), (given, n + families))
    size = n + int(families.max(initial=0)) + 1
    _, component = connected_components(coo_array(edges, shape=(size, size)), directed=False)
    joined: NDArray[np.int64] = np.unique(component[given], return_inverse=True)[1]
    return joined.astype(np.int64)


def _cuts(data: ImageDataset, groups: NDArray[Any]) -> bool:
    """Whether groups join images that the given ones keep apart."""
    return len(np.unique(groups)) < len(np.unique(data.group_codes))


def _describe_families(
    data: ImageDataset, families: NDArray[np.int64], groups: NDArray[np.int64]
) -> str:
    sizes = np.bincount(families)
    copies = int(sizes[sizes > 1].sum())
    if not copies:
        return f"Audit: no radiograph appears twice among {len(data)} images."
    text = (
        f"Audit: {copies} of {len(data)} images share a radiograph with another; "
        f"{len(sizes)} distinct radiographs, the largest family {sizes.max()}."
    )
    if data.groups is not None and _cuts(data, groups):
        text += " The groups given cut some of these families; they are kept whole here."
    return text


def _announce(leak: LeakageReport, protocol: Protocol, audit: Audit, say: Say) -> None:
    text = leak.describe()
    if protocol == "leaky":
        say(f"Protocol: leaky, as asked. {text}")
    elif leak.found and audit == "raise":
        raise ValueError(f"{text} To run it as it is, pass protocol='leaky'.")
    elif leak.found:
        warnings.warn(f"{text} (protocol='leaky' says that this is meant.)", stacklevel=4)
    else:
        say(text)
