"""One fit: the phases of an arm as one stream of batches through the stock `fit`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from synthray.datasets._batches import ArrayBatches
from synthray.generators.gan import GAN

Images = NDArray[np.float32]
Augment = Callable[[Images, int, int], Images]


class FloatBatches(ArrayBatches):
    """Batches whose images are float32, 0 to 255: what classifiers of a comparison see."""

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch, unless it is the one already."""
        if epoch != getattr(self, "_epoch", None):
            super().set_epoch(epoch)

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
        if self.augment is not None:
            pass_and_index = self.first_pass * len(self.batches) + step
            images = self.augment(images, self.seed, pass_and_index)
        return images, *rest


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
        self._phases = phases
        self._epoch_steps = epoch_steps
        self._num_batches = num_batches or epoch_steps
        self.epoch = 0

    @property
    def num_batches(self) -> int:
        """Batches an epoch."""
        return self._num_batches

    def __getitem__(self, index: int) -> Any:
        """Return batch `index` of this epoch."""
        step = self.epoch * self._epoch_steps + index
        for phase in self._phases:
            if step < phase.steps:
                return phase.batch(step)
            step -= phase.steps
        raise IndexError(index)


class _SetEpoch(keras.callbacks.Callback):
    """Tells batches their epoch; Keras tells a `PyDataset` of epochs' ends only, some twice."""

    def __init__(self, batches: ArmBatches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches.epoch = epoch


def fit_phases(
    model: Any,
    phases: list[PhaseStream],
    *,
    epoch_steps: int,
    callbacks: list[Any],
    **fit_arguments: Any,
) -> dict[str, list[float]]:
    """Train a model through all phases; its history has a value every `epoch_steps` steps.

    Steps that are left over at the end make a last, shorter epoch.
    """
    full, rest = divmod(sum(phase.steps for phase in phases), epoch_steps)
    parts = [(0, full, epoch_steps), (full, full + 1, rest)]
    history: dict[str, list[float]] = {}
    for first, last, steps in parts:
        if steps == 0 or first == last:
            continue
        batches = ArmBatches(phases, epoch_steps, steps)
        batches.epoch = first
        fitted = model.fit(
            batches,
            initial_epoch=first,
            epochs=last,
            shuffle=False,
            callbacks=[_SetEpoch(batches), *callbacks],
            **fit_arguments,
        )
        for name, values in fitted.history.items():
            history.setdefault(name, []).extend(float(value) for value in values)
    return history


class StepProgress(keras.callbacks.Callback):
    """Moves one bar over all fits of a comparison, of classifiers and of generators.

    Args:
        bar: A `keras.utils.Progbar` whose target is the number of all steps.
        generator_units: What a step of a generator counts.
    """

    def __init__(self, bar: Any, generator_units: int = 1) -> None:
        super().__init__()
        self._bar = bar
        self._generator_units = generator_units
        self._before = 0
        self._now = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Note where this fit begins."""
        self._start = self._steps()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Show."""
        self._now = self._steps() - self._start
        self._show(self._before + self._now)

    def on_train_end(self, logs: Any = None) -> None:
        """Add up."""
        self._before += self._now

    def _steps(self) -> int:
        each = self._generator_units if isinstance(self.model, GAN) else 1
        return each * _iterations(self.model)

    def add(self, steps: int, generator_steps: int = 0) -> None:
        """Show steps that were taken elsewhere."""
        self._before += steps + self._generator_units * generator_steps
        self._show(self._before)

    def _show(self, done: int) -> None:
        # A source that is a function may have more images than was planned with.
        done = min(done, self._bar.target)
        self._bar.update(done, finalize=done == self._bar.target)


def _iterations(model: Any) -> int:
    return int(ops.convert_to_numpy(model.optimizer.iterations.value))
