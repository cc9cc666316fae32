"""Batches of arrays for Keras in an order that a seed decides, on any backend."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

LabelMode = Literal["int", "float", "one_hot"] | None


def encode_labels(labels: NDArray[np.int64], num_classes: int, mode: LabelMode) -> NDArray[Any]:
    """Encode labels as `int64 (n,)`, `float32 (n,)` (two classes) or one-hot `float32 (n, k)`."""
    if mode == "int":
        return labels
    if mode == "one_hot":
        return np.eye(num_classes, dtype=np.float32)[labels]
    if mode == "float":
        if num_classes > 2:
            raise ValueError(
                f'label_mode="float" is for two classes and one sigmoid output, but there are '
                f'{num_classes} classes. Use "int" or "one_hot".'
            )
        return labels.astype(np.float32)
    raise ValueError(f'label_mode must be "int", "float", "one_hot" or None, got {mode!r}.')


def checked_batch_size(batch_size: int | None, default: int = 32) -> int:
    """Return a batch size, by default that of Keras; raise a `ValueError` if it is below 1."""
    size = default if batch_size is None else batch_size
    if size < 1:
        raise ValueError(f"batch_size must be at least 1, got {size}.")
    return size


class ArrayBatches(keras.utils.PyDataset):
    """Batches of arrays in a seeded order that depends on the epoch alone.

    With `shuffle`, the order of epoch `e` comes from `(seed, e)`, so that a fit which stops and
    resumes at epoch `e` sees the batches that an uninterrupted one would have seen.

    Args:
        arrays: Arrays of equal length, batched together; one array gives bare batches.
        batch_size: Images a batch; the last may be smaller.
        shuffle: Use a new order each epoch.
        seed: Seed of the order.
        drop_remainder: Leave out a last, smaller batch.
        multiple: Cut a last, smaller batch to a multiple of so many images.

    Attributes:
        arrays: The arrays.
        batch_size: Images a batch.
        epoch: Number of the current epoch, from 0.
        order: Rows of the current epoch in their order, without those that are left out.
    """

    def __init__(
        self,
        *arrays: NDArray[Any],
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int = 0,
        drop_remainder: bool = False,
        multiple: int = 1,
    ) -> None:
        super().__init__()
        self.arrays = arrays
        self.batch_size = checked_batch_size(batch_size)
        self._shuffle = shuffle
        self._seed = seed
        n = len(arrays[0])
        last = n % batch_size
        self._used = n - (last if drop_remainder else last % multiple)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch (0-based)."""
        self.epoch = epoch
        n = len(self.arrays[0])
        order = np.arange(n)
        if self._shuffle:
            order = np.random.default_rng([self._seed, epoch]).permutation(n)
        self.order = order[: self._used]

    def __len__(self) -> int:
        """Return the number of batches an epoch."""
        return math.ceil(self._used / self.batch_size)

    def __getitem__(self, index: int) -> Any:
        """Return batch `index`: an array, or a tuple of arrays."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self.rows_of(index, self.order)
        batch = tuple(array[rows] for array in self.arrays)
        return batch if len(batch) > 1 else batch[0]

    def rows_of(self, index: Any, order: Any) -> Any:
        """Return the rows of batch `index` in an order; both may be tensors."""
        return order[index * self.batch_size : (index + 1) * self.batch_size]

    def on_epoch_end(self) -> None:
        """Move on to the order of the next epoch (Keras calls this)."""
        self.set_epoch(self.epoch + 1)
