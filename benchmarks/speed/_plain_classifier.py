"""The peer of the classifier: the same network in plain Keras layers, in a plain `fit`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

MOMENTUM = 0.9  # as ours; the layers' own 0.99 does not learn within so few steps


def plain_classifier(shape: tuple[int, int, int], *, jit_compile: Any = "auto") -> keras.Model:
    """Return the network of the slides, compiled as most people would."""
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, strides=3, activation="relu"),
            layers.BatchNormalization(momentum=MOMENTUM),
            layers.Conv2D(16, 3, strides=3, activation="relu"),
            layers.MaxPooling2D(3),
            layers.BatchNormalization(momentum=MOMENTUM),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], jit_compile=jit_compile)
    return model


def largest_difference(
    ours: Any, plain: keras.Model, images: np.ndarray, *, tolerance: float = 1e-5
) -> float:
    """Return how far the probabilities of both are apart; both end with our weights.

    They are compared at other weights, for the statistics of new layers tell nothing.

    Raises:
        SystemExit: If that is more than `tolerance`, by default float32's rounding.
    """
    own, rng = ours.network.get_weights(), np.random.default_rng(0)
    changed = [w if w.ndim > 1 else w + rng.random(w.shape, dtype=np.float32) / 4 for w in own]
    ours.network.set_weights(changed)
    plain.set_weights(changed)
    theirs = plain.predict(images.astype(np.float32), verbose=0)
    apart = float(np.abs(ours.predict(images, verbose=0) - theirs).max())
    ours.network.set_weights(own)
    plain.set_weights(own)
    if not apart < tolerance:
        raise SystemExit(f"The probabilities differ by up to {apart}.")
    return apart
