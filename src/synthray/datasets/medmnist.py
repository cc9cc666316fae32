"""`load_medmnist`: a MedMNIST-layout `.npz` to one `ImageDataset` a split."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from synthray.datasets import _pixels
from synthray.datasets._image_shape import checked_image_shape
from synthray.datasets.image_dataset import ImageDataset

_SPLITS = ("train", "val", "test")


def load_medmnist(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    image_shape: tuple[int, int, int] | None = None,
    class_names: Sequence[str] | None = None,
) -> dict[str, ImageDataset]:
    """Load images in the key layout of MedMNIST.

    The arrays are `train_images`, `train_labels`, and the same for `val` and `test`; a split may
    be missing as a whole. Images are `uint8`, shape `(n, height, width)` or
    `(n, height, width, 3)`; labels are integers from 0, shape `(n, 1)` or `(n,)`. Any number of
    classes and any size do.

    Args:
        source: Path of an `.npz` file, or an open one, or a mapping from key to array. Pickled
            objects are never loaded.
        image_shape: `(height, width, channels)` to convert to, antialiased; by default the
            images stay as they are. The aspect may change.
        class_names: Names in label order; by default `"0"`, `"1"`, ... up to the highest label of
            any split.

    Returns:
        From split name (`"train"`, `"val"`, `"test"`, those present) to data set, all with the
        same classes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, is no `.npz` or holds pickled objects; if no split is
            complete; if labels are multi-label or images are volumes; if `class_names` are
            too few.

    Examples:
        >>> import numpy as np
        >>> import synthray as sr
        >>> arrays = {
        ...     "train_images": np.zeros((3, 28, 28), "uint8"),
        ...     "train_labels": np.array([[0], [1], [0]]),
        ...     "test_images": np.zeros((2, 28, 28), "uint8"),
        ...     "test_labels": np.array([[0], [1]]),
        ... }
        >>> splits = sr.load_medmnist(arrays, class_names=("normal", "pneumonia"))
        >>> splits["train"]
        ImageDataset(3 images of 28x28x1: 2 normal, 1 pneumonia; 3 groups)
        >>> list(splits)
        ['train', 'test']

    References:
        Yang et al., "MedMNIST v2", Scientific Data 10, 41 (2023).
    """
    shape = None if image_shape is None else checked_image_shape(image_shape)
    path = None
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        arrays = _read_file(path)
    elif isinstance(source, Mapping):
        arrays = _read(source, "the mapping")
    else:
        raise TypeError(
            f"Expected the path of an .npz file, an open one, or a mapping of arrays, got "
            f"{type(source).__name__}."
        )
    splits = [split for split in _SPLITS if f"{split}_images" in arrays]
    labels = {split: _labels(split, arrays[f"{split}_labels"]) for split in splits}
    names = _class_names(labels, class_names)
    provenance = {"source": "load_medmnist", "path": None if path is None else str(path)}
    return {
        split: ImageDataset.from_arrays(
            _images(split, arrays.pop(f"{split}_images"), shape),
            labels[split],
            class_names=names,
            provenance=provenance | {"split": split},
        )
        for split in splits
    }


def _read_file(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise FileNotFoundError(f"Expected an .npz file, got no such file: {str(path)!r}.")
    with path.open("rb") as stream:  # np.load leaves a damaged file open
        try:
            file = np.load(stream, allow_pickle=False)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"Expected an .npz file, got {str(path)!r}, which is damaged or of another kind: "
                f"{error}."
            ) from error
        if not isinstance(file, NpzFile):
            raise ValueError(
                f"Expected an .npz file with several arrays, got a single array in {str(path)!r}."
            )
        with file:
            return _read(file, repr(str(path)))


def _read(source: Mapping[str, Any], where: str) -> dict[str, NDArray[Any]]:
    """The arrays of the splits that are there, read one by one."""
    keys = sorted(str(key) for key in source)
    wanted = {split: (f"{split}_images", f"{split}_labels") for split in _SPLITS}
    halves = [pair for pair in wanted.values() if sum(key in source for key in pair) == 1]
    present = [pair for pair in wanted.values() if all(key in source for key in pair)]
    if halves or not present:
        need = " and ".join(halves[0]) if halves else "train_images and train_labels"
        raise ValueError(
            f"Expected the MedMNIST keys {need} in {where}, got {keys}. For other layouts, use "
            "ImageDataset.from_arrays."
        )
    arrays: dict[str, NDArray[Any]] = {}
    for key in (key for pair in present for key in pair):
        try:
            arrays[key] = np.asarray(source[key])
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(
                f"Cannot read {key!r} in {where}: {error}. Pickled objects are not loaded; a "
                "damaged file must be fetched again."
            ) from error
    return arrays


def _labels(split: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise ValueError(
            f"Expected one label an image, got {split}_labels of shape {labels.shape}: a "
            "multi-label set. Choose one column: pass a mapping with labels[:, [k]]."
        )
    if labels.dtype.kind not in "iub" or labels.ndim not in (1, 2):
        raise ValueError(
            f"Expected {split}_labels as integers of shape (n, 1), got {labels.dtype} of shape "
            f"{labels.shape}."
        )
    flat: NDArray[np.int64] = labels.reshape(-1).astype(np.int64)
    if flat.size and flat.min() < 0:
        raise ValueError(f"Expected {split}_labels from 0, got {flat.min()}.")
    return flat


def _class_names(
    labels: Mapping[str, NDArray[np.int64]], class_names: Sequence[str] | None
) -> tuple[str, ...]:
    count = 1 + max(int(codes.max(initial=-1)) for codes in labels.values())
    if class_names is None:
        return tuple(str(label) for label in range(count))
    if isinstance(class_names, str) or len(class_names) < count:
        raise ValueError(
            f"Expected class_names as a sequence of at least {count} names, one for each label 0 "
            f"to {count - 1}, got {class_names!r}."
        )
    return tuple(class_names)


def _images(
    split: str, images: NDArray[Any], shape: tuple[int, int, int] | None
) -> NDArray[np.uint8]:
    if images.dtype != np.uint8:
        raise ValueError(f"Expected {split}_images as uint8, 0 to 255, got {images.dtype}.")
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"Expected {split}_images of shape (n, height, width) or (n, height, width, 3), got "
            f"{images.shape}. Volumes need slicing first."
        )
    if shape is None:
        return images
    return _pixels.with_channels(_pixels.resize(images, *shape[:2]), shape[2])
