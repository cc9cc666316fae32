"""The phases of an arm as one stream of batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray.datasets._batches import ArrayBatches
from synthray.datasets._streams import Kept, constants

Images = NDArray[np.float32]
Augment = Callable[[Images, int, int], Images]


class FloatBatches(ArrayBatches):
    """Batches whose images are float32, 0 to 255: what classifiers of a comparison see.

    Args:
        *arrays: Images, labels, and weights where there are any.
        kept: Where to keep the images for TensorFlow, which others read too.
        **options: As for `ArrayBatches`.
    """

    def __init__(self, *arrays: NDArray[Any], kept: Kept | None = None, **options: Any) -> None:
        super().__init__(*arrays, **options)
        self._kept = Kept() if kept is None else kept

    def tensors(self) -> list[Any]:
        """Return the arrays as tensors of TensorFlow."""
        images, *rest = self.arrays
        return [self._kept.tensor(images), *constants(tuple(rest))]

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch, unless it is the one already."""
        if epoch != getattr(self, "_epoch", None):
            super().set_epoch(epoch)

    def rows(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Return the rows of a batch of an epoch."""
        self.set_epoch(epoch)
        rows: NDArray[np.int64] = self.rows_of(index, self.order)
        return rows

    def __getitem__(self, index: int) -> Any:
        """Return batch `index`: images, labels, and weights where there are any."""
        images, *rest = super().__getitem__(index)
        return images.astype(np.float32), *rest


@dataclass(frozen=True)
class PhaseStream:
    """The batches of one phase.

    Attributes:
        batches: The data of the phase.
        steps: How many batches to take; passes over the data follow each other.
        first_pass: Number of the first pass, which its order depends on.
        augment: Applied to images, the run's seed and the step; or `None`.
        seed: The run's seed.
    """

    batches: FloatBatches
    steps: int
    first_pass: int
    augment: Augment | None
    seed: int

    @property
    def next_pass(self) -> int:
        """Number of the pass after the last of this phase."""
        return self.first_pass - (-self.steps // len(self.batches))

    def batch(self, step: int) -> Any:
        """Return the batch of a step, counted from the start of the phase."""
        passed, index = divmod(step, len(self.batches))
        self.batches.set_epoch(self.first_pass + passed)
        images, *rest = self.batches[index]
        return self.augmented(images, self.draw(step)), *rest

    def augmented(self, images: Images, draw: int) -> Images:
        """Return images changed by the draw of this number, where the phase augments."""
        return images if self.augment is None else self.augment(images, self.seed, int(draw))

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the rows of the batch of a step."""
        passed, index = divmod(step, len(self.batches))
        return self.batches.rows(self.first_pass + passed, index)

    def draw(self, step: int) -> int:
        """Return the number that the augmentation of a step draws by."""
        return self.first_pass * len(self.batches) + step


class ArmBatches(keras.utils.PyDataset):
    """The phases of an arm, one after the other, in epochs of `epoch_steps` batches.

    Args:
        phases: The phases in order.
        epoch_steps: Batches an epoch, whatever the size of the data.
        num_batches: Batches of this epoch, where it is a shorter last one.
    """

    def __init__(
        self, phases: list[PhaseStream], epoch_steps: int, num_batches: int | None = None
    ) -> None:
        super().__init__()
        self.phases = phases
        self._epoch_steps = epoch_steps
        self._num_batches = num_batches or epoch_steps
        self.epoch = 0

    @property
    def num_batches(self) -> int:
        """Batches an epoch."""
        return self._num_batches

    def __getitem__(self, index: int) -> Any:
        """Return batch `index` of this epoch."""
        number, step = self.place(index)
        return self.phases[number].batch(step)

    def place(self, index: int) -> tuple[int, int]:
        """Return the number of the phase that has a batch of this epoch, and its step there."""
        step = self.epoch * self._epoch_steps + index
        for number, phase in enumerate(self.phases):
            if step < phase.steps:
                return number, step
            step -= phase.steps
        raise IndexError(index)
