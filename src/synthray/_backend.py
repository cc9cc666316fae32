"""What differs between Keras backends, in one place."""

from __future__ import annotations

from typing import Any

import keras


def resolve_jit_compile(requested: bool | str) -> bool | str:
    """Turn `"auto"` into `False` for TensorFlow without a GPU.

    XLA convolutions on a CPU run at about a third of the speed of TensorFlow's own (oneDNN);
    Keras' `"auto"` would choose them. Everything else is passed through.
    """
    if requested == "auto" and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):
            return False
    return requested


def is_tf_dataset(value: Any) -> bool:
    """Whether a value is a `tf.data.Dataset`, without importing TensorFlow."""
    return any(
        cls.__name__ == "DatasetV2" and cls.__module__.startswith("tensorflow.")
        for cls in type(value).__mro__
    )
