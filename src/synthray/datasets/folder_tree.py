"""Which image files a folder holds, and which class and split each one belongs to."""

from __future__ import annotations

import contextlib
import json
import os
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from synthray.datasets.dicom import is_dicom

SYNTHETIC_IMAGES = "synthray.synthetic-images/1"  # what the manifest of such a folder says it is
_MANIFEST = "manifest.json"

# Folder names that mean a split, in lower case.
TRAINING = ("train", "training")
VALIDATION = ("val", "valid", "validation", "dev")
TEST = ("test", "testing", "eval", "evaluation", "holdout")
_SPLIT_WORDS = {*TRAINING, *VALIDATION, *TEST}
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
_IMAGE_SUFFIXES |= {".pgm", ".ppm", ".pnm", ".dcm", ".dicom"}
_MOST_LEVELS = 100  # of folders in a class folder
UNLABELLED = "unlabelled"
"""The only class of a tree that is read without classes."""
_SYSTEM = ("/proc/", "/sys/")  # files whose reading may never end, and links to everything else


class FoundFile(NamedTuple):
    """A file of a class: `name` is its path relative to the root, with `/`."""

    name: str
    split: str | None
    class_name: str
    frames: int = 1

    @property
    def images(self) -> list[str]:
        """A name for each frame."""
        several = self.frames > 1
        return [f"{self.name}#{i}" if several else self.name for i in range(self.frames)]


@dataclass(frozen=True)
class FolderTree:
    """What `scan_tree` found.

    Attributes:
        class_names: In label order.
        splits: Split names, sorted; `(None,)` for a tree without splits.
        files: Sorted by name.
        unused: Names of what is not read, such as images beside the class folders, sorted, with
            the reason.
        manifests: Manifest of each folder of synthetic images, by its name relative to the root.
    """

    class_names: tuple[str, ...]
    splits: tuple[str | None, ...]
    files: tuple[FoundFile, ...]
    unused: Mapping[str, str]
    manifests: Mapping[str, Any]

    def below_manifest(self, name: str) -> bool:
        """Whether a file lies in a folder of synthetic images."""
        return any(home == "." or name.startswith(f"{home}/") for home in self.manifests)


def scan_tree(root: Path, classes: Sequence[str] | None) -> FolderTree:
    """Find the classes, splits and files below `root`; see `load_image_folder` for the rules."""
    if classes is not None and not classes:
        return scan_labelled(root, None, None)
    first = _subfolders(root)
    if not first:
        raise ValueError(
            f"Expected one subfolder a class in {str(root)!r}, got a folder of "
            f"{sum(1 for _ in root.iterdir()):,} entries and no subfolder. Arrange the images as "
            "class/image or split/class/image, or name a table of classes: labels=(CSV file, "
            "column of file names, column of labels)."
        )
    second = {name: _subfolders(root / name) for name in first}
    splits: tuple[str | None, ...] = (None,)
    folders: list[tuple[str | None, str, Path]]
    if _is_split_tree(root, first, second, classes):
        if classes is not None:  # leave folders without these classes alone
            first = [n for n in first if _means_split(n) or set(classes) & set(second[n])]
        _check_names(root, "split folders", first)
        splits = tuple(first)
        folders = [(split, name, root / split / name) for split in first for name in second[split]]
        beside = [root, *(root / name for name in first)]
    else:
        folders = [(None, name, root / name) for name in first]
        beside = [root]
    class_names = _class_names(root, "folder", sorted({name for _, name, _ in folders}), classes)
    unused: dict[str, str] = {}
    files = [
        FoundFile(name, split, class_name)
        for split, class_name, folder in folders
        if class_name in class_names
        for name in _walk(root, folder, unused)
    ]
    unused |= {
        path.relative_to(root).as_posix(): "an image beside the class folders has no class"
        for folder in beside
        for path in folder.iterdir()
        if not _hidden(path.name) and not path.is_dir() and _is_image(path)
    }
    manifests = _manifests(root, [file.name for file in files], beside)
    return FolderTree(
        class_names, splits, tuple(sorted(files)), dict(sorted(unused.items())), manifests
    )


def holds_classes(root: Path) -> bool:
    """Whether a folder, or its splits, holds two class folders or more."""
    first = _subfolders(root)
    splits = [name for name in first if _means_split(name)]
    return len({n for split in splits for n in _subfolders(root / split)} if splits else first) > 1


def scan_labelled(
    root: Path,
    classes: Sequence[str] | None,
    label: Callable[[Sequence[str]], tuple[dict[str, str], dict[str, str]]] | None,
) -> FolderTree:
    """Find all files below `root`, whose classes do not come from folders.

    Args:
        root: The folder. It is read as splits if all of its subfolders are named so.
        classes: Classes to read, in label order; by default all, sorted, as numbers if they are.
        label: Takes the sorted names of all files; returns the label of each that has one, and
            why others, and what is no file, have none. `None` for a tree without classes.
    """
    first = _subfolders(root)
    splits: tuple[str | None, ...] = (None,)
    if first and all(map(_means_split, first)):
        _check_names(root, "split folders", first)
        splits = tuple(first)
    unused: dict[str, str] = {}
    names = sorted(_walk(root, root, unused))
    labels, lost = label(names) if label else (dict.fromkeys(names, UNLABELLED), {})
    others = {name for name in names if not _is_image(root / name)}  # such as the table itself
    unused |= {name: reason for name, reason in lost.items() if name not in others}
    class_of = _numbers(set(labels.values()))
    class_names: tuple[str, ...] = (UNLABELLED,)
    if label:
        class_names = _class_names(root, "label", list(dict.fromkeys(class_of.values())), classes)
    files = []
    for name in names:
        if (class_name := class_of.get(labels.get(name, ""))) in class_names:
            split, below, _ = name.partition("/")
            if splits != (None,) and not below:
                unused[name] = "an image beside the folders of splits belongs to none of them"
            else:
                files.append(FoundFile(name, None if splits == (None,) else split, str(class_name)))
    manifests = _manifests(root, names, [root])
    return FolderTree(class_names, splits, tuple(files), dict(sorted(unused.items())), manifests)


def _numbers(values: Iterable[str]) -> dict[str, str]:
    """Return the class name of each label, in order: whole numbers, if all are, or the text."""
    with contextlib.suppress(ValueError):
        numbers = {value: float(value) for value in values}
        if all(number.is_integer() for number in numbers.values()):
            return {value: str(int(n)) for n, value in sorted((n, v) for v, n in numbers.items())}
    return {value: value for value in sorted(values)}


def _manifests(root: Path, names: Sequence[str], beside: Sequence[Path]) -> dict[str, Any]:
    folders = [*beside, *((root / n).parent for n in names if n.endswith(f"/{_MANIFEST}"))]
    found = {f.relative_to(root).as_posix(): _synthetic_manifest(f) for f in folders}
    return {name: manifest for name, manifest in found.items() if manifest}


def _is_image(path: Path) -> bool:
    """Whether a file looks like one; names of DICOM files often do not tell."""
    if path.suffix.lower() in _IMAGE_SUFFIXES:
        return True
    with contextlib.suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return is_dicom(file.read(132))
    return False


def class_tree_above(folder: Path) -> Path | None:
    """Return the tree of class folders of real images that `folder` would be a part of, if any."""
    path = folder.resolve()
    for below, tree in pairwise([path, *path.parents][:5]):
        with contextlib.suppress(OSError):  # not there yet, or not to be listed
            # Beside class folders it would be one itself. Further up, the folder between must be
            # one: two folders of pictures make no tree of a home folder.
            if (below == path or _holds_images(below)) and not _synthetic_manifest(tree):
                above = [tree, *(tree / name for name in _subfolders(tree) if _means_split(name))]
                if any(sum(_holds_images(f / n) for n in _subfolders(f)) > 1 for f in above):
                    return tree
    return None


def _holds_images(folder: Path) -> bool:
    """Whether nearly all files of a folder are images, unlike those of a project with figures."""
    kinds = [os.path.splitext(n)[1].lower() for n in os.listdir(folder) if not _hidden(n)]
    images = sum(kind in _IMAGE_SUFFIXES for kind in kinds)
    return images > 9 * (len(kinds) - kinds.count("") - images)


def _synthetic_manifest(folder: Path) -> dict[str, Any]:
    """Return what `sample_to_folder` wrote beside the images in a folder, or nothing."""
    path = folder / _MANIFEST
    with contextlib.suppress(OSError, ValueError, RecursionError):  # damaged, or another's
        if path.is_file() and path.stat().st_size <= 2**20:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(manifest, dict) and manifest.get("format") == SYNTHETIC_IMAGES:
                return manifest
    return {}


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "DICOMDIR")


def _subfolders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not _hidden(p.name))


def _walk(root: Path, folder: Path, unused: dict[str, str]) -> Iterator[str]:
    """Yield the name of every file below `folder` (the root, or in it), relative to the root.

    What it does not read goes to `unused`, with the reason. Follows links, but reads no folder
    twice. Not by `Path`: a path object and a question to the system for
    each file cost a tenth of decoding it.
    """
    seen = {os.path.realpath(path) for path in (root, folder.parent)} - {os.path.realpath(folder)}
    above = {str(parent) for parent in root.resolve().parents}
    todo = deque([(str(folder), "" if folder == root else folder.relative_to(root).as_posix())])
    while todo:
        path, name = todo.popleft()
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen.add(real)
        if f"{real}/".startswith(_SYSTEM) or real in above or name.count("/") >= _MOST_LEVELS:
            unused[name] = f"a folder of the system, above all, or {_MOST_LEVELS} levels deep"
            continue
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            below, link = f"{name}/{entry.name}".removeprefix("/"), entry.is_symlink()
            if _hidden(entry.name):
                continue
            # os.path answers where a link leads in a circle; an entry raises.
            if os.path.isdir(entry.path) if link else entry.is_dir():
                # Links last: what is there itself keeps its own name.
                (todo.append if link else todo.appendleft)((entry.path, below))
            elif link and os.path.realpath(entry.path).startswith(_SYSTEM):
                unused[below] = "a link to a file of the system"
            else:
                yield below


def _is_split_tree(
    root: Path, first: list[str], second: dict[str, list[str]], classes: Sequence[str] | None
) -> bool:
    below = sorted({name for names in second.values() for name in names})
    if classes is not None:
        return not set(classes) <= set(first) and set(classes) <= set(below)
    words = [name for name in first if _means_split(name)]
    nested = any(map(_means_split, below))
    if words and all(second.values()) and not nested:
        return True
    shared = second[first[0]]
    alike = len(first) > 1 and len(shared) > 1 and all(second[n] == shared for n in first)
    deep = nested or len(words) == len(first) or any(len(second[word]) > 1 for word in words)
    if alike or (words and deep):
        raise ValueError(
            f"Cannot tell whether the folders {_some(first)} in {str(root)!r} are classes or "
            f"splits. Below them are {_some(below) or 'no folders'}. Arrange the images as "
            "class/image or split/class/image, or pass the names of the class folders: "
            f"classes={tuple(below or first)!r}."
        )
    return False


def _means_split(name: str) -> bool:
    return name.lower() in _SPLIT_WORDS


def _class_names(
    root: Path, source: str, present: list[str], classes: Sequence[str] | None
) -> tuple[str, ...]:
    names = tuple(present) if classes is None else tuple(classes)
    _check_names(root, "class folders" if source == "folder" else "classes", names)
    missing = [name for name in names if name not in present]
    if missing:
        raise ValueError(
            f"Expected a {source} for each of classes={names!r} in {str(root)!r}, got none for "
            f"{_some(missing)}. The {source}s are {_some(present)}."
        )
    if len(names) < 2:
        raise ValueError(
            f"Expected at least two classes in {str(root)!r}, got only {_some(names)}. "
            "Add images of a second class."
        )
    return names


def _check_names(root: Path, what: str, names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if name.encode("utf-8", "replace").decode() != name:
            raise ValueError(f"Expected {what} named in UTF-8, got {name!r}. Rename it.")
        other = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise ValueError(
                f"Expected {what} that differ by more than case or Unicode form in "
                f"{str(root)!r}, got {other!r} and {name!r}. Rename one, or merge them."
            )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:6])
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")
