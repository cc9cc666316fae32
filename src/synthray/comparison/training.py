"""One fit: the phases of an arm through the stock `fit`, and the bar that shows it."""

from __future__ import annotations

from typing import Any

import keras

from synthray._devices import divides_batches
from synthray._variables import steps_taken
from synthray.comparison.batches import ArmBatches, FloatBatches, PhaseStream
from synthray.comparison.streams import arm_stream, float_stream
from synthray.generators.gan import GAN


class _SetEpoch(keras.callbacks.Callback):
    """Tells batches their epoch; Keras tells a `PyDataset` of epochs' ends only, some twice."""

    def __init__(self, batches: ArmBatches, first_epoch: int) -> None:
        super().__init__()
        self._batches = batches
        self._first_epoch = first_epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches.epoch = epoch - self._first_epoch


def fit_phases(
    model: Any,
    phases: list[PhaseStream],
    *,
    epoch_steps: int,
    callbacks: list[Any],
    validation: FloatBatches | None = None,
    first_epoch: int = 0,
    **fit_arguments: Any,
) -> tuple[dict[str, list[float]], int]:
    """Train a model through phases; return its history, and how many steps it took.

    The history has a value every `epoch_steps` steps. Steps that are left over at the end make a
    last, shorter epoch. `first_epoch` is the number of epochs that the model has been through.
    Steps are fewer than those of the phases where a callback stops the training.
    """
    full, rest = divmod(sum(phase.steps for phase in phases), epoch_steps)
    parts = [(0, full, epoch_steps), (full, full + 1, rest)]
    history: dict[str, list[float]] = {}
    taken = 0
    lasting = not divides_batches(model)
    judged = float_stream(validation, lasting=lasting)
    for first, last, steps in parts:
        if steps == 0 or first == last:
            continue
        batches = ArmBatches(phases, epoch_steps, steps)
        batches.epoch = first
        before = steps_taken(model)
        fitted = model.fit(
            arm_stream(batches, lasting=lasting),
            initial_epoch=first_epoch + first,
            epochs=first_epoch + last,
            shuffle=False,
            callbacks=[_SetEpoch(batches, first_epoch), *callbacks],
            validation_data=judged,
            **fit_arguments,
        )
        for name, values in fitted.history.items():
            history.setdefault(name, []).extend(float(value) for value in values)
        if model.stop_training:
            return history, taken + steps_taken(model) - before
        taken += (last - first) * steps
    return history, taken


class StepProgress(keras.callbacks.Callback):
    """Moves one bar over all fits of a comparison, of classifiers and of generators.

    Args:
        bar: A `keras.utils.Progbar` whose target is the number of all steps, or what is like it.
        generator_units: What a step of a generator counts.
    """

    def __init__(self, bar: Any, generator_units: int = 1) -> None:
        super().__init__()
        self._bar = bar
        self._generator_units = generator_units
        self._before = 0
        self._now = 0
        self._shown = 0

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
        return each * steps_taken(self.model)

    def add(self, steps: int, generator_steps: int = 0) -> None:
        """Show steps that were taken elsewhere."""
        self._before += steps + self._generator_units * generator_steps
        self._show(self._before)

    def meanwhile(self, steps: int) -> None:
        """Show what was taken so far of steps that will be added; each percent once."""
        done = min(self._before + steps, self._bar.target - 1)
        if 100 * done // self._bar.target > 100 * self._shown // self._bar.target:
            self._show(done)

    def _show(self, done: int) -> None:
        # A source that is a function may have more images than was planned with, and a job that
        # has ended counts before what was taken of the others is added.
        self._shown = max(self._shown, min(done, self._bar.target))
        self._bar.update(self._shown, finalize=self._shown == self._bar.target)
