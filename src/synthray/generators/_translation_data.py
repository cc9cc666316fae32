"""What `CycleGAN` takes and gives: images of two classes, in steps of one batch of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray._value_range import ValueRange, infer_value_range, to_unit
from synthray._variables import steps_taken
from synthray.datasets._pixels import to_uint8
from synthray.datasets.image_dataset import ImageDataset
from synthray.generators._inputs import check_image_shape


@dataclass(frozen=True)
class TwoClasses:
    """Images of two classes.

    Attributes:
        images: One `uint8` array `(n, *image_shape)` a class.
        class_names: Their names; `None` where the data has none.
    """

    images: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    class_names: tuple[str, str] | None


def two_classes(
    x: Any, y: Any, image_shape: tuple[int, ...], value_range: ValueRange | None
) -> TwoClasses:
    """Turn what `fit` is given into images of two classes.

    Raises:
        TypeError: If it is nothing that holds images.
        ValueError: If there are not two classes, one is empty, or shapes or values do not fit.
    """
    if isinstance(x, ImageDataset):
        if y is not None:
            raise ValueError("An ImageDataset holds its labels; leave y out.")
        return _checked(x.images, x.labels, x.class_names, image_shape)
    if isinstance(x, tuple | list) and len(x) == 2 and y is None:
        parts = [np.asarray(part) for part in x]
        floats = [part for part in parts if part.dtype.kind == "f" and part.size]
        if value_range is None and floats:
            # One range for both: a class of dark images alone may look like another scale.
            ranges = [infer_value_range(part) for part in floats]
            value_range = min(low for low, _ in ranges), max(high for _, high in ranges)
        images = [to_pixels(part, image_shape, value_range) for part in parts]
        labels = np.repeat([0, 1], [len(part) for part in images])
        return _checked(np.concatenate(images), labels, None, image_shape)
    if not hasattr(x, "__array__"):
        raise TypeError(
            "Expected an ImageDataset of two classes, arrays of images and labels, fit(x, y), or "
            f"a pair of arrays, fit((images_a, images_b)), got {type(x).__name__}."
        )
    if y is None:
        raise ValueError(
            "Labels are missing: pass fit(images, labels) with labels 0 and 1, "
            "fit((images_a, images_b)), or an ImageDataset."
        )
    pixels = to_pixels(x, image_shape, value_range)
    labelled = ImageDataset.from_arrays(pixels, np.asarray(y))
    return _checked(labelled.images, labelled.labels, None, image_shape)


def to_pixels(
    images: ArrayLike, image_shape: tuple[int, ...], value_range: ValueRange | None
) -> NDArray[np.uint8]:
    """Turn images in a user's scale into `uint8 (n, *image_shape)`."""
    array = np.asarray(images)
    check_image_shape(array.shape, image_shape)
    if array.dtype != np.uint8 and array.size:
        given = value_range if array.dtype.kind == "f" else None  # integers are 0 to 255
        found = given or infer_value_range(array)
        array = to_uint8(to_unit(array, found) * np.float32(255))
    return array.astype(np.uint8, copy=False).reshape(len(array), *image_shape)


class PairedBatches(keras.utils.PyDataset):
    """Batches of both classes, each in its own seeded order, one pair a training step.

    The images of a class follow each other in one long row of permutations; step `s` takes the
    places `s * batch_size` and on. So every batch is full, the smaller class comes round more
    often, and what a step sees depends on the seed and its number alone.

    Args:
        images: One array a class.
        batch_size: Images of each class a step.
        shuffle: Draw a new order each time a class comes round.
        seed: Seed of the order.
    """

    def __init__(
        self,
        images: Sequence[NDArray[np.uint8]],
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        self._images = tuple(images)
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._seed = seed
        self._length = -(-max(len(part) for part in images) // batch_size)
        self._first_step = 0

    @property
    def num_batches(self) -> int:
        """Steps an epoch: as many as the larger class needs."""
        return self._length

    def __len__(self) -> int:
        """Return the number of steps an epoch."""
        return self._length

    def set_first_step(self, step: int) -> None:
        """Let the epoch begin at this step of the training."""
        self._first_step = step

    def __getitem__(self, index: int) -> Any:
        """Return `((images of class 0, images of class 1),)`: inputs without targets."""
        if not 0 <= index < self._length:
            raise IndexError(index)
        step = self._first_step + index
        return (tuple(part[self._rows(k, step)] for k, part in enumerate(self._images)),)

    def _rows(self, class_index: int, step: int) -> NDArray[np.int64]:
        n = len(self._images[class_index])
        rounds, places = np.divmod(np.arange(self._batch_size) + step * self._batch_size, n)
        if not self._shuffle:
            return places
        orders = {
            r: np.random.default_rng([self._seed, class_index, r]).permutation(n)
            for r in np.unique(rounds).tolist()
        }
        return np.array([orders[r][p] for r, p in zip(rounds.tolist(), places, strict=True)])


class StepOrder(keras.callbacks.Callback):
    """Lets each epoch begin at the training step that the optimizer has reached."""

    def __init__(self, batches: PairedBatches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the first step of the epoch that begins."""
        self._batches.set_first_step(steps_taken(self.model))


def _checked(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    class_names: tuple[str, ...] | None,
    image_shape: tuple[int, ...],
) -> TwoClasses:
    check_image_shape(images.shape, image_shape)
    names = class_names or ("0", "1")
    if len(names) != 2 or labels.max(initial=0) > 1:
        found = len(names) if len(names) != 2 else int(labels.max()) + 1
        raise ValueError(
            f"Expected images of two classes, got {found}. For two of them, pass a pair of arrays: "
            "parts = data.by_class(); fit((parts['a'].images, parts['b'].images))."
        )
    parts = images[labels == 0], images[labels == 1]
    empty = [name for name, part in zip(names, parts, strict=True) if len(part) == 0]
    if empty:
        raise ValueError(f"Expected images of both classes, got none of {empty[0]!r}.")
    return TwoClasses(parts, None if class_names is None else (names[0], names[1]))
