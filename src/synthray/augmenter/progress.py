"""What a long training will cost, said once it has been timed on its first steps."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import keras

_log = logging.getLogger("synthray")
_WARM_UP, _TIMED = 3, 8  # the first steps compile
_WORTH_SAYING = 60.0


class CostEstimate(keras.callbacks.Callback):
    """Times a few steps, then says how long all steps of all generators will take.

    Args:
        steps: Steps that are left, of all generators together.
        what: What is trained, for the message.
        verbose: 0 to write to the logger `synthray` only.
    """

    def __init__(self, steps: int, what: str, *, verbose: Any) -> None:
        super().__init__()
        self._steps = steps
        self._what = what
        self._verbose = verbose
        self._done = 0
        self._started = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count; say the estimate when enough steps are timed."""
        self._done += 1
        if self._done == _WARM_UP:
            self._started = time.perf_counter()
        if self._done == _WARM_UP + _TIMED:
            each = (time.perf_counter() - self._started) / _TIMED
            self._say(each * (self._steps - self._done))

    def _say(self, seconds: float) -> None:
        if seconds < _WORTH_SAYING:
            return
        text = f"{self._what}: about {describe(seconds)} to go, by the first {_TIMED} timed steps."
        _log.info(text)
        if self._verbose:
            sys.stdout.write(f"\n{text}\n")


def describe(seconds: float) -> str:
    """Return a duration in words that suit its size."""
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
