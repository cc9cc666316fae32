"""Which image files a folder holds, and of which class and split each one is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

# Folder names that mean a split, in lower case.
_SPLIT_WORDS = {"train", "training", "val", "valid", "validation", "dev"}
_SPLIT_WORDS |= {"test", "testing", "eval", "evaluation", "holdout"}
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
_IMAGE_SUFFIXES |= {".pgm", ".ppm", ".pnm"}


class FoundFile(NamedTuple):
    """A file below a class folder: `name` is its path relative to the root, with `/`."""

    name: str
    split: str | None
    class_name: str


@dataclass(frozen=True)
class FolderTree:
    """What [`scan_tree`] found.

    Attributes:
        class_names: In label order.
        splits: Split names, sorted; `(None,)` for a tree without splits.
        files: Sorted by name.
        loose: Names of image files beside the class folders, sorted.
    """

    class_names: tuple[str, ...]
    splits: tuple[str | None, ...]
    files: tuple[FoundFile, ...]
    loose: tuple[str, ...]

    def of(self, split: str | None) -> tuple[FoundFile, ...]:
        """The files of one split, sorted by name."""
        return self._by_split[split]

    @cached_property
    def _by_split(self) -> dict[str | None, tuple[FoundFile, ...]]:
        found: dict[str | None, list[FoundFile]] = {split: [] for split in self.splits}
        for file in self.files:
            found[file.split].append(file)
        return {split: tuple(files) for split, files in found.items()}


def scan_tree(root: Path, classes: Sequence[str] | None) -> FolderTree:
    """Find the classes, splits and files below `root`; see `load_image_folder` for the rules."""
    first = _subfolders(root)
    if not first:
        raise ValueError(
            f"Expected one subfolder a class in {str(root)!r}, got a folder of "
            f"{sum(1 for _ in root.iterdir()):,} entries and no subfolder. Arrange the images as "
            "class/image or split/class/image."
        )
    second = {name: _subfolders(root / name) for name in first}
    if _is_split_tree(root, first, second, classes):
        first = _splits(first, second, classes)
        _check_case(root, "split", first)
        splits: tuple[str | None, ...] = tuple(first)
        present = sorted({name for split in first for name in second[split]})
        folders: list[tuple[str | None, str, Path]] = [
            (split, name, root / split / name) for split in first for name in second[split]
        ]
        beside = [root, *(root / name for name in first)]
    else:
        splits = (None,)
        present = first
        folders = [(None, name, root / name) for name in first]
        beside = [root]
    class_names = _class_names(root, present, classes)
    above = frozenset({os.path.realpath(root)})
    files = [
        FoundFile(name, split, class_name)
        for split, class_name, folder in folders
        if class_name in class_names
        for name in _walk(str(folder), folder.relative_to(root).as_posix(), above)
    ]
    loose = [
        path.relative_to(root).as_posix()
        for folder in beside
        for path in folder.iterdir()
        if path.suffix.lower() in _IMAGE_SUFFIXES and not _hidden(path.name) and not path.is_dir()
    ]
    files.sort(key=lambda file: file.name)
    return FolderTree(class_names, splits, tuple(files), tuple(sorted(loose)))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _subfolders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not _hidden(p.name))


def _walk(folder: str, name: str, above: frozenset[str]) -> Iterator[str]:
    """The name of every file below `folder`, itself of `name`; all names relative to the root.

    Follows links, except back to a folder that it came through. Not by `Path`: a path object and a
    question to the system for each file cost a tenth of decoding it.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if _hidden(entry.name):
                continue
            below = f"{name}/{entry.name}"
            # Where a link leads to is asked of os.path: an entry raises if it leads in a circle.
            if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                yield from _walk(entry.path, below, above | {real})
            else:
                yield below


def _is_split_tree(
    root: Path, first: list[str], second: dict[str, list[str]], classes: Sequence[str] | None
) -> bool:
    if classes is not None:
        below = {name for names in second.values() for name in names}
        return not set(classes) <= set(first) and set(classes) <= below
    words = [name for name in first if _means_split(name)]
    if words and all(second.values()):
        for name, names in second.items():
            if any(map(_means_split, names)):
                raise ValueError(
                    f"Expected split/class/image in {str(root)!r}, got folders with names of "
                    f"splits below {name!r} too: {_some(names)}. Load a folder that holds one "
                    "tree, or pass the class names, classes=(...)."
                )
        return True
    if len(words) == len(first):
        bare = next(name for name in first if not second[name])
        raise ValueError(
            f"Expected class folders in every split of {str(root)!r}, got none in {bare!r}. "
            "Arrange the images as split/class/image, or, if these are class names, pass "
            f"classes={tuple(first)!r}."
        )
    whole = next((name for name in words if len(second[name]) > 1), None)
    if whole is not None:
        bare = next(name for name in first if not second[name])
        raise ValueError(
            f"Cannot tell whether the folders {_some(first)} in {str(root)!r} are classes or "
            f"splits: {whole!r} holds the folders {_some(second[whole])}, {bare!r} holds none. "
            f"Pass the class names: classes={tuple(first)!r} or "
            f"classes={tuple(second[whole])!r}."
        )
    shared = second[first[0]]
    if len(first) > 1 and len(shared) > 1 and all(names == shared for names in second.values()):
        raise ValueError(
            f"Cannot tell whether the folders {_some(first)} in {str(root)!r} are classes or "
            f"splits: each holds the same folders {_some(shared)}. Pass the class names: "
            f"classes={tuple(first)!r} or classes={tuple(shared)!r}."
        )
    return False


def _splits(
    first: list[str], second: dict[str, list[str]], classes: Sequence[str] | None
) -> list[str]:
    """Return which folders are splits: those of classes that are named leave others alone."""
    if classes is None:
        return first
    return [name for name in first if _means_split(name) or set(classes) & set(second[name])]


def _means_split(name: str) -> bool:
    return name.lower() in _SPLIT_WORDS


def _class_names(root: Path, present: list[str], classes: Sequence[str] | None) -> tuple[str, ...]:
    names = tuple(present) if classes is None else tuple(classes)
    _check_case(root, "class", names)
    missing = [name for name in names if name not in present]
    if missing:
        raise ValueError(
            f"Expected a folder for each of classes={names!r} in {str(root)!r}, got none for "
            f"{_some(missing)}. The folders are {_some(present)}."
        )
    if len(names) < 2:
        raise ValueError(
            f"Expected at least two classes in {str(root)!r}, got only {_some(names)}. "
            "Add a folder of images of a second class."
        )
    return names


def _check_case(root: Path, kind: str, names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise ValueError(
                f"Expected {kind} folders that differ by more than case in {str(root)!r}, got "
                f"{other!r} and {name!r}. Rename one, or merge them."
            )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:6])
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")
