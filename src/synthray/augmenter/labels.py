"""How many images of which class: label encodings, shares, sampling strategies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synthray._keras.backend import as_array
from synthray.datasets.columns import class_values
from synthray.datasets.image_dataset import ImageDataset


def as_dataset(X: Any, y: Any, value_range: Any = None) -> tuple[ImageDataset, list[Any]]:
    """Turn `fit` arguments into an `ImageDataset` and the label values in the user's terms."""
    if isinstance(X, ImageDataset):
        if y is not None:
            raise ValueError("An ImageDataset holds its labels; leave y out.")
        data, values = X, list(range(X.num_classes))
    elif y is None:
        raise ValueError("Labels are missing: pass fit(X, y), or an ImageDataset.")
    else:
        values, codes = class_values(y)
        names = [str(value) for value in values]
        X = as_array(X)
        data = ImageDataset.from_arrays(X, codes, class_names=names, value_range=value_range)
    check_training_images(data)
    return data, values


def check_training_images(data: ImageDataset) -> None:
    """Raise a `ValueError` if there is no image, or none of a class, or images are synthetic."""
    empty = [name for name, count in data.class_counts.items() if count == 0]
    if empty or len(data) == 0:
        raise ValueError(
            f"Every class needs training images, but {empty or 'all'} have none. Leave those "
            "classes out, or add images."
        )
    if data.synthetic.any():
        raise ValueError(
            f"{int(data.synthetic.sum())} of {len(data)} images are synthetic. Generators learn "
            "from real images: data.select(~data.synthetic)."
        )


def counts_by_name(
    wanted: Mapping[Any, int], class_names: tuple[str, ...], classes: list[Any]
) -> dict[str, int]:
    """Turn counts by name or label value into counts by name, in class order; absent means 0."""
    names = dict(zip(classes, class_names, strict=True)) | {name: name for name in class_names}
    for key, count in wanted.items():
        if key not in names:
            raise ValueError(
                f"No class is called {key!r}. The classes are {list(class_names)} (labels "
                f"{classes})."
            )
        if count < 0:
            raise ValueError(f"Numbers of images must be 0 or more, got {count} for {key!r}.")
    return dict.fromkeys(class_names, 0) | {names[k]: int(count) for k, count in wanted.items()}


def share_out(n: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Share `n` out in proportion to weights, by largest remainder."""
    if n < 0:
        raise ValueError(f"Numbers of images must be 0 or more, got {n}.")
    exact = n * np.array(list(weights.values())) / sum(weights.values())
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    return dict(zip(weights, counts.tolist(), strict=True))


def missing_images(strategy: Any, have: Mapping[str, int], classes: list[Any]) -> dict[str, int]:
    """Return how many images each class lacks under imbalanced-learn's `sampling_strategy`."""
    largest, smallest = max(have.values()), min(have, key=lambda name: have[name])
    wanted = dict(have)
    if isinstance(strategy, Mapping):
        wanted = counts_by_name({**have, **strategy}, tuple(have), classes)
    elif strategy == "auto":
        wanted = dict.fromkeys(have, largest)
    elif strategy == "minority":
        wanted[smallest] = largest
    elif not isinstance(strategy, str) and len(have) == 2 and 0 < strategy <= 1:
        wanted[smallest] = round(strategy * largest)
    else:
        raise ValueError(
            'sampling_strategy must be "auto", "minority", a dict of wanted numbers of images, or '
            "of two classes the ratio of the smaller to the larger, above 0 and at most 1; got "
            f"{strategy!r} for {len(have)} classes."
        )
    missing = {name: wanted[name] - count for name, count in have.items()}
    if min(missing.values()) < 0:
        raise ValueError(
            f"sampling_strategy={strategy!r} asks for {wanted} images, but there are {dict(have)} "
            "real ones, and none is taken away. Ask for as many or more."
        )
    return missing
