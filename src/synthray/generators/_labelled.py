"""Batches of images with labels, for class-conditional models."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray._backend import is_tf_dataset

MISSING = (
    "A class-conditional model needs labels: pass an ImageDataset, fit(images, labels), or batches "
    "of (images, labels)."
)


def class_indices(labels: ArrayLike, n: int, num_classes: int) -> NDArray[np.int32]:
    """Check the labels of an array of images, and return them as integers `(n,)`.

    Raises:
        ValueError: If they do not fit.
    """
    given = np.asarray(labels)
    if given.shape == (n, num_classes) and num_classes > 1:
        given = given.argmax(axis=1)
    flat = given.reshape(-1)
    whole = flat.size and (flat == np.floor(flat)).all() if flat.dtype.kind in "iufb" else False
    if flat.shape != (n,) or not whole or flat.min() < 0 or flat.max() >= num_classes:
        seen = f", values {flat.min()} to {flat.max()}" if whole else ""
        raise ValueError(
            f"Expected {n} labels of 0 to {num_classes - 1}, or one-hot rows of length "
            f"{num_classes}, got {given.dtype} of shape {given.shape}{seen}. Make the model with "
            "num_classes equal to the number of classes."
        )
    return flat.astype(np.int32)


def with_labels_inside(batches: Any) -> Any:
    """Turn batches `(images, labels, ...)` into `({"images", "labels"}, labels, ...)`.

    Keras hands a model the first entry of a batch, and a conditional model needs both.

    Raises:
        TypeError: If the batches come in another way.
    """
    if is_tf_dataset(batches):
        return batches.map(_inside)
    if isinstance(batches, keras.utils.PyDataset):
        return _LabelledBatches(batches)
    if iter(batches) is batches:
        return (_inside(*batch) for batch in batches)
    raise TypeError(
        "A class-conditional model takes an ImageDataset, arrays, a tf.data.Dataset, a PyDataset "
        f"or a generator of (images, labels), got {type(batches).__name__}."
    )


def _inside(images: Any, *rest: Any) -> tuple[Any, ...]:
    if not rest or rest[0] is None:
        raise ValueError(MISSING)
    return {"images": images, "labels": rest[0]}, *rest


class _LabelledBatches(keras.utils.PyDataset):
    def __init__(self, batches: keras.utils.PyDataset) -> None:
        super().__init__(
            workers=batches.workers,
            use_multiprocessing=batches.use_multiprocessing,
            max_queue_size=batches.max_queue_size,
        )
        self._batches = batches

    @property
    def num_batches(self) -> Any:
        return self._batches.num_batches

    def __getitem__(self, index: int) -> Any:
        batch = self._batches[index]
        return _inside(*batch) if isinstance(batch, tuple | list) else _inside(batch)

    def on_epoch_begin(self) -> None:
        self._batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._batches.on_epoch_end()
