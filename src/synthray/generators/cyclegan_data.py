"""What `CycleGAN` takes: images of two classes, in steps of one batch of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._keras.backend import as_array
from synthray._keras.batches import checked_batch_size
from synthray.datasets.columns import class_values
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.pixels import ValueRange
from synthray.generators.inputs import check_image_shape

TwoClasses = tuple[list[NDArray[np.uint8]], tuple[str, ...] | None]
"""Images of each class, `uint8 (n, *image_shape)`, and the class names, if the data has any."""


def two_classes(
    x: Any, y: Any, image_shape: tuple[int, ...], value_range: ValueRange | None
) -> TwoClasses:
    """Turn what `fit` is given into images of two classes.

    Raises:
        TypeError: If it is nothing that holds images.
        ValueError: If there are not two classes, one is empty, or shapes or values do not fit.
    """
    names: tuple[str, ...] | None = None
    if isinstance(x, tuple | list) and len(x) == 2 and y is None:
        y = np.repeat([0, 1], [len(part) for part in x])
        # One range for both: dark images alone may look like another.
        x = np.concatenate([as_array(part) for part in x])
    if isinstance(x, ImageDataset):
        check_image_shape(x.images.shape, image_shape)
        data, names = x, x.class_names
    elif y is None or not hasattr(x, "__array__"):
        raise TypeError(
            "Expected an ImageDataset of two classes, arrays of images and labels, "
            "fit(images, labels), or the images of each class, fit((first, second)), got "
            f"{type(x).__name__} and {type(y).__name__}."
        )
    else:
        x = as_array(x)
        check_image_shape(x.shape, image_shape)
        values, codes = class_values(y)
        texts = [str(value) for value in values]
        data = ImageDataset.from_arrays(x, codes, class_names=texts, value_range=value_range)
        names = None if values == [0, 1] else data.class_names
    if data.num_classes != 2 or not all(data.class_counts.values()):
        raise ValueError(f"Expected images of two classes, got {data.class_counts}. Choose two.")
    return [data.images[data.labels == label] for label in (0, 1)], names


class PairedBatches(keras.utils.PyDataset):
    """Batches of both classes, each in its own seeded order, one pair a training step.

    The images of a class follow each other in one long row of permutations; step `s` takes the
    places `s * batch_size` and on. So every batch is full, the smaller class comes round more
    often, and what a step sees depends on the seed and its number alone.

    Args:
        images: One array a class.
        batch_size: Images of each class a step.
        shuffle: Take a new order each time a class comes round.
        seed: Seed of the order.
    """

    def __init__(
        self, images: Sequence[NDArray[np.uint8]], *, batch_size: int, shuffle: bool, seed: int
    ) -> None:
        super().__init__()
        self._images = images
        self._batch_size = checked_batch_size(batch_size)
        self._shuffle = shuffle
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        """Return the number of steps an epoch: as many as the larger class needs."""
        return -(-max(len(part) for part in self._images) // self._batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Take the steps of this epoch (0-based)."""
        self._epoch = epoch

    def __getitem__(self, index: int) -> Any:
        """Return `((images of class 0, images of class 1),)`: inputs without targets."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        step = self._epoch * len(self) + index
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
