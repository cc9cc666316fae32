"""The layers of the experiment's classifier."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from synthray._layers import BatchNormalization, Conv2D
from synthray._seeds import spawn_seeds

# Keras' 0.99 needs several hundred steps before the moving statistics of batch normalisation are
# worth anything: of 1,000 images and 20 epochs, which is 640 steps, it spoils every prediction.
_MOMENTUM = 0.9


def classifier_network(
    num_classes: int,
    input_shape: tuple[int, ...],
    dropout: tuple[float, ...],
    dtype: Any,
    seed: int,
) -> keras.Sequential:
    """Build the layers of the experiment, from scaled pixels to probabilities."""
    *weights, drop1, drop2 = spawn_seeds(seed, 6)
    glorot = [keras.initializers.GlorotUniform(s) for s in weights]
    outputs, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    options = {"activation": "relu", "dtype": dtype}
    return keras.Sequential(
        [
            keras.Input(input_shape, name="pixels"),
            Conv2D(32, 3, 3, kernel_initializer=glorot[0], name="conv1", **options),
            BatchNormalization(momentum=_MOMENTUM, dtype=dtype, name="norm1"),
            Conv2D(16, 3, 3, kernel_initializer=glorot[1], name="conv2", **options),
            layers.MaxPooling2D(3, 3, dtype=dtype, name="pool"),
            BatchNormalization(momentum=_MOMENTUM, dtype=dtype, name="norm2"),
            layers.Dropout(dropout[0], seed=drop1, dtype=dtype, name="dropout1"),
            layers.Flatten(dtype=dtype, name="flatten"),
            layers.Dense(128, kernel_initializer=glorot[2], name="hidden", **options),
            layers.Dropout(dropout[1], seed=drop2, dtype=dtype, name="dropout2"),
            layers.Dense(
                outputs,
                activation=activation,
                kernel_initializer=glorot[3],
                dtype="float32",
                name="probability",
            ),
        ],
        name="network",
    )
