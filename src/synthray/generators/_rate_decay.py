"""The learning rate's course over a training."""

from __future__ import annotations

import math
from typing import Any

import keras


class CosineRate(keras.callbacks.Callback):
    """Lowers the learning rate along a half cosine over the images that `fit` is asked for.

    It is set at the beginning of each epoch, from the share of the epochs that are done: a fit
    that resumes with `initial_epoch`, or from a backup, takes the rates of an uninterrupted one.

    Args:
        first: Rate of the first epoch.
        final_share: Share of it that the end of the last epoch would have.
    """

    def __init__(self, first: float, final_share: float) -> None:
        super().__init__()
        self._first = first
        self._final_share = final_share

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the rate of this epoch."""
        done = epoch / self.params["epochs"]
        wave = (1 + math.cos(math.pi * done)) / 2
        share = self._final_share + (1 - self._final_share) * wave
        self.model.optimizer.learning_rate = self._first * share


def fixed_rate(optimizer: keras.Optimizer) -> float | None:
    """Return the learning rate of an optimizer; `None` if it follows a schedule of its own."""
    config = getattr(optimizer, "inner_optimizer", optimizer).get_config()
    rate = config["learning_rate"]
    return None if isinstance(rate, dict) else float(rate)
