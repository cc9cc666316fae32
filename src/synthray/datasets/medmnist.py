"""`load_medmnist`: a MedMNIST-layout `.npz` to one `ImageDataset` a split."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray._files import open_npz
from synthray.datasets.columns import as_codes
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.pixels import checked_image_shape

_SPLITS = ("train", "val", "test")


def load_medmnist(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    image_shape: tuple[int, int, int] | None = None,
    class_names: Sequence[str] | None = None,
    max_bytes: int | None = None,
) -> dict[str, ImageDataset]:
    """Load images in the key layout of MedMNIST.

    The arrays are `train_images`, `train_labels`, and the same for `val` and `test`; a split may
    be missing as a whole. Images are `uint8`, shape `(n, height, width)` or
    `(n, height, width, 3)`; labels are integers from 0, shape `(n, 1)` or `(n,)`. Any number of
    classes and any size will do.

    Args:
        source: Path of an `.npz` file, or an open one, or a mapping from key to array. Pickled
            objects are never loaded.
        image_shape: `(height, width, channels)` to convert to, antialiased; by default the
            images stay as they are. The aspect may change.
        class_names: Names in label order; by default `"0"`, `"1"`, ... up to the highest label of
            any split.
        max_bytes: What the file of a path may unpack to, never more than the memory that is free.
            By default 4 GiB, but above 256 MiB at most 40 times its size: more is a bomb.

    Returns:
        From split name (`"train"`, `"val"`, `"test"`, those present) to data set, all with the
        same classes.

    Raises:
        FileNotFoundError: If there is no such file.
        FileFormatError: If the file is damaged, is no `.npz`, holds pickled objects or is too
            large.
        ValueError: If no split is complete, if labels are multi-label, if images are volumes or
            not `uint8`, or if there are too few `class_names`.

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
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        with open_npz(path, max_bytes, "an .npz file of MedMNIST", "Download it again.") as file:
            arrays = _read(file, "the file")
    elif isinstance(source, Mapping):
        arrays = _read(source, "the mapping")
    else:
        raise TypeError(
            "Expected the path of an .npz file, an open one, or a mapping of arrays, got "
            f"{type(source).__name__}."
        )
    labels = {split: _labels(split, arrays) for split in _SPLITS if f"{split}_labels" in arrays}
    count = 1 + max(int(codes.max(initial=-1)) for codes in labels.values())
    names = tuple(map(str, range(count))) if class_names is None else class_names
    if isinstance(names, str) or len(names) < count:
        raise ValueError(
            f"Expected class_names as a sequence of at least {count} names, one for each label 0 "
            f"to {count - 1}, got {class_names!r}."
        )
    provenance = {"source": "load_medmnist", "path": None if path is None else str(path)}
    found = {}
    for split, codes in labels.items():
        images = arrays.pop(f"{split}_images")
        if images.dtype != np.uint8:  # each split could seem to have a range of its own
            how = "Use ImageDataset.from_arrays(images, labels, value_range=(black, white))"
            raise ValueError(f"Expected uint8 images of MedMNIST, got {images.dtype}. {how}.")
        data = ImageDataset.from_arrays(
            images,
            codes,
            class_names=names,
            provenance=provenance | {"split": split},
        )
        if shape is not None:
            data = data.resize(*shape[:2])
            data = data.to_grayscale() if shape[2] == 1 else data.to_rgb()
        found[split] = data
    return found


def _read(source: Mapping[str, Any], where: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of the splits that are there."""
    keys = [f"{split}_{part}" for split in _SPLITS for part in ("images", "labels")]
    present = [key for key in keys if key in source]
    splits = {key.partition("_")[0] for key in present}
    if not present or len(present) != 2 * len(splits):
        raise ValueError(
            "Expected the MedMNIST keys train_images and train_labels, and such pairs of val and "
            f"test, in {where}, got {sorted(map(str, source))}. For other layouts, use "
            "ImageDataset.from_arrays."
        )
    return {key: np.asarray(source[key]) for key in present}


def _labels(split: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    labels = arrays[f"{split}_labels"]
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise ValueError(
            f"Expected one label an image, got {split}_labels of shape {labels.shape}: a "
            "multi-label set. Choose one column: pass a mapping with labels[:, [k]]."
        )
    return as_codes(labels)
