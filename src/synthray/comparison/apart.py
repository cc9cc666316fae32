"""Batches that hold images of one kind each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray.comparison.batches import FloatBatches


class BatchesOfOneKind(FloatBatches):
    """Batches of either real or drawn images, in an order drawn anew each epoch.

    What does not fill a batch is left out of an epoch, other images each time; of a kind with less
    than one batch, images come twice.

    Args:
        arrays: Arrays of equal length.
        kinds: The kind of each row, shape `(n,)`.
        batch_size: Images a batch.
        **options: As for `FloatBatches`.
    """

    def __init__(
        self, *arrays: NDArray[Any], kinds: NDArray[Any], batch_size: int, **options: Any
    ) -> None:
        self._rows = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
        super().__init__(*arrays, batch_size=batch_size, shuffle=True, **options)
        self._length = sum(max(len(rows) // batch_size, 1) for rows in self._rows)

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch."""
        if epoch == getattr(self, "_epoch", None):
            return
        rng = np.random.default_rng([self._seed, epoch])
        batches = []
        for rows in self._rows:
            count = max(math.floor(len(rows) / self.batch_size), 1)
            chosen = np.resize(rng.permutation(rows), count * self.batch_size)
            batches.append(chosen.reshape(count, self.batch_size))
        self._epoch = epoch
        self.order = rng.permutation(np.concatenate(batches)).ravel()
