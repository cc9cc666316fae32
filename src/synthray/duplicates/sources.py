"""What an audit reads: folders, `.npz` files and data sets become named parts, one a split."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from synthray.datasets.decode import decode_into, read_header
from synthray.datasets.folder_tree import UNLABELLED, VALIDATION, holds_classes
from synthray.datasets.group_table import Groups
from synthray.datasets.image_dataset import ImageDataset, SkippedFile
from synthray.datasets.image_folder import load_image_folder
from synthray.datasets.npz_file import load_npz
from synthray.datasets.table import Labels
from synthray.duplicates.working import SIDE, working_copies
from synthray.exceptions import SkippedFilesWarning

Source: TypeAlias = "str | PathLike[str] | ImageDataset | Mapping[str, ImageDataset]"

_LONGEST = 256  # side of a picture, in pixels
_MOST_PIXELS = 2**26


class Part(NamedTuple):
    """The images of one split.

    Attributes:
        split: Its name; empty if there are no splits.
        data: The images, as they are compared; all parts have the same classes.
        names: One name an image, unlike any of another part.
        skipped: Files that could not be read, by such names.
        root: The folder that holds the files `data.names`; `None` if there are no files.
    """

    split: str
    data: ImageDataset
    names: tuple[str, ...]
    skipped: tuple[SkippedFile, ...]
    root: Path | None = None

    def header(self, row: int) -> tuple[int, int, str]:
        """Return width, height and mode of an image, as its file states them, or as it is held."""
        if self.root is not None and self.data.names is not None:
            return read_header(os.path.join(self.root, self.data.names[row]))
        height, width, channels = self.data.image_shape
        return width, height, "L" if channels == 1 else "RGB"

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Return an image to show: anew from its file, in its own aspect and colours."""
        if self.root is None or self.data.names is None:
            return self.data.images[row]
        width, height, _ = self.header(row)
        scale = min(1.0, _LONGEST / max(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        out = np.zeros((height, width, 3), np.uint8)
        path = os.path.join(self.root, self.data.names[row])
        decode_into(out[None], path, fit="pad", max_pixels=_MOST_PIXELS)
        gray = (out == out[..., :1]).all()
        return out[..., :1] if gray else out


def read_parts(
    source: Source,
    test: Source | None,
    *,
    classes: Sequence[str] | None,
    labels: Labels | None,
    groups: Groups | None,
    verbose: Any,
) -> list[Part]:
    """Return the splits to train on first, then those to validate, then those to test on.

    Args are those of `audit_images`.
    """
    given = [source] if test is None else [source, test]
    found = [_splits(each, classes, labels, groups, verbose) for each in given]
    if test is not None:
        found = [{name or "train": data for name, data in found[0].items()}, found[1]]
        _check_apart(source, test)
    parts: list[Part] = []
    for each, sets, before in zip(given, found, _prefixes(given), strict=True):
        root = Path(each) if isinstance(each, str | PathLike) and Path(each).is_dir() else None
        for split, data in sorted(sets.items(), key=lambda item: _rank(item[0])):
            name = split or ("" if test is None else "test")
            while test is not None and any(part.split == name for part in parts):
                name = f"other {name}"
            own = data.names
            if own is None:
                own = np.asarray([f"{split}/{row}".lstrip("/") for row in range(len(data))])
            names = tuple(f"{before}{n}" for n in own.tolist())
            lost = tuple(replace(file, name=f"{before}{file.name}") for file in data.skipped)
            parts.append(Part(name, data, names, lost, root))
    if len({name for part in parts for name in part.names}) < sum(len(p.names) for p in parts):
        parts = [p._replace(names=tuple(f"{p.split}/{n}" for n in p.names)) for p in parts]
    return _of_the_same_classes(parts)


def comparable(parts: Sequence[Part]) -> NDArray[np.uint8]:
    """Return the images of all parts in one array; gray and small ones where shapes differ."""
    images = [part.data.images for part in parts]
    if len({part.data.image_shape for part in parts}) > 1:
        images = [working_copies(each).astype(np.uint8)[..., None] for each in images]
    return np.concatenate(images)


def headers(parts: Sequence[Part]) -> list[tuple[int, int, str]]:
    """Return width, height and mode of each image, as the files state them."""
    with ThreadPoolExecutor() as threads:
        return [
            header for part in parts for header in threads.map(part.header, range(len(part.data)))
        ]


def _splits(
    source: Source,
    classes: Sequence[str] | None,
    labels: Labels | None,
    groups: Groups | None,
    verbose: Any,
) -> dict[str, ImageDataset]:
    """Return data sets by split; the name of no split is empty."""
    if isinstance(source, ImageDataset):
        source = {"": source}
    if isinstance(source, Mapping):
        wrong = {type(data).__name__ for data in source.values()} - {"ImageDataset"}
        if wrong or not source:
            got = ", ".join(sorted(wrong)) or "an empty mapping"
            raise TypeError(f"Expected ImageDatasets by the names of splits, got {got}.")
        if any(each is not None for each in (groups, classes, labels)):
            raise ValueError(
                "Data sets have classes and groups of their own: give groups by with_groups."
            )
        return dict(source)
    path = Path(source)
    if path.is_file():
        if labels is not None or classes is not None:
            raise ValueError(f"{path} has classes of its own: a table or names are for folders.")
        sets = load_npz(path, groups=groups)
        return {name or "": data for name, data in sets.items()}
    if classes is None and labels is None and path.is_dir() and not holds_classes(path):
        classes = ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedFilesWarning)  # the report lists them
        loaded = load_image_folder(
            path,
            (SIDE, SIDE, 1),
            classes=classes,
            labels=labels,
            groups=groups,
            fit="stretch",
            progress=bool(verbose),
        )
    return loaded if isinstance(loaded, dict) else {"": loaded}


def _rank(split: str) -> tuple[int, str]:
    word = split.lower()
    return (0 if word.startswith("train") else 1 if word in VALIDATION else 2, split)


def _prefixes(given: Sequence[Source]) -> list[str]:
    """Return what goes before names, so that those of two sources differ."""
    if len(given) == 1:
        return [""]
    paths = [Path(s).resolve() for s in given if isinstance(s, str | PathLike)]
    if len(paths) < len(given):
        return ["", "test/"]
    common = os.path.commonpath(paths)
    return [f"{path.relative_to(common).as_posix()}/" for path in paths]


def _check_apart(source: Source, test: Source) -> None:
    if isinstance(source, str | PathLike) and isinstance(test, str | PathLike):
        a, b = Path(source).resolve(), Path(test).resolve()
        if a == b or a in b.parents or b in a.parents:
            raise ValueError(
                f"Expected a test set outside of {str(source)!r}, got {str(test)!r}. Leaks between "
                "splits of one folder are found without a test set of its own."
            )


def _of_the_same_classes(parts: list[Part]) -> list[Part]:
    kinds = {part.data.class_names for part in parts}
    if len(kinds) == 1:
        return parts
    if (UNLABELLED,) in kinds:
        raise ValueError(
            "Expected classes in all sets or in none, got both. For images without classes, pass "
            "classes=() (on the command line, --classes without names)."
        )
    union = sorted(set().union(*kinds))
    return [
        part._replace(
            data=replace(
                part.data,
                class_names=tuple(union),
                labels=np.asarray([union.index(n) for n in part.data.class_names])[
                    part.data.labels
                ],
            )
        )
        for part in parts
    ]
