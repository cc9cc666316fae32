"""`audit_leakage`: how far test images are known from training."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray.audit.duplicates import find_duplicates
from synthray.audit.leakage_report import LeakageReport
from synthray.datasets.image_dataset import ImageDataset

_EXAMPLES = 8


def audit_leakage(
    train: ImageDataset, test: ImageDataset, *, verbose: Any = "auto"
) -> LeakageReport:
    """Look for radiographs that are both in training and in the test set.

    Images are compared as in [`find_duplicates`][synthray.find_duplicates], whatever their names
    or formats. Given groups are compared besides, where both sets have them and have the same
    provenance (but for the name of the split): a patient 7 in both is then the same person.

    Args:
        train: Images to train on.
        test: Images to judge by, of the same shape and classes.
        verbose: As in `find_duplicates`.

    Raises:
        TypeError: If one is not an `ImageDataset`.
        ValueError: If shapes or classes differ, or one is empty.

    Examples:
        >>> import synthray as sr
        >>> data = sr.make_phantoms(8, seed=0)
        >>> report = sr.audit_leakage(data.select(range(6)), data.select([5, 6, 7]))
        >>> report.found, report.twins.tolist()
        (True, [5, -1, -1])
    """
    for name, data in (("train", train), ("test", test)):
        if not isinstance(data, ImageDataset):
            raise TypeError(
                f"{name} must be an ImageDataset, got {type(data).__name__}. For arrays: "
                "ImageDataset.from_arrays(images, labels)."
            )
        if not len(data):
            raise ValueError(f"{name} holds no image.")
    if (train.image_shape, train.class_names) != (test.image_shape, test.class_names):
        raise ValueError(
            f"train has images of {train.image_shape} and classes {train.class_names}, test "
            f"{test.image_shape} and {test.class_names}. Load them alike, or use resize, "
            "to_grayscale or to_rgb."
        )
    images = np.concatenate([train.images, test.images])
    families = find_duplicates(images, verbose=verbose)
    ours, theirs = families[: len(train)], families[len(train) :]
    places = {family: place for place, family in reversed(list(enumerate(ours.tolist())))}
    twins = np.asarray([places.get(family, -1) for family in theirs.tolist()], np.int64)
    known_train = np.isin(ours, theirs)
    return _report(train, test, twins, known_train, ours, theirs, _shared_groups(train, test))


def fold_leakage(
    data: ImageDataset, folds: NDArray[np.int64], families: NDArray[np.int64]
) -> LeakageReport:
    """Report what folds have in common, each image judged by training on all other folds.

    Args:
        data: The images, each in one fold.
        folds: Fold of each image, shape `(n,)`.
        families: Families as `find_duplicates` gives them, shape `(n,)`.
    """
    twins = np.full(len(data), -1, np.int64)
    order = np.argsort(families, kind="stable")
    for family in np.split(order, np.flatnonzero(np.diff(families[order])) + 1):
        kinds = np.unique(folds[family], return_index=True)[1]
        if len(kinds) > 1:
            a, b = family[kinds[:2]]
            twins[family] = np.where(folds[family] == folds[a], b, a)
    return _report(data, data, twins, twins >= 0, families, families, None, folds)


def _report(
    train: ImageDataset,
    test: ImageDataset,
    twins: NDArray[np.int64],
    train_twins: NDArray[np.bool_],
    train_families: NDArray[np.int64],
    test_families: NDArray[np.int64],
    same_group: int | None,
    folds: NDArray[np.int64] | None = None,
) -> LeakageReport:
    known = np.flatnonzero(twins >= 0)
    identical = np.zeros(len(test), bool)
    where: dict[bytes, set[int]] = {}
    for k, digest in _digests(train, np.flatnonzero(train_twins)).items():
        where.setdefault(digest, set()).add(-1 if folds is None else int(folds[k]))
    for k, digest in _digests(test, known).items():
        own = -2 if folds is None else int(folds[k])
        identical[k] = bool(where.get(digest, set()) - {own})
    conflicts = _conflicts(train, test, known, train_families, test_families, folds)
    # Pairs that are no mere copies say more, where there are any.
    shown = np.concatenate([known[~identical[known]], known[identical[known]]])
    shown = shown[np.linspace(0, len(shown) - 1, min(_EXAMPLES, len(shown))).astype(np.int64)]
    return LeakageReport(
        n_train=len(train),
        n_test=len(test),
        class_names=test.class_names,
        twins=twins,
        train_twins=np.asarray(train_twins, bool),
        identical=identical,
        test_labels=test.labels,
        train_labels=train.labels,
        test_families=test_families,
        conflicts=conflicts,
        same_group=same_group,
        examples=tuple((test.images[k], train.images[twins[k]]) for k in shown.tolist()),
    )


def _conflicts(
    train: ImageDataset,
    test: ImageDataset,
    known: NDArray[np.int64],
    train_families: NDArray[np.int64],
    test_families: NDArray[np.int64],
    folds: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """Return pairs of a test image and the first of its twins that has another class."""
    members: dict[int, list[int]] = {}
    for place, family in enumerate(train_families.tolist()):
        members.setdefault(family, []).append(place)
    pairs = []
    for k in known.tolist():
        twins = np.asarray(members[int(test_families[k])])
        other = train.labels[twins] != test.labels[k]
        if folds is not None:
            other &= folds[twins] != folds[k]
        if other.any():
            pairs.append((k, int(twins[other.argmax()])))
    return np.asarray(pairs, np.int64).reshape(-1, 2)


def _digests(data: ImageDataset, places: NDArray[np.int64]) -> dict[int, bytes]:
    return {
        int(k): blake2b(data.images[k].tobytes(), digest_size=16).digest()
        for k in np.unique(places)
    }


def _shared_groups(train: ImageDataset, test: ImageDataset) -> int | None:
    if train.groups is None or test.groups is None:
        return None
    if _origin(train.provenance) != _origin(test.provenance):
        return None
    if (train.groups.dtype.kind in "iu") != (test.groups.dtype.kind in "iu"):
        return None
    return int(np.isin(test.groups, train.groups).sum())


def _origin(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in provenance.items() if key != "split"}
