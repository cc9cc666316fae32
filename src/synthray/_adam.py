"""Adam in one pass over memory on TensorFlow."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def adam(learning_rate: Any, **arguments: Any) -> keras.optimizers.Optimizer:
    """Return Adam: on TensorFlow the one below, elsewhere Keras' own.

    On torch, Keras exchanges its own Adam for one that updates all variables at once, and knows no
    other class; JAX compiles the step as a whole.

    Args:
        learning_rate: A number or a schedule.
        **arguments: As of `keras.optimizers.Adam`.
    """
    kind = Adam if keras.backend.backend() == "tensorflow" else keras.optimizers.Adam
    return kind(learning_rate, **arguments)


@keras.saving.register_keras_serializable(package="synthray")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` (Kingma and Ba 2014, arXiv 1412.6980) with TensorFlow's own update.

    Keras writes the update as a dozen operations a variable, each of which reads and writes all of
    it; TensorFlow has one. The numbers are those of Keras, up to rounding.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        if keras.backend.backend() != "tensorflow" or self.amsgrad or not _is_alone(gradient):
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        dtype = variable.dtype
        step = ops.cast(self.iterations + 1, dtype)
        place = self._get_variable_index(variable)
        beta_1, beta_2 = ops.cast(self.beta_1, dtype), ops.cast(self.beta_2, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[place]),
            v=_handle(self._velocities[place]),
            beta1_power=ops.power(beta_1, step),
            beta2_power=ops.power(beta_2, step),
            lr=ops.cast(learning_rate, dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=ops.cast(self.epsilon, dtype),
            grad=ops.cast(gradient, dtype),
        )


def _is_alone(gradient: Any) -> bool:
    """Whether a gradient is dense, of a variable that has no copies on other devices."""
    import tensorflow as tf

    return not isinstance(gradient, tf.IndexedSlices) and not tf.distribute.has_strategy()


def _handle(variable: Any) -> Any:
    """Return what TensorFlow knows a variable by, be it its own or Keras'."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle
