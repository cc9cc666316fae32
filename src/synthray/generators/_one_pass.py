"""What all generators share: one forward pass, one loss of their own, one optimizer."""

from __future__ import annotations

from typing import Any, ClassVar

import keras

from synthray._adam import adam
from synthray._devices import scope_of
from synthray._seed_state import SeededModel
from synthray._variables import build_optimizer
from synthray.generators._recorded import RecordedStep, worth_recording


class OnePassModel(SeededModel):
    """Several networks that the stock `fit` trains as one, by the sum of their losses."""

    LOSS_ADVICE: ClassVar[str] = ""
    train_function: Any

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """Set the optimizer for all networks.

        Args:
            optimizer: A Keras optimizer or its name; by default that of `default_optimizer`.
            **kwargs: `jit_compile`, `steps_per_execution`, `run_eagerly`, `auto_scale_loss` as in
                Keras. `jit_compile="auto"` leaves XLA off on TensorFlow without a GPU, where it
                is slower. On torch with CUDA it records a step, once for each size of batch, and
                repeats it; `run_eagerly=True` runs the Python of each step, there as elsewhere.

        Raises:
            ValueError: If a `loss` is given, for the model has its own, or an optimizer that does
                not suit its training.
        """
        if kwargs.pop("loss", None) is not None:
            raise ValueError(
                f"{type(self).__name__} has its own losses; compile() takes no loss. "
                f"{self.LOSS_ADVICE}"
            )
        with scope_of(self):
            optimizer = keras.optimizers.get(optimizer or self.default_optimizer())
            self.check_optimizer(optimizer)
            super().compile(optimizer=optimizer, **kwargs)
            # TensorFlow traces the step twice if the first step makes variables.
            build_optimizer(self)

    def make_train_function(self, force: bool = False) -> Any:
        """Make what `fit` calls at each step, as Keras does; on torch with CUDA, record it."""
        super().make_train_function(force)
        if not isinstance(self.train_function, RecordedStep) and worth_recording(self):
            self.train_function = RecordedStep(self, self.train_function)
        return self.train_function

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train; the stock Keras `fit`."""
        try:
            return super().fit(*args, **kwargs)
        finally:
            if isinstance(self.train_function, RecordedStep):
                self.train_function.release()

    def check_optimizer(self, optimizer: keras.Optimizer) -> None:
        """Raise where an optimizer does not suit the training."""

    def default_optimizer(self) -> keras.Optimizer:
        """Return the optimizer that `compile()` takes when it is given none."""
        return adam(1e-4)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a reloaded model as it was, optimizer variables included."""
        keep = ("optimizer", "steps_per_execution", "jit_compile", "run_eagerly")
        super().compile_from_config({k: config[k] for k in keep if config.get(k) is not None})
