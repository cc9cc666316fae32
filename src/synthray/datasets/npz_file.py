"""`load_npz`: an `.npz` file of images, in any layout that is known, to data sets by split."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from synthray._files import open_npz
from synthray.datasets.columns import class_values
from synthray.datasets.folder_tree import UNLABELLED
from synthray.datasets.group_table import Groups, group_values
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.medmnist import load_medmnist
from synthray.datasets.pixels import checked_image_shape

_COLUMNS = ("images", "labels", "class_names", "split", "filename", "names", "group", "groups")


def load_npz(
    path: str | PathLike[str],
    image_shape: tuple[int, int, int] | None = None,
    *,
    groups: Groups | None = None,
) -> dict[str | None, ImageDataset]:
    """Load an `.npz` file of one of three layouts.

    - What `ImageDataset.save` wrote.
    - MedMNIST: `train_images`, `train_labels`, ... as `load_medmnist` reads it.
    - One array a column: `images` and, as far as they are there, `labels`, `class_names`, `split`,
      `filename` (or `names`) and `group` (or `groups`).

    Args:
        path: The file.
        image_shape: `(height, width, channels)` to convert to, antialiased; by default the images
            stay as they are. The aspect may change.
        groups: As for `load_image_folder`, by the names of the images.

    Returns:
        From the name of each split, or `None` where there are no splits, to its images. Without
        labels, all images are of one class, `"unlabelled"`.

    Raises:
        FileNotFoundError: If there is no such file.
        FileFormatError: If the file is damaged, is no `.npz`, holds pickled objects or is too
            large.
        ValueError: If the layout is another, or columns do not fit.
    """
    sets = _read(path)
    if groups is not None:
        sets = {
            split: _with_groups(data, groups, Path(path).parent) for split, data in sets.items()
        }
    if image_shape is None:
        return sets
    height, width, channels = checked_image_shape(image_shape)
    sized = {split: data.resize(height, width) for split, data in sets.items()}
    return {k: d.to_grayscale() if channels == 1 else d.to_rgb() for k, d in sized.items()}


def _read(path: str | PathLike[str]) -> dict[str | None, ImageDataset]:
    with open_npz(path, None, "an .npz file of images") as file:
        own, medmnist = "header" in file, "images" not in file
        known = () if own or medmnist else _COLUMNS
        columns = {name: np.asarray(file[name]) for name in known if name in file}
    if own:
        return {None: ImageDataset.load(path)}
    if medmnist:
        return {split: data for split, data in load_medmnist(path).items()}
    images, labels, splits = columns["images"], columns.get("labels"), columns.get("split")
    class_names: Any = columns.get("class_names", ())
    if labels is None:
        labels, class_names = np.zeros(len(images), np.int64), [UNLABELLED]
    elif not len(class_names):
        class_names, labels = class_values(labels)
    data = ImageDataset.from_arrays(
        images,
        labels,
        class_names=[str(name) for name in class_names],
        groups=columns.get("group", columns.get("groups")),
        names=columns.get("filename", columns.get("names")),
        provenance={"source": "load_npz", "path": str(path)},
    )
    if splits is None:
        return {None: data}
    if len(splits) != len(data):
        raise ValueError(f"Expected one split for each of {len(data)} images, got {len(splits)}.")
    return {str(split): data.select(splits == split) for split in np.unique(splits)}


def _with_groups(data: ImageDataset, groups: Groups, folder: Path) -> ImageDataset:
    if data.names is None:
        raise ValueError("Groups belong to names of images, and the images of this file have none.")
    names = data.names.tolist()
    return data.with_groups(group_values(groups, folder, names, np.arange(len(names))))
