"""`TrainingGuard`: notices a GAN that breaks down, and restores its last good state."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._keras.backend import assign, build_optimizer, steps_taken, values_of
from synthray.exceptions import DivergenceError, DivergenceWarning

_ADVICE = (
    "Lower the learning rate (gan.compile(keras.optimizers.Adam(rate, beta_1=0.0, beta_2=0.99))), "
    "raise gamma of an R3GAN, take a larger batch, leave out mixed_float16, and check the images."
)


class TrainingGuard(keras.callbacks.Callback):
    """Rolls a GAN back when its numbers stop being finite or its images become all alike.

    Every `fit` of a generator of the library has one, unless it is given another or `guard=False`.
    A state is good if all metrics, weights and variables of the optimizer are finite at the end of
    an epoch and, if the model reports `diversity` (as `R3GAN` and `ProjectedGAN` do), it is not
    below `min_diversity`. The last good state of weights, optimizer and counters is kept in memory.
    After a breakdown the training goes on from it with other random numbers, and a
    `DivergenceWarning` says so; nothing else is changed. `fit` raises a `DivergenceError` after too
    many breakdowns, if none of its epochs ended in a good state, and at once if the state that it
    begins with is not finite.

    Args:
        max_rollbacks: Breakdowns of one `fit` that are rolled back; the next one ends it.
        min_diversity: Spread of generated images as a share of the spread of real ones, below which
            the generator has collapsed.
        every: Steps between looks at the metrics within an epoch.

    Attributes:
        rollbacks: Breakdowns of this `fit` so far.

    Raises:
        ValueError: If a number is out of its range.

    Examples:
        >>> import numpy as np
        >>> import synthray as sr
        >>> gan = sr.DCGAN((16, 16, 1), width=0.125)
        >>> guard = sr.TrainingGuard(max_rollbacks=1)
        >>> _ = gan.fit(np.zeros((4, 16, 16, 1), "uint8"), verbose=0, callbacks=[guard])
        >>> guard.rollbacks
        0
    """

    def __init__(
        self, *, max_rollbacks: int = 3, min_diversity: float = 0.02, every: int = 20
    ) -> None:
        super().__init__()
        if max_rollbacks < 0 or every < 1 or not 0 <= min_diversity < 1:
            raise ValueError(
                "Expected max_rollbacks >= 0, every >= 1 and min_diversity from 0 to below 1, got "
                f"{max_rollbacks}, {every} and {min_diversity}."
            )
        self._max_rollbacks, self._min_diversity, self._every = max_rollbacks, min_diversity, every
        self.on_train_begin()

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget other trainings."""
        self.rollbacks = 0
        self._trained = False
        self._good: list[NDArray[Any]] = []
        self._good_steps = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keep the state that training begins with.

        Raises:
            DivergenceError: If it is not finite.
        """
        if self._good:
            return
        # Not in on_train_begin, where other callbacks restore a backup. Some backends make the
        # optimizer's variables at the first step only.
        build_optimizer(self.model)
        if not self._keep():
            raise DivergenceError(
                "Weights or variables of the optimizer are not finite before this training begins. "
                "Make a new model, or load one that was saved before it broke down."
            )

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look at the metrics now and then."""
        if (batch + 1) % self._every == 0 and not _all_finite(logs):
            self._roll_back("The losses are not finite")
            self.model.reset_metrics()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look at metrics and weights; keep the state if it is good."""
        diversity = float((logs or {}).get("diversity", 1.0))
        if not _all_finite(logs):
            self._roll_back("The losses are not finite")
        elif diversity < self._min_diversity:
            self._roll_back(
                f"The generator has collapsed: its images vary {diversity:.1%} as much as the "
                "real ones"
            )
        elif self._keep():
            self._trained = True
        else:
            self._roll_back("Weights are not finite")

    def on_train_end(self, logs: Any = None) -> None:
        """Raise a `DivergenceError` if the training ends where it began."""
        if self.rollbacks and not self._trained:
            raise DivergenceError(
                f"No epoch of this training ended well: the model is as it was before. {_ADVICE}"
            )

    def _keep(self) -> bool:
        """Keep the state, and return whether it is finite."""
        values = values_of(self._variables())
        if not all(np.isfinite(value).all() for value in values):
            return False
        self._good, self._good_steps = values, steps_taken(self.model)
        return True

    def _roll_back(self, what: str) -> None:
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()  # within an epoch JAX keeps the state elsewhere
        what += f", after {steps_taken(self.model):,} steps"
        assign(self._variables(), self._good)
        self.rollbacks += 1
        state = f"the state after {self._good_steps:,} steps"
        if self.rollbacks > self._max_rollbacks:
            raise DivergenceError(
                f"{what}; breakdown {self.rollbacks} of this training, which therefore ends. The "
                f"model holds {state}. {_ADVICE}"
            )
        warnings.warn(
            f"{what}. Back to {state}, with other random numbers (rollback {self.rollbacks} of at "
            f"most {self._max_rollbacks}).",
            DivergenceWarning,
            stacklevel=2,
        )

    def _variables(self) -> list[Any]:
        # Not the seeds: with the same numbers the same breakdown would follow.
        return [*self.model.weights, *self.model.optimizer.variables]


def _all_finite(logs: Mapping[str, Any] | None) -> bool:
    return all(np.isfinite(float(value)) for value in (logs or {}).values())
