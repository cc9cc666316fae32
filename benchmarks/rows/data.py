"""The data sets of the rows about quality, in the folder that `--data` names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import synthray as sr
from benchmarks.rows import timing

SOURCES = {
    "fracatlas": "fracatlas_64.npz",
    "fracatlas_128": "fracatlas_128.npz",
    "bone": "bone-fracture-160",
    "chest": "chest_pneumonia_64.npz",
    "pneumoniamnist": "pneumoniamnist.npz",
    "phantoms": "",
    "tissue": "",
}
PROOF = ("fracatlas", "bone", "chest", "pneumoniamnist", "phantoms")  # the judge is proved on these
STEPS = range(0, 65, 16)  # between patches of a block, in pixels


def load(name: str, args: Any) -> sr.ImageDataset:
    """Return a set with the groups that its folds are cut by; few phantoms with `--quick`."""
    if args.quick:
        return sr.make_phantoms(280, image_shape=(32, 32, 1), seed=0)
    if name == "phantoms":
        return sr.make_phantoms(2_000, seed=0)
    if name == "tissue":
        return tissue()
    path = timing.need_data(args, SOURCES[name])
    if name == "pneumoniamnist":
        first, *others = sr.load_medmnist(path).values()
        names = ("normal", "pneumonia")
        whole = first.concatenate(*others)
        return replace(whole, class_names=names, positive_class="pneumonia")
    if name == "bone":
        splits = sr.load_image_folder(path, image_shape=(64, 64, 1), progress=False)
        first, *others = splits.values()
        data = first.concatenate(*others)
        return data.with_groups(sr.find_duplicates(data))
    with np.load(path, allow_pickle=False) as file:
        classes = [str(each) for each in file["class_names"]]
        images, labels, groups = file["images"], file["labels"].ravel(), file["group"]
    return sr.ImageDataset.from_arrays(images, labels, class_names=classes, groups=groups)


def tissue() -> sr.ImageDataset:
    """Cut 400 overlapping patches from a stained section, which no setting was chosen on.

    `skimage.data.immunohistochemistry()` (public domain) in gray; each of 4 x 4 blocks is a group.
    """
    from skimage.data import immunohistochemistry

    blocks = (
        immunohistochemistry().reshape(4, 128, 4, 128, 3).swapaxes(1, 2).reshape(-1, 128, 128, 3)
    )
    places = [(block, y, x) for block in range(16) for y in STEPS for x in STEPS]
    images = np.stack([blocks[block, y : y + 64, x : x + 64] for block, y, x in places])
    groups = [block for block, _, _ in places]
    labels = np.zeros(len(images), int)
    data = sr.ImageDataset.from_arrays(images, labels, class_names=["tissue"], groups=groups)
    return data.to_grayscale()
