"""What a classifier learns to answer: labels, or probabilities in their place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray.classifiers.fracture_classifier import wants_one_hot
from synthray.comparison.models import labels_for
from synthray.comparison.phases import SOFT_LABELS
from synthray.datasets.image_dataset import ImageDataset


def probabilities_of(data: ImageDataset) -> NDArray[np.float32] | None:
    """Return soft labels, rows of the own label where there are none; `None` without any.

    Raises:
        ValueError: If the annotation does not hold probabilities of all classes.
    """
    soft = data.annotations.get(SOFT_LABELS)
    if soft is None:
        return None
    own = np.eye(data.num_classes, dtype=np.float32)[data.labels]
    if soft.shape != own.shape:
        raise ValueError(
            f"The annotation {SOFT_LABELS!r} must have shape {own.shape}, one probability a class, "
            f"got {soft.shape}."
        )
    known = ~np.isnan(soft).any(axis=1, keepdims=True)
    found = np.where(known, soft, own).astype(np.float32)
    if (found < 0).any() or not np.allclose(found.sum(axis=1), 1, atol=1e-3):
        raise ValueError(
            f"The annotation {SOFT_LABELS!r} must hold probabilities: 0 or more, rows that sum to "
            "1 (or are NaN, for the image's own label)."
        )
    return found


def targets(model: Any, data: ImageDataset) -> NDArray[Any]:
    """Return what the loss of a compiled classifier takes for these images.

    Raises:
        ValueError: If there are soft labels and the loss takes integers alone.
    """
    soft = probabilities_of(data)
    if soft is None:
        return labels_for(model, data.labels, data.num_classes)
    if wants_one_hot(model.loss):
        return soft
    name = model.loss if isinstance(model.loss, str) else type(model.loss).__name__
    if data.num_classes > 2 or "sparse" in name.lower():
        raise ValueError(
            f"Soft labels are probabilities, and the loss {name!r} takes integers. Compile the "
            'classifier with loss="categorical_crossentropy".'
        )
    return soft[:, 1]
