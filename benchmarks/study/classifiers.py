"""The classifiers of the study: the slides', and one that a practitioner would train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

import synthray as sr

FILTERS = (24, 32, 64, 96)


def residual(*, num_classes: int, image_shape: tuple[int, int, int], seed: int) -> keras.Model:
    """Return a residual network of about 180,000 parameters (He et al. 2015, arXiv 1512.03385)."""
    seeds = iter(range(1000 * seed, 1000 * (seed + 1)))

    def convolution(x: Any, filters: int, kernel: int, stride: int = 1) -> Any:
        initializer = keras.initializers.HeNormal(next(seeds))
        x = layers.Conv2D(
            filters, kernel, stride, "same", use_bias=False, kernel_initializer=initializer
        )(x)
        return layers.BatchNormalization(momentum=0.9)(x)

    inputs = keras.Input(image_shape)
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.ReLU()(convolution(x, FILTERS[0], 5, 2))
    for filters in FILTERS[1:]:
        inner = layers.ReLU()(convolution(x, filters, 3, 2))
        inner = convolution(inner, filters, 3)
        x = layers.ReLU()(inner + convolution(x, filters, 1, 2))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.3, seed=next(seeds))(x)
    outputs, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    initializer = keras.initializers.GlorotUniform(next(seeds))
    x = layers.Dense(outputs, activation=activation, kernel_initializer=initializer)(x)
    return keras.Model(inputs, x)


CLASSIFIERS: dict[str, Callable[..., Any]] = {
    "deck": sr.FractureClassifier,
    "residual": residual,
}
PASSES = {"deck": 40, "residual": 20}
"""Over the training images, which all arms' steps amount to."""
FEWEST_STEPS = 1_000
