"""The files that `scan_tree` found, read in threads, as an `ImageDataset` or one a split."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray

from synthray._files import free_memory
from synthray._progress import progress_bar
from synthray.datasets.decode import Fit, decode_into
from synthray.datasets.folder_tree import FolderTree, FoundFile
from synthray.datasets.image_dataset import ImageDataset, SkippedFile
from synthray.exceptions import FileFormatError, SkippedFilesWarning, SynthrayWarning

_STRICT = "Repair, move or remove it, or pass strict=False to skip such files."
_FILES_A_TASK = 16  # a task of one small file would spend as long on the queue as on the file

Provenance = Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """The arguments that all loaders of folders have in common; see `load_image_folder`."""

    classes: Sequence[str] | None
    fit: Fit
    strict: bool
    max_pixels: int
    workers: int | None
    progress: bool

    def __post_init__(self) -> None:
        """Check the values."""
        if self.fit not in get_args(Fit):
            raise ValueError(f"Expected fit to be one of {get_args(Fit)}, got {self.fit!r}.")
        classes = self.classes
        if isinstance(classes, str) or len(set(classes or ())) != len(classes or ()):
            raise ValueError(f"Expected classes as a sequence of different names, got {classes!r}.")
        for name in ("max_pixels", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"Expected {name} of at least 1, got {value}.")

    def each(self, do: Callable[[int], None], n: int, what: str) -> None:
        """Call a function with 0 ... n - 1, in threads, with a progress bar."""
        tasks = [range(i, min(i + _FILES_A_TASK, n)) for i in range(0, n, _FILES_A_TASK)]
        pool = ThreadPoolExecutor(self.workers or cpu_count())
        with (
            progress_bar(n, what, unit="files", verbose=int(self.progress)) as bar,
            warnings.catch_warnings(),
        ):
            # Decoders warn of odd metadata, which nobody can act on, and of big images, which have
            # a limit of their own here.
            warnings.simplefilter("ignore")
            try:
                for done in pool.map(lambda task: list(map(do, task)), tasks):
                    bar.update(len(done))
            finally:
                pool.shutdown(cancel_futures=True)


def read_tree(
    root: Path,
    tree: FolderTree,
    shape: tuple[int, int, int],
    reading: Reading,
    groups_of: Callable[[Sequence[str], NDArray[np.intp]], NDArray[Any] | None],
    provenance: Provenance,
    lost: Mapping[str, str] | None = None,
) -> ImageDataset | dict[str, ImageDataset]:
    """Read the files of a tree; call it from the loader that the user has called.

    Args:
        root: The folder.
        tree: What it holds.
        shape: `(height, width, channels)` of the images.
        reading: How to read.
        groups_of: Takes the names of all files and the positions of those that could be read;
            returns the group of each of these.
        provenance: Of the result.
        lost: Files of the tree that cannot be read, as is known already, with the reason.
    """
    files, strict = tree.files, reading.strict
    found = [file.name for file in files]
    lost = {**tree.unused, **(lost or {})}
    synthetic, burnt_in = set(filter(tree.below_manifest, found)), set[str]()
    if strict and lost:
        raise FileFormatError(f"Cannot use {min(lost)!r}: {lost[min(lost)]}. {_STRICT}")
    n = sum(file.frames for file in files)
    needed, free = n * math.prod(shape), free_memory()
    if needed > free:
        raise MemoryError(
            f"{n:,} images of {shape} take {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} "
            "GB of memory are free. Ask for a smaller image_shape, or load fewer files."
        )
    # One array a split, filled in place: splitting a joint array would hold the images twice.
    images, outs = _arrays(files, tree.splits, shape)

    def decode(i: int) -> None:
        name = found[i]
        if name in lost:
            return
        path = os.path.join(root, name)
        try:
            marks = decode_into(outs[i], path, fit=reading.fit, max_pixels=reading.max_pixels)
        except FileFormatError as error:
            if strict:
                raise FileFormatError(f"Cannot read {name!r}: {error}. {_STRICT}") from error
            lost[name] = str(error)
        else:
            if marks.synthetic:
                synthetic.add(name)
            if marks.burnt_in:
                burnt_in.add(name)

    reading.each(decode, len(files), "Reading")
    _check_readable(tree, lost)
    kept = [i for i, name in enumerate(found) if name not in lost]
    groups = groups_of(found, np.asarray(kept, np.intp))
    if tree.manifests:
        provenance = {**provenance, "synthetic": dict(tree.manifests)}
    result: dict[str | None, ImageDataset] = {}
    for split in tree.splits:
        own = [i for i, file in enumerate(files) if file.split == split]
        frames = [files[i].frames for i in own]
        keep = np.repeat([found[i] not in lost for i in own], frames)
        rows = [(place, i) for place, i in enumerate(kept) if files[i].split == split]
        used = [files[i] for _, i in rows for _ in range(files[i].frames)]
        places = [place for place, i in rows for _ in range(files[i].frames)]
        result[split] = ImageDataset.from_arrays(
            _compact(images.pop(split), keep),
            [tree.class_names.index(file.class_name) for file in used],
            class_names=tree.class_names,
            groups=None if groups is None else groups[places],
            names=[name for _, i in rows for name in files[i].images],
            synthetic=[file.name in synthetic for file in used],
            skipped=[
                SkippedFile(name, reason)
                for name, reason in sorted(lost.items())
                # What lies in none of the splits is listed by each of them.
                if split in (None, top := name.partition("/")[0]) or top not in tree.splits
            ],
            provenance={**provenance, **({} if split is None else {"split": split})},
        )
    where = repr(str(root))
    if lost:
        warnings.warn(
            f"Skipped {len(lost):,} of {len(found) + len(tree.unused):,} files in {where}, "
            f"such as {min(lost)!r} ({lost[min(lost)]}). The data set lists them in `skipped`; "
            "strict=True raises instead.",
            SkippedFilesWarning,
            stacklevel=3,
        )
    synthetic -= lost.keys()
    if synthetic:
        warnings.warn(
            f"{len(synthetic):,} of {len(kept):,} images in {where} are synthetic, such as "
            f"{min(synthetic)!r}. `synthetic` says which; no comparison takes them for real ones.",
            SynthrayWarning,
            stacklevel=3,
        )
    if burnt_in:
        warnings.warn(
            f"{len(burnt_in):,} of {len(kept):,} files in {where} declare text that is burnt into "
            f"their pixels (BurnedInAnnotation), such as {min(burnt_in)!r}. It may name patients, "
            "and models learn it: remove it first.",
            SynthrayWarning,
            stacklevel=3,
        )
    if None in result:
        return result[None]
    return {str(split): data for split, data in result.items()}


def _arrays(
    files: Sequence[FoundFile], splits: Sequence[str | None], shape: tuple[int, int, int]
) -> tuple[dict[str | None, NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Return an array of zeros for each split, and the part of it that belongs to each file."""
    sizes = {split: sum(f.frames for f in files if f.split == split) for split in splits}
    images = {split: np.zeros((n, *shape), np.uint8) for split, n in sizes.items()}
    starts, outs = dict.fromkeys(splits, 0), []
    for file in files:
        start = starts[file.split]
        starts[file.split] = end = start + file.frames
        outs.append(images[file.split][start:end])
    return images, outs


def _compact(images: NDArray[np.uint8], keep: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Move the rows to keep to the front, in place, and freeze: copies would take memory twice."""
    rows = np.flatnonzero(keep)
    for target, source in enumerate(rows):
        if target != source:
            images[target] = images[source]
    images.flags.writeable = False
    return images[: len(rows)]


def _check_readable(tree: FolderTree, lost: dict[str, str]) -> None:
    """Raise if a class or a split has no readable image."""
    parts = [(f"class {name!r}", name, 2) for name in tree.class_names]
    parts += [(f"split {name!r}", name, 1) for name in tree.splits if name is not None]
    for what, part, column in parts:
        files = [file.name for file in tree.files if file[column] == part]
        if not all(name in lost for name in files):
            continue
        got = "no file at all"
        if files:
            got = f"{len(files):,} unreadable files, such as {files[0]!r} ({lost[files[0]]})"
        raise ValueError(
            f"Expected at least one readable image of the {what}, got {got}. Add images, or "
            "remove the folder."
        )
