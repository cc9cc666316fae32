"""A few images of a comparison, for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthray.datasets.image_dataset import ImageDataset

Images = NDArray[np.uint8]
_A_CLASS = 8


@dataclass(frozen=True, eq=False)
class Pictures:
    """A few images of a comparison.

    Attributes:
        real: Real training images by class name, shape `(up to 8, h, w, c)`.
        synthetic: Drawn images by class name, the same; empty without drawn images.
        leaked: Pairs of a test image and the training image that shows the same radiograph.
    """

    real: Mapping[str, Images]
    synthetic: Mapping[str, Images] = field(default_factory=dict)
    leaked: Sequence[tuple[Images, Images]] = ()


def examples(data: ImageDataset) -> dict[str, Images]:
    """Return evenly spaced images of each class, by name."""
    chosen = {}
    for label, name in enumerate(data.class_names):
        index = np.flatnonzero(data.labels == label)
        if len(index):
            places = np.linspace(0, len(index) - 1, min(_A_CLASS, len(index))).round()
            chosen[name] = data.images[index[places.astype(np.int64)]]
    return chosen
