"""`load_image_folder`: a folder of image files to an `ImageDataset`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from synthray.datasets._decode_files import DecodeOptions, decode_files
from synthray.datasets._folder_tree import FolderTree, FoundFile, scan_tree
from synthray.datasets._group_values import Groups, group_values
from synthray.datasets._image_shape import checked_image_shape
from synthray.datasets._layout import Fit
from synthray.datasets.image_dataset import ImageDataset, SkippedFile

_LOOSE = "an image beside the class folders has no class"


def load_image_folder(
    path: str | os.PathLike[str],
    image_shape: tuple[int, int, int] = (64, 64, 1),
    *,
    classes: Sequence[str] | None = None,
    groups: Groups | None = None,
    fit: Fit = "pad",
    strict: bool = False,
    max_pixels: int = 2**26,
    workers: int | None = None,
    progress: bool = True,
) -> ImageDataset | dict[str, ImageDataset]:
    """Load a folder of image files with one subfolder a class.

    The folder is either `class/image` or `split/class/image`. It is read as splits where at least
    one of its subfolders has the name of a split (`train`, `training`, `val`, `valid`,
    `validation`, `dev`, `test`, `testing`, `eval`, `evaluation`, `holdout`, in any case) and all
    have subfolders themselves; or where `classes` names the second level: then a folder that holds
    none of these classes is left alone, unless it has the name of a split. Folders below a class
    folder belong to that class, links are followed. Names that begin with `.` are hidden and
    left alone; every other file in a class folder either becomes an image or is listed in
    `skipped`, and so are image files beside the class folders.

    The content decides the format, not the extension: JPEG, PNG, TIFF, BMP, and also GIF, WebP
    and PNM; of an animation or a stack, the first frame. Every mode becomes 8 bits:

    - EXIF orientation is applied.
    - Transparency is composited over black.
    - Gray of more than 8 bits (16-bit, 32-bit, floating point) goes through a linear window from
      the 0.5th to the 99.5th percentile of that image, and is clipped outside; a constant image
      becomes black. Of 16-bit colour, the high byte is kept; 16-bit gray with transparency is
      skipped.
    - Colour becomes gray by ITU-R BT.601 luma where one channel is wanted; gray is repeated
      where three are.
    - The size is changed by bilinear interpolation with antialiasing. JPEGs of more than twice
      the size wanted are shrunk by their decoder first.

    Files are read in threads; beyond the result, memory holds one decoded file a thread.

    Args:
        path: The folder.
        image_shape: `(height, width, channels)` of the result, channels 1 or 3.
        classes: Names of the class folders to read, in label order; by default all, sorted.
        groups: Which images belong together (a patient, a radiograph and its copies), so that
            no split cuts them apart. One of

            - a pair `(csv_file, column)`. The file is looked for in the working directory, then in
              `path`. Its first row holds the column names. Files are named by the first column
              called `name`, `file`, `filename`, `file_name`, `path` or `image`, or else by the
              first column; as paths relative to `path`, or as bare file names where these are
              unique. Each image needs a row; further rows are ignored.
            - a function from the relative path (with `/`) to a string or an integer.
            - an array of strings or integers, in the order of the sorted relative paths: one for
              each file found, or one for each image decoded.
        fit: What happens to an image of another aspect. `"pad"` keeps all of it, centred, with
            black bars; `"stretch"` distorts it; `"crop"` keeps the centre that fills the shape.
        strict: Whether a file that cannot be used is an error, rather than skipped.
        max_pixels: Most pixels (width times height) that a file may state. A larger one is always
            an error: a small file can unpack to more memory than there is.
        workers: Number of threads; by default, as many as there are cores.
        progress: Whether to show a progress bar (from 500 files on).

    Returns:
        The images in the order of their sorted relative paths; or, for a tree of splits, a dict
        from split name (sorted) to data set, all with the same classes. `names` holds each
        file's path relative to `path`, with `/`; `skipped` the files that were not used.

    Warns:
        UserWarning: Once, if files were skipped, with their number.

    Raises:
        FileNotFoundError: If there is no such folder.
        NotADirectoryError: If `path` is a file.
        TypeError: If `groups` or `classes` is of another type.
        ValueError: If an argument is out of range; if the folder has no subfolders, fewer than
            two classes, two classes that differ by case only, or a class or split without a
            readable image; if classes cannot be told from splits; if a file has more than
            `max_pixels` pixels; if groups are missing; where `strict`, at the first file that
            cannot be used.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> import synthray as sr
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("fractured/p1_a.png", "fractured/p1_b.png", "intact/p2_a.png"):
        ...     (root / name).parent.mkdir(exist_ok=True)
        ...     Image.new("L", (40, 80), 200).save(root / name)
        >>> data = sr.load_image_folder(root, (32, 32, 1), groups=lambda name: name[-8:-6])
        >>> data
        ImageDataset(3 images of 32x32x1: 2 fractured, 1 intact; 2 groups)
        >>> data.names.tolist()
        ['fractured/p1_a.png', 'fractured/p1_b.png', 'intact/p2_a.png']
    """
    root = Path(path)
    shape = checked_image_shape(image_shape)
    _check_arguments(root, classes, fit, max_pixels, workers)
    tree = scan_tree(root, classes)
    if strict and tree.loose:
        raise ValueError(f"Cannot use {tree.loose[0]!r}: {_LOOSE}. Move it, or pass strict=False.")
    options = DecodeOptions(fit, strict, max_pixels, workers, progress)
    found = [file.name for file in tree.files]
    # One array a split, filled in place: splitting a joint array would hold the images twice.
    images = {split: np.zeros((len(tree.of(split)), *shape), np.uint8) for split in tree.splits}
    rows = {split: iter(array) for split, array in images.items()}
    reasons = decode_files(root, found, [next(rows[file.split]) for file in tree.files], options)
    _check_readable(root, tree, reasons)
    kept = [i for i, name in enumerate(found) if name not in reasons]
    values = group_values(groups, root, found, np.asarray(kept, np.intp))
    label_of = {name: label for label, name in enumerate(tree.class_names)}
    provenance = {
        "source": "load_image_folder",
        "path": str(root),
        "fit": fit,
        "image_shape": list(shape),
    }
    result: dict[str | None, ImageDataset] = {}
    for split in tree.splits:
        readable = [file.name not in reasons for file in tree.of(split)]
        files = [file for file in tree.of(split) if file.name not in reasons]
        own = [tree.files[i].split == split for i in kept]
        result[split] = ImageDataset.from_arrays(
            _compact(images.pop(split), readable),
            [label_of[file.class_name] for file in files],
            class_names=tree.class_names,
            groups=None if values is None else values[own],
            names=[file.name for file in files],
            skipped=_skipped(tree, split, reasons),
            provenance=provenance if split is None else provenance | {"split": split},
        )
    lost = [*reasons, *tree.loose]
    if lost:
        warnings.warn(
            f"Skipped {len(lost):,} of {len(found) + len(tree.loose):,} files in {str(root)!r}, "
            f"such as {lost[0]!r} ({reasons.get(lost[0], _LOOSE)}). The data set lists them in "
            "`skipped`; strict=True raises instead.",
            UserWarning,
            stacklevel=2,
        )
    if None in result:
        return result[None]
    return {str(split): data for split, data in result.items()}


def _compact(images: NDArray[np.uint8], keep: Sequence[bool]) -> NDArray[np.uint8]:
    """Move the rows to keep to the front, in place: a mask would hold the images twice."""
    if all(keep):
        return images
    rows = [row for row, kept in enumerate(keep) if kept]
    for target, source in enumerate(rows):
        images[target] = images[source]
    return images[: len(rows)]


def _skipped(
    tree: FolderTree, split: str | None, reasons: dict[str, str]
) -> tuple[SkippedFile, ...]:
    own = {file.name: reasons[file.name] for file in tree.of(split) if file.name in reasons}
    for name in tree.loose:
        # An image beside the splits belongs to none, so each of them lists it.
        if split is None or "/" not in name or name.startswith(f"{split}/"):
            own[name] = _LOOSE
    return tuple(SkippedFile(name, own[name]) for name in sorted(own))


def _check_readable(root: Path, tree: FolderTree, reasons: dict[str, str]) -> None:
    """Raise where nothing is readable: at all, in a split, or of a class."""
    parts: list[tuple[str, tuple[FoundFile, ...]]] = [(repr(str(root)), tree.files)]
    parts += [(f"the split {split!r}", tree.of(split)) for split in tree.splits]
    parts += [
        (f"the class {name!r}", tuple(file for file in tree.files if file.class_name == name))
        for name in tree.class_names
    ]
    for what, files in parts:
        if any(file.name not in reasons for file in files):
            continue
        got = "no file at all"
        if files:
            got = (
                f"{len(files):,} that cannot be read, such as {files[0].name!r} "
                f"({reasons[files[0].name]})"
            )
        raise ValueError(
            f"Expected at least one readable image in {what}, got {got}. Add images, or remove "
            "the folder."
        )


def _check_arguments(
    root: Path, classes: Sequence[str] | None, fit: str, max_pixels: int, workers: int | None
) -> None:
    if not root.exists():
        raise FileNotFoundError(f"Expected a folder of images, got no such folder: {str(root)!r}.")
    if not root.is_dir():
        raise NotADirectoryError(f"Expected a folder of images, got a file: {str(root)!r}.")
    if fit not in get_args(Fit):
        raise ValueError(f"Expected fit to be one of {get_args(Fit)}, got {fit!r}.")
    if classes is not None:
        if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
            raise TypeError(f"Expected classes as a sequence of folder names, got {classes!r}.")
        if len(set(classes)) != len(classes):
            raise ValueError(f"Expected each name once in classes, got {tuple(classes)!r}.")
    if max_pixels < 1:
        raise ValueError(f"Expected max_pixels of at least 1, got {max_pixels}.")
    if workers is not None and workers < 1:
        raise ValueError(f"Expected at least one worker, got workers={workers}.")
