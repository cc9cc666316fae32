"""`AuditReport`: what an audit of a set of images found, as text, a table, a file and a page."""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synthray._files import write_whole
from synthray.datasets.image_dataset import SkippedFile
from synthray.duplicates.leakage import LeakageReport
from synthray.reports import pages
from synthray.reports.words import count, percent

Kind = Literal["conflict_between_splits", "leak", "conflict", "duplicate"]
Finding = Literal["leak", "conflict", "duplicate", "unreadable"]

_LISTED = 3  # of sizes and modes
_WIDTH = 79  # of the verdict, in characters


@dataclass(frozen=True, eq=False)
class AuditPair:
    """Two images of one duplicate cluster.

    Attributes:
        kind: What is wrong with it.
        places: Their places among all images.
        pictures: The images, `uint8`, shape `(h, w, 1 or 3)` each.
        size: Number of images of their cluster.
    """

    kind: Kind
    places: tuple[int, int]
    pictures: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    size: int


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class AuditReport:
    """What `audit_images` found. `print` shows a verdict and a summary.

    Attributes:
        names: One name an image, shape `(n,)`: its path relative to the folder or, if there is a
            test set of its own, to the folder that holds both.
        clusters: Duplicate cluster of each image, as `find_duplicates` returns them, `(n,)`.
        groups: Like `clusters`, joined with the groups that were known, `(n,)`.
        labels: Class of each image, `(n,)`; all 0 if there are no classes.
        class_names: Names of the classes; only `"unlabelled"` if there are none.
        splits: Split of each image, `(n,)`; empty texts if there are none.
        leaks: What two splits have in common, by the names of both: that to train on, and that to
            test on.
        kinds: Number of duplicate clusters by the worst that is wrong with two of their images:
            `"conflict_between_splits"` (two splits and two classes), `"leak"` (two splits),
            `"conflict"` (two classes), `"duplicate"`.
        pairs: Of each kind up to 20 pairs, each of another cluster, large clusters first.
        skipped: Files that could not be read, with the reason.
        sizes: Number of images by width and height, such as `"224x224"`, the most frequent first.
        modes: Number of images by mode, as Pillow calls it (`"L"` is gray, `"RGB"` colour); of
            DICOM, such as `"MONOCHROME2, 12 bits"`.
    """

    names: NDArray[np.str_]
    clusters: NDArray[np.int64]
    groups: NDArray[np.int64]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    splits: NDArray[np.str_]
    leaks: Mapping[tuple[str, str], LeakageReport]
    kinds: Mapping[Kind, int]
    pairs: tuple[AuditPair, ...]
    skipped: tuple[SkippedFile, ...]
    sizes: Mapping[str, int]
    modes: Mapping[str, int]

    @property
    def n_clusters(self) -> int:
        """Number of different images: of clusters, those of a single image included."""
        return int(self.clusters.max()) + 1

    @property
    def n_copies(self) -> int:
        """Number of images that are more than the first of their cluster."""
        return len(self.clusters) - self.n_clusters

    @cached_property
    def conflicts(self) -> NDArray[np.int64]:
        """Duplicate clusters of more than one class, ascending."""
        cells = np.unique(np.stack([self.clusters, self.labels]), axis=1)
        return np.flatnonzero(np.bincount(cells[0]) > 1)

    @property
    def found(self) -> frozenset[Finding]:
        """What there is of `"leak"`, `"conflict"`, `"duplicate"` and `"unreadable"`."""
        there: dict[Finding, bool] = {
            "leak": any(leak.found for leak in self.leaks.values()),
            "conflict": len(self.conflicts) > 0,
            "duplicate": self.n_copies > 0,
            "unreadable": len(self.skipped) > 0,
        }
        return frozenset(name for name, is_there in there.items() if is_there)

    @property
    def verdict(self) -> tuple[str, ...]:
        """A sentence for each thing that is wrong, or one that says that nothing is."""
        sentences = []
        known = {splits: int((leak.twins >= 0).sum()) for splits, leak in self.leaks.items()}
        shares = {splits: n / self.leaks[splits].n_test for splits, n in known.items() if n}
        if shares:
            train = max(shares, key=lambda splits: shares[splits])[0]
            texts = [
                f"{known[splits]:,} of {self.leaks[splits].n_test:,} {splits[1]} images "
                f"({percent(share)})"
                for splits, share in sorted(shares.items(), key=lambda item: -item[1])
                if splits[0] == train
            ]
            one = sum(known.values()) == 1
            are = f"is a copy of a {train} image" if one else f"are copies of {train} images"
            sentences.append(f"LEAK: {' and '.join(texts)} {are}.")
        groups = {splits: leak.same_group for splits, leak in self.leaks.items() if leak.same_group}
        sentences += [
            f"LEAK: {n:,} of {self.leaks[splits].n_test:,} {splits[1]} images share a group with "
            f"{splits[0]} images."
            for splits, n in groups.items()
        ]
        if n := len(self.conflicts):
            sentences.append(
                f"CONTRADICTING LABELS: {count(n, 'cluster')} of copies "
                f"{'have' if n > 1 else 'has'} more than one class."
            )
        if sentences:
            return tuple(sentences)
        clear = "No leak between splits. " if self.leaks else ""
        clear += "No contradicting labels. " if len(self.class_names) > 1 else ""
        images = count(len(self.names), "image")
        if not self.n_copies:
            return (f"{clear}No copies found among {images}.",)
        are = "are copies of others" if self.n_copies > 1 else "is a copy of another"
        return (f"{clear}{self.n_copies:,} of {images} {are}.",)

    def describe(self) -> str:
        """Return the verdict in a few sentences."""
        return " ".join(self.verdict)

    def __str__(self) -> str:
        """Return the verdict and a summary."""
        rows = self.summary()
        width = max(map(len, rows))
        lines = [
            f"{'' if place else title:{width}}  {line}"
            for title, found in rows.items()
            for place, line in enumerate(found)
        ]
        verdict = [textwrap.fill(sentence, _WIDTH) for sentence in self.verdict]
        return "\n".join([*verdict, "", *lines])

    __repr__ = __str__

    def summary(self) -> dict[str, list[str]]:
        """Return lines of text by what they are about."""
        largest = np.bincount(self.clusters).max()
        rows = {
            "images": [f"{len(self.names):,}"],
            "different": [
                f"{self.n_clusters:,}; the largest cluster has {count(largest, 'image')}"
            ],
        }
        if self.skipped:
            first = self.skipped[0]
            files = count(len(self.skipped), "file")
            rows["not read"] = [f"{files}, such as {first.name!r}:", first.reason]
        if self.leaks:
            rows["leaks"] = [_leak_line(*splits, leak) for splits, leak in self.leaks.items()]
        if len(self.class_names) > 1:
            images = np.isin(self.clusters, self.conflicts).sum()
            rows["contradicting"] = [
                f"{count(len(self.conflicts), 'cluster')} of two classes or more"
                f" ({count(images, 'image')})"
            ]
        return rows | {"sizes": [_listed(self.sizes)], "modes": [_listed(self.modes)]}

    def to_dict(self) -> dict[str, Any]:
        """Return counts, leaks, and the files of each cluster of copies, as JSON-ready values."""
        sizes = np.bincount(self.clusters)
        members = np.split(np.argsort(self.clusters, kind="stable"), np.cumsum(sizes)[:-1])
        return {
            "verdict": self.describe(),
            "found": sorted(self.found),
            "n_images": len(self.names),
            "n_clusters": self.n_clusters,
            "class_names": list(self.class_names),
            "leaks": [
                {
                    "train": train,
                    "test": test,
                    "n_train": leak.n_train,
                    "n_test": leak.n_test,
                    "known": int((leak.twins >= 0).sum()),
                    "identical": int(leak.identical.sum()),
                    "other_class": len(leak.conflicts),
                    "same_group": leak.same_group,
                }
                for (train, test), leak in self.leaks.items()
            ],
            "kinds": dict(self.kinds),
            "conflicts": self.conflicts.tolist(),
            "clusters": {
                str(k): self.names[rows].tolist() for k, rows in enumerate(members) if len(rows) > 1
            },
            "unreadable": {file.name: file.reason for file in self.skipped},
            "sizes": dict(self.sizes),
            "modes": dict(self.modes),
        }

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write a row for each image: `file`, `group`, `split`, `label`.

        `load_image_folder(folder, groups=(path, "group"))` reads it: no split of what it returns
        cuts a cluster or a known group.
        """
        known = self.class_names if len(self.class_names) > 1 else [""]
        labels = [known[label] for label in self.labels]
        columns = self.names.tolist(), self.groups.tolist(), self.splits.tolist(), labels

        def write(part: Path) -> None:
            with part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                table = csv.writer(file)
                table.writerow(["file", "group", "split", "label"])
                table.writerows(zip(*columns, strict=True))

        write_whole(Path(path), write)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write one self-contained page: the verdict, and pairs side by side, worst first.

        Args:
            path: The file. It needs no network and no other file.
        """
        page = pages.audit_page(self).encode("utf-8", "backslashreplace")
        write_whole(Path(path), lambda part: part.write_bytes(page))


def _leak_line(train: str, test: str, leak: LeakageReport) -> str:
    known = int((leak.twins >= 0).sum())
    text = f"{known:,} of {leak.n_test:,} {test} images ({percent(leak.test_share)}) are in {train}"
    details = []
    if known:
        details.append(f"{int(leak.identical.sum()):,} pixel by pixel")
    if len(leak.conflicts):
        details.append(f"{len(leak.conflicts):,} with another class")
    if leak.same_group:
        details.append(f"{leak.same_group:,} share a group with {train}")
    return f"{text}: {', '.join(details)}" if details else text


def _listed(counts: Mapping[str, int]) -> str:
    """Return the most frequent of some values, and how many others there are."""
    text = ", ".join(f"{value} ({n:,})" for value, n in list(counts.items())[:_LISTED])
    rest = list(counts.values())[_LISTED:]
    return f"{text} and {count(len(rest), 'other')} ({sum(rest):,})" if rest else text
