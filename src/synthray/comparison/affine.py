"""`RandomAffine`: rotation, shift and zoom in one interpolation."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from synthray._backend import runs_tensorflow_on_cpu


@keras.saving.register_keras_serializable(package="synthray")
class RandomAffine(keras.layers.Layer):
    """Rotates, shifts and zooms each image of a batch by its own random amounts.

    What a chain of `RandomRotation`, `RandomTranslation` and `RandomZoom` does, but with one
    bilinear interpolation instead of three: fine lines blur less, and it costs less, by much on
    the torch backend. Pixels that come in from outside are 0, black as around an X-ray field.

    Args:
        rotation: Largest angle in degrees, either way.
        shift: Largest shift as a share of height and of width, either way.
        zoom: Largest enlargement as a share; reduction goes as far, in ratio.
        seed: Seed of the draws.
        **kwargs: As for a Keras layer.

    Raises:
        ValueError: If an amount is negative.

    Examples:
        >>> import numpy as np
        >>> from synthray.comparison.affine import RandomAffine
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 1)).astype("float32")
        >>> tuple(RandomAffine(rotation=10, seed=0)(images, training=True).shape[1:])
        (32, 32, 1)
    """

    def __init__(
        self,
        *,
        rotation: float = 0.0,
        shift: float = 0.0,
        zoom: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min(rotation, shift, zoom) < 0:
            raise ValueError(
                f"rotation, shift and zoom must be 0 or more, got {rotation}, {shift}, {zoom}."
            )
        self.rotation, self.shift, self.zoom, self.seed = rotation, shift, zoom, seed
        self.generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, images: Any, training: bool = True) -> Any:
        """Map images `(n, h, w, c)` to changed ones; without `training`, to themselves."""
        if not training:
            return images
        n, (height, width) = ops.shape(images)[0], images.shape[1:3]
        draws = keras.random.uniform((4, n, 1, 1), -1.0, 1.0, seed=self.generator)
        angle = draws[0] * math.radians(self.rotation)
        scale = ops.exp(draws[1] * math.log1p(self.zoom))
        cos, sin = ops.cos(angle) / scale, ops.sin(angle) / scale
        down, right = draws[2] * self.shift * height, draws[3] * self.shift * width
        move = _compiled() if _of_fixed_shape(images) else _moved
        changed = move(ops.cast(images, "float32"), cos, sin, down, right)
        return ops.cast(changed, images.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        amounts = {"rotation": self.rotation, "shift": self.shift, "zoom": self.zoom}
        return {**super().get_config(), **amounts, "seed": self.seed}


def _of_fixed_shape(images: Any) -> bool:
    """Whether images are in a graph of TensorFlow that is for one size of batches.

    Each further size would have to be compiled.
    """
    if not runs_tensorflow_on_cpu():
        return False
    import tensorflow as tf

    return not tf.executing_eagerly() and images.shape.is_fully_defined()


@functools.lru_cache(maxsize=1)
def _compiled() -> Callable[..., Any]:
    """Return `_moved`, by XLA: one loop over the pixels, not forty passes over memory.

    The draws are not part of it, for XLA has other random numbers than TensorFlow.
    """
    import tensorflow as tf

    return tf.function(_moved, jit_compile=True, autograph=False)


def _moved(images: Any, cos: Any, sin: Any, down: Any, right: Any) -> Any:
    """Read images `(n, h, w, c)` where turns and moves `(n, 1, 1)` about the centre lead."""
    height, width = images.shape[1:3]
    rows = ops.reshape(ops.arange(height, dtype="float32") - (height - 1) / 2, (1, height, 1))
    cols = ops.reshape(ops.arange(width, dtype="float32") - (width - 1) / 2, (1, 1, width))
    y = cos * rows + sin * cols + down + (height - 1) / 2
    x = cos * cols - sin * rows + right + (width - 1) / 2
    return _bilinear(images, y, x)


def _bilinear(images: Any, y: Any, x: Any) -> Any:
    """Read images `(n, h, w, c)` at places `(n, h, w)`; outside there are zeros."""
    _, height, width, channels = images.shape
    flat = ops.reshape(images, (-1, height * width, channels))
    top, left = ops.floor(y), ops.floor(x)
    total = 0.0
    for row in (top, top + 1):
        for col in (left, left + 1):
            weight = (1 - ops.abs(y - row)) * (1 - ops.abs(x - col))
            inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
            place = ops.clip(row, 0, height - 1) * width + ops.clip(col, 0, width - 1)
            index = ops.reshape(ops.cast(place, "int32"), (-1, height * width, 1))
            pixels = ops.take_along_axis(flat, ops.repeat(index, channels, axis=-1), axis=1)
            weight = ops.where(inside, weight, 0.0)
            total = total + pixels * ops.reshape(weight, (-1, height * width, 1))
    return ops.reshape(total, (-1, height, width, channels))
