"""Classic augmentation: small random changes that leave a radiograph's diagnosis alone."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from synthray._seeds import resolve_seed, spawn_seeds


def classic_augmentation(
    *,
    rotation: float = 10.0,
    shift: float = 0.05,
    zoom: float = 0.1,
    contrast: float = 0.2,
    flip: bool = False,
    seed: int | None = None,
) -> keras.Sequential:
    """Return Keras layers that change radiographs as positioning and exposure do.

    A [`RandomAffine`][synthray.RandomAffine] and Keras' own `RandomContrast`. A flip turns a left
    hand into a right one, so it is off by default.

    Args:
        rotation: Largest angle, in degrees, either way.
        shift: Largest shift, as a share of height and width, either way.
        zoom: Largest enlargement, as a share; reduction goes as far, in ratio.
        contrast: Largest change of contrast about the mean, as a share, either way.
        flip: Whether to mirror left and right, for half of the images.
        seed: Seed of the random changes; `None` draws one.

    Returns:
        A model from float images of 0 to 255, `(n, h, w, c)`, to the same; random if called with
        `training=True`.

    Examples:
        >>> import numpy as np
        >>> import synthray as sr
        >>> layers = sr.classic_augmentation(flip=True, seed=0)
        >>> tuple(layers(np.full((2, 32, 32, 1), 128.0, "float32"), training=True).shape[1:])
        (32, 32, 1)
    """
    seeds = spawn_seeds(resolve_seed(seed), 3)
    steps: list[Any] = [
        RandomAffine(rotation=rotation, shift=shift, zoom=zoom, seed=seeds[0], dtype="float32"),
        layers.RandomContrast(contrast, value_range=(0, 255), seed=seeds[1], dtype="float32"),
    ]
    if flip:
        steps.append(layers.RandomFlip("horizontal", seed=seeds[2], dtype="float32"))
    return keras.Sequential(steps, name="classic_augmentation")


@keras.saving.register_keras_serializable(package="synthray")
class RandomAffine(keras.layers.Layer):
    """Rotates, shifts and zooms each image of a batch by its own random amounts.

    It does what a chain of `RandomRotation`, `RandomTranslation` and `RandomZoom` does, with one
    bilinear interpolation instead of three: fine lines blur less, and it is faster. Pixels that
    come in from outside are 0, black as around an X-ray field.

    Args:
        rotation: Largest angle in degrees, either way.
        shift: Largest shift as a share of height and of width, either way.
        zoom: Largest enlargement as a share; reduction goes as far, in ratio.
        seed: Seed of the random amounts.
        **kwargs: As for a Keras layer.

    Raises:
        ValueError: If an amount is negative.

    Examples:
        >>> import numpy as np
        >>> import synthray as sr
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 1)).astype("float32")
        >>> tuple(sr.RandomAffine(rotation=10, seed=0)(images, training=True).shape[1:])
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
        """Return changed images `(n, h, w, c)`; without `training`, the same images."""
        if not training:
            return images
        n, (height, width) = ops.shape(images)[0], images.shape[1:3]
        amounts = keras.random.uniform((4, n), -1.0, 1.0, seed=self.generator)
        angle = amounts[0] * math.radians(self.rotation)
        scale = ops.exp(amounts[1] * math.log1p(self.zoom))
        cos, sin = ops.cos(angle) / scale, ops.sin(angle) / scale
        down, right = amounts[2] * self.shift * height, amounts[3] * self.shift * width
        x, y = (width - 1) / 2, (height - 1) / 2  # the centre
        to_column = [cos, -sin, x + right - cos * x + sin * y]
        to_row = [sin, cos, y + down - sin * x - cos * y]
        transforms = ops.stack([*to_column, *to_row, 0 * cos, 0 * cos], axis=-1)
        changed = ops.image.affine_transform(
            ops.cast(images, "float32"), transforms, data_format="channels_last"
        )
        return ops.cast(changed, images.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        amounts = {"rotation": self.rotation, "shift": self.shift, "zoom": self.zoom}
        return {**super().get_config(), **amounts, "seed": self.seed}
