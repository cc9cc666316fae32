"""Models whose training a seed determines, across saving and reloading."""

from __future__ import annotations

from typing import Any

import keras

from synthray.datasets._batches import ArrayBatches


class SeededModel(keras.Model):
    """A `keras.Model` whose file holds the states of its random generators.

    Keras leaves the seeds of dropout (and of anything else that draws numbers) out of its files;
    with them, a reloaded model trains on with the numbers it would have had.
    """

    def save_own_variables(self, store: Any) -> None:
        """Save the states of the random generators, which Keras leaves out of its files."""
        for i, variable in enumerate(self._seed_variables()):
            store[f"seed{i}"] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Restore what `save_own_variables` saved."""
        for i, variable in enumerate(self._seed_variables()):
            variable.assign(store[f"seed{i}"])

    def _seed_variables(self) -> list[Any]:
        own = {id(v) for v in self.weights}
        return [v for v in self.non_trainable_variables if id(v) not in own]


class OrderByStep(keras.callbacks.Callback):
    """Gives the batches of an epoch the order of the epoch that the steps done so far amount to.

    A fit that stops and goes on, in the same process or after a reload, then sees the batches that
    an uninterrupted one would have seen.
    """

    def __init__(self, batches: ArrayBatches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the order of the epoch that begins."""
        steps = int(self.model.optimizer.iterations.numpy())
        self._batches.set_epoch(-(-steps // max(len(self._batches), 1)))


def with_callback(callbacks: Any, first: keras.callbacks.Callback) -> Any:
    """Return what `fit` was given as `callbacks`, with one more."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.append(first)
        return callbacks
    given = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
    return [first, *(c for c in given if c is not None)]
