"""`load_dicom_folder`: a folder of DICOM files to an `ImageDataset`, with patients as groups."""

from __future__ import annotations

import hashlib
import hmac
import io
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from synthray.datasets.decode import Fit, opened
from synthray.datasets.dicom import pydicom, read_header, tag_of
from synthray.datasets.folder_tree import scan_labelled, scan_tree
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.pixels import checked_image_shape
from synthray.datasets.read_tree import Reading, read_tree
from synthray.datasets.table import Labels, table_labels
from synthray.exceptions import FileFormatError

Frames: TypeAlias = Literal["first", "all"]

# Who is shown: the first of these that a file, or another of its study, has.
_PATIENT = ("PatientID", "StudyInstanceUID", "SOPInstanceUID")


def load_dicom_folder(
    path: str | os.PathLike[str],
    image_shape: tuple[int, int, int] = (64, 64, 1),
    *,
    labels: Labels | str | None = None,
    classes: Sequence[str] | None = None,
    frames: Frames = "first",
    patient_key: str | bytes | None = None,
    fit: Fit = "pad",
    strict: bool = False,
    max_pixels: int = 2**26,
    workers: int | None = None,
    progress: bool = True,
) -> ImageDataset | dict[str, ImageDataset]:
    """Load a folder of DICOM files, with patients as groups.

    Needs pydicom: `pip install 'synthray[dicom]'`. The content decides what is DICOM, with or
    without a preamble; other files are skipped. `load_image_folder` reads DICOM too, beside other
    formats: the first frame, with classes and groups of its own.

    Classes come from folders, as in `load_image_folder`, from a table, or from an element of the
    header. Pixels become 8 bits in this order:

    1. Padding (`PixelPaddingValue`, `PixelPaddingRangeLimit`) is masked, and bits beyond
       `BitsStored` are dropped.
    2. The modality look-up table, or else `RescaleSlope` and `RescaleIntercept`, if there are any.
    3. The first VOI look-up table; or else the first window, by `VOILUTFunction` (`LINEAR`,
       `LINEAR_EXACT`, `SIGMOID`). A `LINEAR` window narrower than 1 is taken as `LINEAR_EXACT`.
       Without a window, or with one of width 0 or less, black and white are the least and the
       largest value that is not padding, and a constant image becomes black.
    4. `MONOCHROME1` is inverted. Padding becomes black.

    Steps 2 and 3 use the functional groups of the frame where there are any. Palettes and YBR
    become RGB; of colour with more than 8 bits, the high byte is kept. Overlays are not shown.
    Uncompressed, deflated, RLE, JPEG of 8 bits and JPEG 2000 files need nothing else; others need
    a decoder that pydicom finds, or are skipped.

    Nothing of the header is kept but the class that `labels` asks for. Names of files and of the
    folder are kept (`names`, `skipped`, `provenance`), and may name patients.

    Args:
        path: The folder.
        image_shape: `(height, width, channels)` of the result, channels 1 or 3.
        labels: Where classes come from; by default, from folders. A table as in
            `load_image_folder`, `(csv_file, column of file names, column of labels)`, or the
            keyword of a DICOM element, such as `"ViewPosition"`; files without a value are
            skipped.
        classes: Names of the classes to read, in label order; by default all, sorted.
        frames: `"first"` reads one image a file; `"all"` reads each frame as an image, whose name
            ends with `#` and its number from 0.
        patient_key: By default, groups are integers, in the order in which patients appear, from
            which nothing about the patient can be derived; those of separate calls do not match.
            With a key, groups are 32 hexadecimal digits of an HMAC-SHA-256 of the identifier, and
            calls with one key match. Whoever has the key can tell whether an image is of a patient
            whose identifier they guess; without it, the groups say only which images belong
            together. Take a long random key (`secrets.token_hex(32)`) and do not store it with the
            data.
        fit: What to do with an image of another aspect, as in `load_image_folder`.
        strict: Whether a file that cannot be used raises an error; otherwise it is skipped.
        max_pixels: Most pixels (width times height) that a frame may state; those of colour count
            twice, those of more than 16 bits four times. More is always an error.
        workers: Number of threads; by default, as many as there are cores.
        progress: Whether to show a progress bar (unless reading takes a moment only).

    Returns:
        The images in the order of their sorted relative paths; or, for a tree of splits, a dict
        from split name (sorted) to data set. `groups` holds the patient: `PatientID`, also that of
        another file of the same study, or else `StudyInstanceUID`; a file without either is a
        patient of its own. `skipped` holds the files that were not used.

    Warns:
        SkippedFilesWarning: Once, if files were skipped, with their number.
        SynthrayWarning: Once, if files declare text burnt into their pixels
            (`BurnedInAnnotation`), with their number.

    Raises:
        ImportError: If pydicom is not installed.
        TypeError: If `labels` or `patient_key` are of another type.
        ValueError: As `load_image_folder` does, if `labels` is no keyword of DICOM, or if
            `patient_key` is empty.
        FileNotFoundError: If there is no such folder.
        NotADirectoryError: If `path` is a file.
        FileFormatError: With `strict=True`, at the first file that cannot be used.
        MemoryError: Before pixels are read, if the images would need more memory than is free.

    Examples:
        Four files that come with pydicom, of three patients:

        >>> import shutil, tempfile
        >>> from pathlib import Path
        >>> from pydicom.data import get_testdata_file
        >>> import synthray as sr
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("CT_small", "MR_small", "MR_small_RLE", "examples_overlay"):
        ...     _ = shutil.copy(get_testdata_file(f"{name}.dcm", download=False), root)
        >>> data = sr.load_dicom_folder(root, labels="Modality")
        >>> data
        ImageDataset(4 images of 64x64x1: 1 CT, 3 MR; 3 groups)
        >>> data.groups.tolist()
        [0, 1, 1, 2]

    References:
        DICOM PS3.3, sections C.7.6.3, C.11.1 and C.11.2.
    """
    pydicom()
    root, shape = Path(path), checked_image_shape(image_shape)
    reading = Reading(classes, fit, strict, max_pixels, workers, progress)
    if frames not in get_args(Frames):
        raise ValueError(f"Expected frames to be one of {get_args(Frames)}, got {frames!r}.")
    key = patient_key.encode() if isinstance(patient_key, str) else patient_key
    if key is not None and not isinstance(key, bytes):
        raise TypeError(f"Expected patient_key as text or bytes, got {type(key).__name__}.")
    if key == b"":
        raise ValueError("Expected a patient_key, got an empty one. Take secrets.token_hex(32).")
    headers = _Headers(root, reading, labels if isinstance(labels, str) else None)
    if labels is None:
        tree = scan_tree(root, classes)
    else:
        label = headers.labels if isinstance(labels, str) else partial(table_labels, labels, root)
        tree = scan_labelled(root, classes, label)
    headers.read([file.name for file in tree.files])
    lost = {file.name: headers.lost[file.name] for file in tree.files if file.name in headers.lost}
    if frames == "all":
        files = [f._replace(frames=headers.frames.get(f.name, 1)) for f in tree.files]
        tree = replace(tree, files=tuple(files))
    provenance = {
        "source": "load_dicom_folder",
        "path": str(root),
        "fit": fit,
        "image_shape": list(shape),
        "frames": frames,
    }
    if labels is not None:
        provenance["labels"] = labels if isinstance(labels, str) else [str(x) for x in labels]
    return read_tree(
        root, tree, shape, reading, partial(headers.patients, key=key), provenance, lost
    )


class _Headers:
    """What is asked for of the headers of a folder's files.

    Attributes:
        frames: Number of frames, by name of the file.
        lost: Files that are not read, with the reason.
    """

    def __init__(self, root: Path, reading: Reading, keyword: str | None) -> None:
        if keyword is not None:
            tag_of(keyword)
        self.root, self.reading, self.keyword = root, reading, keyword
        self.frames: dict[str, int] = {}
        self.lost: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._identifiers: dict[str, list[str]] = {}

    def read(self, names: Sequence[str]) -> None:
        """Read headers that have not been read yet."""
        names = [name for name in names if name not in self.frames and name not in self.lost]
        keywords = ["NumberOfFrames", *_PATIENT, *([self.keyword] if self.keyword else [])]

        def header(i: int) -> None:
            name = names[i]
            path = os.path.join(self.root, name)
            try:
                with opened(path, self.reading.max_pixels) as file:
                    found = read_header(io.BufferedReader(file), keywords)
                frames = found["NumberOfFrames"] or "1"
                if not frames.isdecimal() or int(frames) > os.path.getsize(path):
                    raise FileFormatError(f"damaged: it cannot hold {frames} frames")
            except FileFormatError as error:
                self.lost[name] = str(error)
                return
            self._identifiers[name] = [f"{k}:{found[k]}" if found[k] else "" for k in _PATIENT]
            self._labels[name] = found[self.keyword] if self.keyword else ""
            self.frames[name] = max(int(frames), 1)

        self.reading.each(header, len(names), "Reading headers")

    def labels(self, names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the value of the element by name, and the reason where there is none."""
        self.read(names)
        none = {n: f"no {self.keyword} in its header" for n, v in self._labels.items() if not v}
        return {n: v for n, v in self._labels.items() if v}, {**self.lost, **none}

    def patients(
        self, found: Sequence[str], kept: NDArray[np.intp], key: bytes | None
    ) -> NDArray[Any]:
        """Return the patient of each file that was kept: a number, or a keyed hash."""
        names = [found[i] for i in kept]
        of_study = {study: p for p, study, _ in self._identifiers.values() if p and study}
        patients = [
            patient or of_study.get(study) or study or file or f"file:{self.root.resolve() / name}"
            for name in names
            for patient, study, file in [self._identifiers[name]]
        ]
        if key is None:
            numbers = {patient: i for i, patient in enumerate(dict.fromkeys(patients))}
            return np.asarray([numbers[patient] for patient in patients], np.int64)
        digests = [hmac.new(key, p.encode("utf-8", "replace"), hashlib.sha256) for p in patients]
        return np.asarray([digest.hexdigest()[:32] for digest in digests])
