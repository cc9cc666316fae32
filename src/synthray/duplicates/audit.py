"""`audit_images`: copies, leaks between splits and contradicting labels in any set of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations, combinations_with_replacement
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from synthray.datasets.columns import join_groups
from synthray.datasets.group_table import Groups
from synthray.datasets.table import Labels
from synthray.duplicates.audit_report import AuditPair, AuditReport, Kind
from synthray.duplicates.duplicates import find_duplicates
from synthray.duplicates.leakage import joined_groups, leakage_report, shared_groups
from synthray.duplicates.sources import Source, comparable, headers, read_parts

_SHOWN = 20  # pairs of a kind


def audit_images(
    source: Source,
    test: Source | None = None,
    *,
    classes: Sequence[str] | None = None,
    labels: Labels | None = None,
    groups: Groups | None = None,
    verbose: Any = "auto",
) -> AuditReport:
    """Look for copies, leaks between splits and contradicting labels in any set of images.

    Images are compared as in [`find_duplicates`][synthray.find_duplicates], whatever their names,
    classes and splits. A cluster of copies in two splits is a leak; in one of two classes, a label
    is wrong. Files are compared in gray at 64x64 pixels: memory holds 4 KB of each.

    Args:
        source: A folder of class folders, of splits with class folders, or of images without
            classes; an `.npz` file of MedMNIST, or with arrays `images`, `labels` and `split`; an
            `ImageDataset`, or several by the names of their splits.
        test: A test set that is not part of `source`.
        classes: Names of the class folders; `()` for images without classes. By default, the
            folder decides.
        labels: A table of classes, as for [`load_image_folder`][synthray.load_image_folder].
        groups: Which files belong together, such as those of a patient, as for
            `load_image_folder`. A group in two splits is a leak too.
        verbose: 0 for silence; else progress bars, if it takes a while.

    Raises:
        FileFormatError: If a file of arrays, or the CSV file, is damaged or of another kind.
        FileNotFoundError: If there is no such folder or file.
        TypeError: If an argument is of another kind.
        ValueError: If a folder or file has no images, or a structure that cannot be understood.

    Examples:
        >>> import synthray as sr
        >>> data = sr.make_phantoms(8, seed=0)
        >>> report = sr.audit_images({"train": data.select(range(6)), "test": data.select([5, 7])})
        >>> report.verdict[0]
        'LEAK: 1 of 2 test images (50.0 %) is a copy of a train image.'
        >>> sorted(report.found), report.n_clusters
        (['duplicate', 'leak'], 7)
    """
    parts = read_parts(source, test, classes=classes, labels=labels, groups=groups, verbose=verbose)
    sizes = [len(part.data) for part in parts]
    if not sum(sizes):
        raise ValueError("Expected at least one image to audit, got none.")
    images = comparable(parts)
    clusters = find_duplicates(images, verbose=verbose)
    ends = np.cumsum(sizes)
    sides = [
        (part.data, own, np.full(len(own), place))
        for place, (part, own) in enumerate(zip(parts, np.split(clusters, ends[:-1]), strict=True))
    ]
    leaks = {
        (parts[a].split, parts[b].split): leakage_report(
            sides[a],
            sides[b],
            same_group=shared_groups(parts[a].data, parts[b].data, same_table=groups is not None),
        )
        for a, b in combinations(range(len(parts)), 2)
    }
    classes_of = np.concatenate([part.data.labels for part in parts])
    places = np.repeat(np.arange(len(parts)), sizes)
    kinds, worst = _worst_pairs(images, clusters, places, classes_of)

    def picture(place: int) -> NDArray[np.uint8]:
        part = places[place]
        return parts[part].picture(place - (ends[part] - sizes[part]))

    known = headers(parts)
    return AuditReport(
        names=np.asarray([name for part in parts for name in part.names], np.str_),
        clusters=clusters,
        groups=joined_groups(join_groups([part.data.groups for part in parts], sizes), clusters),
        labels=classes_of,
        class_names=parts[0].data.class_names,
        splits=np.repeat([part.split for part in parts], sizes),
        leaks=leaks,
        kinds=kinds,
        pairs=tuple(
            AuditPair(kind, (a, b), (picture(a), picture(b)), size) for kind, size, a, b in worst
        ),
        skipped=tuple(dict.fromkeys(file for part in parts for file in part.skipped)),
        sizes=_counts(f"{width}x{height}" for width, height, _ in known),
        modes=_counts(mode for _, _, mode in known),
    )


def _worst_pairs(
    images: NDArray[np.uint8],
    clusters: NDArray[np.int64],
    splits: NDArray[np.int64],
    labels: NDArray[np.int64],
) -> tuple[dict[Kind, int], list[tuple[Kind, int, int, int]]]:
    """Return the number of clusters of each kind, and pairs: kind, size of its cluster, places.

    A pair stands for its cluster. Copies that were changed tell more than equal pixels.
    """
    sizes = np.bincount(clusters)
    members = np.split(np.argsort(clusters, kind="stable"), np.cumsum(sizes)[:-1])
    kinds: tuple[Kind, ...] = get_args(Kind)
    found: dict[Kind, list[tuple[int, list[int], list[int]]]] = {kind: [] for kind in kinds}
    for rows in sorted((rows for rows in members if len(rows) > 1), key=len, reverse=True):
        cells: dict[tuple[int, int], list[int]] = {}
        for row in rows.tolist():
            cells.setdefault((int(splits[row]), int(labels[row])), []).append(row)
        # Of the worst kind, training images with those that come last, to test on.
        rank, *_, a, b = min(
            (2 * (a[0] == b[0]) + (a[1] == b[1]), a[0], -b[0], a, b)
            for a, b in combinations_with_replacement(sorted(cells), 2)
            if a != b or len(cells[a]) > 1
        )
        found[kinds[rank]].append((len(rows), cells[a], cells[b]))
    return {kind: len(pairs) for kind, pairs in found.items()}, [
        (kind, size, *_pair(images, first, second))
        for kind, pairs in found.items()
        for size, first, second in pairs[:_SHOWN]
    ]


def _pair(images: NDArray[np.uint8], first: list[int], second: list[int]) -> tuple[int, int]:
    """Return the first of some images and one of others, with other pixels if there is such."""
    a = first[0]
    others = [row for row in second if row != a]
    changed = (row for row in others if not np.array_equal(images[row], images[a]))
    return a, next(changed, others[0])


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
