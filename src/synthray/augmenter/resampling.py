"""How many images of which class: label encodings, shares, sampling strategies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray._value_range import infer_value_range, to_unit
from synthray.datasets._pixels import to_uint8
from synthray.datasets.image_dataset import ImageDataset


def as_dataset(X: ImageDataset | ArrayLike, y: ArrayLike | None) -> tuple[ImageDataset, list[Any]]:
    """Turn `fit` arguments into an `ImageDataset` and the label values in the user's terms."""
    if isinstance(X, ImageDataset):
        if y is not None:
            raise ValueError("An ImageDataset holds its labels; leave y out.")
        return X, list(range(X.num_classes))
    if y is None:
        raise ValueError("Labels are missing: pass fit(X, y), or an ImageDataset.")
    images, labels = np.asarray(X), np.asarray(y)
    if images.dtype != np.uint8:
        images = to_uint8(to_unit(images, infer_value_range(images)) * np.float32(255))
    values, codes = class_values(labels)
    names = [str(value) for value in values]
    return ImageDataset.from_arrays(images, codes, class_names=names), values


def check_annotations(data: ImageDataset) -> None:
    """Raise where drawn images cannot join a data set, for they lack its annotations."""
    for name, column in data.annotations.items():
        if column.dtype.kind != "f":
            raise ValueError(
                f"Drawn images have no annotation {name!r}, and {column.dtype} has no value for "
                "that. Drop it first: dataclasses.replace(data, annotations={})."
            )


def class_values(labels: NDArray[Any]) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the label values, sorted, and the position of each label among them.

    One-hot rows `(n, k)` give values `0 ... k - 1`.
    """
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise ValueError(
                f"Labels of shape {labels.shape} must be one-hot rows: one 1 a row, 0 elsewhere. "
                "Soft or multiple labels are not supported."
            )
        return list(range(labels.shape[1])), labels.argmax(axis=1).astype(np.int64)
    flat = labels.reshape(-1) if labels.ndim == 2 else labels
    if flat.ndim != 1 or flat.dtype.kind not in "iufbSU":
        raise ValueError(
            "Labels must be integers, strings, or floats that are whole, of shape (n,) or (n, 1), "
            f"or one-hot rows, got {labels.dtype} of shape {labels.shape}."
        )
    if flat.dtype.kind == "f":
        if not np.array_equal(flat, np.rint(flat)):
            raise ValueError("Float labels must be whole numbers such as 0.0 and 1.0.")
        flat = flat.astype(np.int64)
    if flat.dtype.kind == "S":
        flat = np.char.decode(flat, "utf-8")
    values, codes = np.unique(flat, return_inverse=True)
    return [value.item() for value in values], codes.astype(np.int64)


def counts_by_name(
    wanted: Mapping[Any, int], class_names: tuple[str, ...], classes: list[Any]
) -> dict[str, int]:
    """Turn counts by name or label value into counts by name, in class order; absent means 0."""
    names = dict(zip(classes, class_names, strict=True)) | {name: name for name in class_names}
    unknown = [key for key in wanted if key not in names]
    if unknown:
        raise ValueError(
            f"No class is called {unknown[0]!r}. The classes are {list(class_names)} "
            f"(labels {classes})."
        )
    counts = dict.fromkeys(class_names, 0)
    for key, count in wanted.items():
        if count < 0:
            raise ValueError(f"Numbers of images must be 0 or more, got {count} for {key!r}.")
        counts[names[key]] += int(count)
    return counts


def share_out(n: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Share `n` out in proportion to weights, by largest remainder."""
    if n < 0:
        raise ValueError(f"Numbers of images must be 0 or more, got {n}.")
    total = sum(weights.values())
    exact = np.array([n * weight / total for weight in weights.values()])
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    return dict(zip(weights, counts.tolist(), strict=True))


def missing_images(strategy: Any, have: Mapping[str, int], classes: list[Any]) -> dict[str, int]:
    """Return how many images each class lacks under imbalanced-learn's `sampling_strategy`."""
    names = tuple(have)
    largest, smallest = max(have.values()), min(have, key=lambda name: have[name])
    if isinstance(strategy, str):
        if strategy == "auto":
            return {name: largest - count for name, count in have.items()}
        if strategy == "minority":
            return {name: (largest - have[name]) * (name == smallest) for name in names}
        raise ValueError(
            f'sampling_strategy must be "auto", "minority", a float or a dict, got {strategy!r}.'
        )
    if isinstance(strategy, Mapping):
        wanted = counts_by_name(strategy, names, classes)
        listed = {n for n, c in zip(names, classes, strict=True) if n in strategy or c in strategy}
        for name in listed:
            if wanted[name] < have[name]:
                raise ValueError(
                    f"sampling_strategy wants {wanted[name]} images of {name!r}, but there are "
                    f"{have[name]} real ones and none is taken away. Ask for {have[name]} or more."
                )
        return {name: wanted[name] - have[name] if name in listed else 0 for name in names}
    ratio = float(strategy)
    if len(names) != 2 or not 0 < ratio <= 1:
        raise ValueError(
            "A float sampling_strategy is the ratio of the smaller to the larger of two classes, "
            f"above 0 and at most 1; got {ratio} for {len(names)} classes. Use a dict instead."
        )
    lacking = round(ratio * largest) - have[smallest]
    if lacking < 0:
        raise ValueError(
            f"The classes already have a ratio of {have[smallest] / largest:.3f}, above the "
            f"sampling_strategy of {ratio}. Use a larger ratio."
        )
    return {name: lacking if name == smallest else 0 for name in names}


def refuse_synthetic(data: ImageDataset) -> None:
    """Say that generators learn from real images alone.

    Raises:
        ValueError: If images are marked as synthetic.
    """
    if data.synthetic.any():
        raise ValueError(
            f"{int(data.synthetic.sum())} of {len(data)} images are synthetic. Fit on real "
            "images: data.select(~data.synthetic)."
        )
