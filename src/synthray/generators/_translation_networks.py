"""The networks of `CycleGAN`: a residual translator and a discriminator of patches."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from synthray._seeds import spawn_seeds

_NEGATIVE_SLOPE = 0.2
_LEAK = 0.1


@keras.saving.register_keras_serializable(package="synthray")
class AddChange(layers.Layer):
    """Adds a change to images of -1 to 1 and holds the sum near that range.

    Beyond the range the sum grows at a tenth of its slope: a plain clip would give no gradient
    there, and the black background of a radiograph lies exactly on its edge.
    """

    def call(self, inputs: Any) -> Any:
        """Return the changed images, float32."""
        image, change = (ops.cast(part, "float32") for part in inputs)
        total = image + change
        inside = ops.clip(total, -1.0, 1.0)
        return inside + _LEAK * (total - inside)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the images."""
        return input_shape[0]


def residual_translator(
    image_shape: tuple[int, int, int],
    width: int,
    residual_blocks: int,
    policy: Any,
    seed: int,
    name: str,
) -> keras.Model:
    """Build a network from images of one class to images of the other, both of -1 to 1.

    Zhu et al. 2017, appendix 7.2: a 7x7 convolution, two that halve the size, residual blocks, two
    steps back, a 7x7 convolution; instance normalisation. What differs: the output is a change
    added to the input and starts at zero, so that training begins at the identity; the size
    is doubled by repetition and a convolution, which leaves no checkerboard; convolutions pad
    with zeros.
    """
    seeds = iter(spawn_seeds(seed, 6 + 2 * residual_blocks))

    def convolve(x: Any, filters: int, kernel: int, label: str, strides: int = 1) -> Any:
        return layers.Conv2D(
            filters,
            kernel,
            strides=strides,
            padding="same",
            use_bias=False,  # the normalisation behind it has one
            kernel_initializer=keras.initializers.HeNormal(next(seeds)),
            dtype=policy,
            name=label,
        )(x)

    def normalise(x: Any, label: str) -> Any:
        return layers.GroupNormalization(groups=-1, epsilon=1e-5, dtype=policy, name=label)(x)

    def activate(x: Any, label: str) -> Any:
        return layers.ReLU(dtype=policy, name=f"{label}_relu")(normalise(x, f"{label}_norm"))

    image = keras.Input(image_shape, name="image")
    x = activate(convolve(image, width, 7, "stem"), "stem")
    for i in (1, 2):
        x = activate(convolve(x, width * 2**i, 3, f"down{i}", strides=2), f"down{i}")
    for i in range(1, residual_blocks + 1):
        h = activate(convolve(x, 4 * width, 3, f"block{i}a"), f"block{i}a")
        h = normalise(convolve(h, 4 * width, 3, f"block{i}b"), f"block{i}b_norm")
        x = layers.Add(dtype=policy, name=f"block{i}")([x, h])
    for i in (1, 2):
        x = layers.UpSampling2D(dtype=policy, name=f"up{i}_repeat")(x)
        x = activate(convolve(x, width * 2 ** (2 - i), 3, f"up{i}"), f"up{i}")
    change = layers.Conv2D(
        image_shape[-1],
        7,
        padding="same",
        kernel_initializer="zeros",
        dtype=policy,
        name="change",
    )(x)
    translated = AddChange(dtype="float32", name="translated")([image, change])
    return keras.Model(image, translated, name=name)


def patch_discriminator(
    image_shape: tuple[int, int, int], width: int, policy: Any, seed: int, name: str
) -> keras.Model:
    """Build a network that judges overlapping patches: images of -1 to 1 to a map of values.

    The PatchGAN of Isola et al. 2016 (arXiv 1611.07004), smaller: each value sees 34x34 pixels.
    """
    seeds = spawn_seeds(seed, 4)
    image = x = keras.Input(image_shape, name="image")
    for i, strides in enumerate((2, 2, 1)):
        x = layers.Conv2D(
            width * 2**i,
            4,
            strides=strides,
            padding="same",
            use_bias=i == 0,
            kernel_initializer=keras.initializers.HeNormal(seeds[i]),
            dtype=policy,
            name=f"patch{i + 1}",
        )(x)
        if i:
            x = layers.GroupNormalization(
                groups=-1, epsilon=1e-5, dtype=policy, name=f"patch{i + 1}_norm"
            )(x)
        x = layers.LeakyReLU(_NEGATIVE_SLOPE, dtype=policy, name=f"patch{i + 1}_relu")(x)
    x = layers.Conv2D(
        1,
        4,
        padding="same",
        kernel_initializer=keras.initializers.GlorotUniform(seeds[3]),
        dtype=policy,
        name="judgement",
    )(x)
    return keras.Model(image, x, name=name)
