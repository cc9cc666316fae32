"""`UserFormat`: a user's scale, type, channels and label encoding, learnt from a first batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from synthray._value_range import ValueRange, from_unit, infer_value_range
from synthray.datasets._pixels import with_channels
from synthray.datasets.image_dataset import ImageDataset

Arrays = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class UserFormat:
    """How a user holds images and labels.

    Attributes:
        image_dtype: Type of the images.
        image_shape: Shape of one image, `(h, w)` or `(h, w, c)`.
        value_range: Values of black and white.
        label_dtype: Type of the labels.
        label_shape: Shape of one label: `()`, `(1,)` or one-hot `(k,)`.
        labels: The labels that were seen, unless they are one-hot.
    """

    image_dtype: Any
    image_shape: tuple[int, ...]
    value_range: ValueRange
    label_dtype: Any
    label_shape: tuple[int, ...]
    labels: tuple[Any, ...] = ()

    @classmethod
    def learn(
        cls, images: NDArray[Any], labels: NDArray[Any], value_range: ValueRange | None
    ) -> Self:
        """Learn the format from a batch.

        Raises:
            ValueError: If images or labels have a form that cannot be matched.
        """
        if images.ndim not in (3, 4):
            raise ValueError(
                "Expected batches of images of shape (n, h, w) or (n, h, w, c), got "
                f"{images.shape}."
            )
        if labels.ndim > 2 or len(labels) != len(images):
            raise ValueError(
                f"Expected one label an image, of shape ({len(images)},), ({len(images)}, 1) or "
                f"one-hot ({len(images)}, k), got {labels.shape}."
            )
        return cls(
            images.dtype,
            images.shape[1:],
            value_range or infer_value_range(images),
            labels.dtype,
            labels.shape[1:],
            () if _one_hot(labels.shape[1:]) else tuple(map(_text, np.unique(labels).tolist())),
        )

    def write(self, drawn: ImageDataset, classes: list[Any]) -> Arrays:
        """Return drawn images and labels in this format.

        Raises:
            ValueError: If sizes or classes differ.
        """
        height, width = self.image_shape[:2]
        if drawn.image_shape[:2] != (height, width):
            raise ValueError(
                f"The generators draw images of {drawn.image_shape[0]}x{drawn.image_shape[1]}, but "
                f"this data set has {height}x{width}. Fit the augmenter on images of that size, or "
                "augment before resizing."
            )
        channels = self.image_shape[2] if len(self.image_shape) == 3 else 1
        pixels = with_channels(drawn.images, channels)
        images = pixels
        if not (self.image_dtype == np.uint8 and self.value_range == (0.0, 255.0)):
            unit = pixels.astype(np.float32) / np.float32(255)
            images = from_unit(unit, self.value_range, self.image_dtype)
        images = images.reshape(len(drawn), *self.image_shape)
        if _one_hot(self.label_shape):
            if self.label_shape[0] != drawn.num_classes:
                raise ValueError(
                    f"Labels are one-hot rows of {self.label_shape[0]}, but the augmenter learnt "
                    f"{drawn.num_classes} classes: {list(drawn.class_names)}."
                )
            labels: NDArray[Any] = np.eye(drawn.num_classes)[drawn.labels]
        else:
            known = self._known(drawn, classes)
            labels = np.asarray(known)[drawn.labels].reshape(len(drawn), *self.label_shape)
        kind = np.dtype(self.label_dtype).kind
        if kind == "S" and labels.dtype.kind == "U":
            labels = np.char.encode(labels, "utf-8")
        # Not to the length of the names that were seen: it would cut longer ones.
        return images, labels.astype(kind if kind in "SU" else self.label_dtype)

    def _known(self, drawn: ImageDataset, classes: list[Any]) -> list[Any]:
        """Return what stands for each class: values that were fitted, or names of classes."""
        for known in (classes, list(drawn.class_names)):
            if set(self.labels) <= set(map(_text, known)):
                return known
        raise ValueError(
            f"The augmenter was fitted with labels {classes} of the classes "
            f"{list(drawn.class_names)}, but this data set has labels such as "
            f"{list(self.labels)[:6]} of type {self.label_dtype}. Fit it with the same labels."
        )


def _text(label: Any) -> Any:
    return label.decode() if isinstance(label, bytes) else label  # a string as TensorFlow has it


def _one_hot(label_shape: tuple[int, ...]) -> bool:
    return bool(label_shape) and label_shape[0] > 1


def as_pair(batch: Any) -> tuple[Any, Any]:
    """Return `(images, labels)` of a batch.

    Raises:
        ValueError: If the batch is anything else.
    """
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    what = f"a tuple of {len(batch)}" if isinstance(batch, tuple | list) else type(batch).__name__
    raise ValueError(
        f"Expected batches of (images, labels), got {what}. Add sample weights or further inputs "
        "after augmenting."
    )
