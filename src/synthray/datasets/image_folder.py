"""`load_image_folder`: a folder of image files to an `ImageDataset`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from synthray.datasets.decode import Fit
from synthray.datasets.folder_tree import scan_labelled, scan_tree
from synthray.datasets.group_table import Groups, group_values
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.pixels import checked_image_shape
from synthray.datasets.read_tree import Reading, read_tree
from synthray.datasets.table import Labels, table_labels


def load_image_folder(
    path: str | os.PathLike[str],
    image_shape: tuple[int, int, int] = (64, 64, 1),
    *,
    labels: Labels | None = None,
    classes: Sequence[str] | None = None,
    groups: Groups | None = None,
    fit: Fit = "pad",
    strict: bool = False,
    max_pixels: int = 2**26,
    workers: int | None = None,
    progress: bool = True,
) -> ImageDataset | dict[str, ImageDataset]:
    """Load a folder of image files with one subfolder a class, or with a table of labels.

    Without `labels`, the folder is either `class/image` or `split/class/image`. It is read as
    splits if at least one of its subfolders has the name of a split (`train`, `training`, `val`,
    `valid`, `validation`, `dev`, `test`, `testing`, `eval`, `evaluation`, `holdout`, in any case)
    and all have subfolders themselves, or if `classes` names the second level. In the second case,
    a folder that holds none of these classes is ignored, unless it has the name of a split. With
    `labels`, the images may lie anywhere below the folder. It is read as splits if all of its
    subfolders have the name of one.

    Folders below a class folder belong to that class; links are followed, but no folder is read
    twice for a class. Names that begin with `.` are ignored. Every other file in a class folder
    either becomes an image or is listed in `skipped`. Image files beside the class folders are
    listed there too, and folders that are 100 levels deep, within `/proc` and `/sys`, or (by a
    link) above `path`.

    The content decides the format, not the extension: JPEG, PNG, TIFF, BMP, and also GIF, WebP
    and PNM; of an animation or a stack, the first frame. With `synthray[dicom]` installed, DICOM
    too, as `load_dicom_folder` shows it. Every mode becomes 8 bits:

    - EXIF orientation is applied.
    - Transparency is composited over black.
    - Gray of more than 8 bits (16-bit, 32-bit, floating point) goes through a linear window from
      the 0.5th to the 99.5th percentile of that image, and is clipped outside; a constant image
      becomes black. Of 16-bit colour, the high byte is kept; 16-bit gray with transparency is
      skipped.
    - Colour becomes gray by ITU-R BT.601 luma if `image_shape` has one channel; gray is repeated
      if it has three.
    - The size is changed by bilinear interpolation with antialiasing. The decoder itself shrinks
      JPEGs of more than twice the size wanted first.

    Images that `sample_to_folder` wrote are marked in `synthetic`. Each carries a mark of its own,
    so that it is known in any folder; the manifest of the folder counts too, and is kept in the
    provenance.

    Files are read in threads; beyond the result, memory holds one decoded file a thread.

    Args:
        path: The folder.
        image_shape: `(height, width, channels)` of the result, channels 1 or 3.
        labels: A table of classes: `(csv_file, column of file names, column of labels)`. The file
            is looked for in the working directory, then in `path`; its first row holds the column
            names. A row fits a file if one of their paths ends with the other, whole folders at a
            time; the row may lack the extension. Labels are strings or numbers. Rows without a
            file, and images without a label (an empty one, `NA`), are listed in `skipped`.
        classes: Names of the classes to read, in label order; by default all, sorted (as numbers,
            if they are whole numbers). Without any, `()`, folders mean nothing but splits, and all
            images are of one class, `"unlabelled"`.
        groups: Which images belong together (a patient, a radiograph and its copies), so that
            no split cuts them apart. One of

            - a pair `(csv_file, column)`. The file is looked for in the working directory, then in
              `path`. Its first row holds the column names. Files are named by the first column
              called `name`, `file`, `filename`, `file_name`, `path` or `image`, or else by the
              first column, as in `labels`. Each image needs a row with a value other than `NA`;
              further rows are ignored.
            - a function from the relative path (with `/`) to a string or an integer.
            - an array of strings or integers, in the order of the sorted relative paths: one for
              each file found, or one for each image decoded.
        fit: What to do with an image of another aspect. `"pad"` keeps all of it, centred, with
            black bars; `"stretch"` distorts it; `"crop"` keeps the centre that fills the shape.
        strict: Whether a file that cannot be used raises an error; otherwise it is skipped.
        max_pixels: Most pixels (width times height) that a file may state, also of a tile of a
            TIFF; those of a WebP and of DICOM in colour count twice. More is always an error: a
            small file can unpack to more memory than there is.
        workers: Number of threads; by default, as many as there are cores.
        progress: Whether to show a progress bar (unless reading takes a moment only).

    Returns:
        The images in the order of their sorted relative paths; or, for a tree of splits, a dict
        from split name (sorted) to data set, all with the same classes. `names` holds each
        file's path relative to `path`, with `/`; `skipped` the files that were not used.

    Warns:
        SkippedFilesWarning: Once, if files were skipped, with their number.
        SynthrayWarning: Once, if images are synthetic, with their number; and once, if DICOM files
            declare text burnt into their pixels.

    Raises:
        FileNotFoundError: If there is no such folder.
        NotADirectoryError: If `path` is a file.
        TypeError: If `groups` or `labels` are of another type.
        ValueError: If an argument is out of range; if the folder has no subfolders (without
            `labels`), fewer than two classes, two classes that differ by case or Unicode form
            only, a class whose name is not UTF-8, or a class or split without a readable image; if
            classes cannot be told from splits; if a file has more than `max_pixels` pixels; if
            groups are missing; if it is not clear which row of a table belongs to a file.
        FileFormatError: If a table is not CSV in UTF-8 or lacks a column; with `strict=True`, at
            the first file that cannot be used, or row without a file.
        MemoryError: Before any file is read, if the images would need more memory than is free.

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
    root, shape = Path(path), checked_image_shape(image_shape)
    reading = Reading(classes, fit, strict, max_pixels, workers, progress)
    if labels is None:
        tree = scan_tree(root, classes)
    else:
        tree = scan_labelled(root, classes, partial(table_labels, labels, root))
    provenance = {
        "source": "load_image_folder",
        "path": str(root),
        "fit": fit,
        "image_shape": list(shape),
        **({"labels": [str(labels[0]), *labels[1:]]} if labels else {}),
    }
    return read_tree(root, tree, shape, reading, partial(group_values, groups, root), provenance)
