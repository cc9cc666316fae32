"""The networks of `CycleGAN`: a residual translator and a discriminator of patches."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from synthray._keras.layers import Conv2D
from synthray._seeds import spawn_seeds

_NEGATIVE_SLOPE = 0.2
_LEAK = 0.1
_EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="synthray")
class InstanceNormalization(layers.Layer):
    """Gives every channel of every image mean 0 and variance 1 (Ulyanov et al. 2016, 1607.08022).

    Without scale and offset, as in the paper's equation 4. Keras' `GroupNormalization(groups=-1)`
    computes the same with several times as many operations, which a graph of so many layers and
    passes pays for when it is compiled.
    """

    def call(self, inputs: Any) -> Any:
        """Return the normalised maps `(n, h, w, c)`; the statistics are float32."""
        x = ops.cast(inputs, "float32")
        # Not by ops.moments: on torch, the variance of constant maps may be negative there.
        x = x - ops.mean(x, axis=(1, 2), keepdims=True)
        variance = ops.mean(ops.square(x), axis=(1, 2), keepdims=True)
        return ops.cast(x * ops.rsqrt(variance + _EPSILON), self.compute_dtype)


@keras.saving.register_keras_serializable(package="synthray")
class ReflectionPadding(layers.Layer):
    """Continues images beyond their edges by their mirror image.

    Zeros there would be gray beside the black edge of a radiograph, and leave lines along it.

    Args:
        pixels: How many, on each side.
        **kwargs: As for any layer.
    """

    def __init__(self, pixels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pixels = pixels

    def call(self, inputs: Any) -> Any:
        """Return maps `(n, h + 2 * pixels, w + 2 * pixels, c)`."""
        both = (self.pixels, self.pixels)
        return ops.pad(inputs, ((0, 0), both, both, (0, 0)), mode="reflect")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"pixels": self.pixels}


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


def residual_translator(
    image_shape: tuple[int, int, int],
    filters: int,
    residual_blocks: int,
    policy: Any,
    seed: int,
    name: str,
) -> keras.Model:
    """Build a network from images of one class to images of the other, both of -1 to 1.

    Zhu et al. 2017, appendix 7.2: a 7x7 convolution, two that halve the size, residual blocks, two
    steps back, a last convolution; instance normalisation. What differs: the output is a change
    added to the input and starts at zero, so that training begins at the identity; the last
    convolution is 3x3, since the input already brings the detail; the size is doubled by
    repetition and a convolution, which leaves no checkerboard (Odena et al. 2016); only the first
    and the last convolution see mirrored edges, the others zeros.
    """
    seeds = iter(spawn_seeds(seed, 6 + 2 * residual_blocks))

    def convolve(x: Any, count: int, kernel: int, label: str, **options: Any) -> Any:
        options = {"padding": "same", "dtype": policy, "name": label} | options
        start = keras.initializers.HeNormal(next(seeds))
        # Without bias, which the normalisation behind it would take away.
        layer = layers.Conv2D(count, kernel, use_bias=False, kernel_initializer=start, **options)
        return layer(x)

    def normalise(x: Any, label: str) -> Any:
        return InstanceNormalization(dtype=policy, name=label)(x)

    def activate(x: Any, label: str) -> Any:
        return layers.ReLU(dtype=policy, name=f"{label}_relu")(normalise(x, f"{label}_norm"))

    image = keras.Input(image_shape, name="image")
    x = ReflectionPadding(3, dtype=policy, name="stem_padding")(image)
    x = activate(convolve(x, filters, 7, "stem", padding="valid"), "stem")
    for i in (1, 2):
        x = activate(convolve(x, filters * 2**i, 3, f"down{i}", strides=2), f"down{i}")
    for i in range(1, residual_blocks + 1):
        h = activate(convolve(x, 4 * filters, 3, f"block{i}a"), f"block{i}a")
        h = normalise(convolve(h, 4 * filters, 3, f"block{i}b"), f"block{i}b_norm")
        x = layers.Add(dtype=policy, name=f"block{i}")([x, h])
    for i in (1, 2):
        x = layers.UpSampling2D(dtype=policy, name=f"up{i}_repeat")(x)
        x = activate(convolve(x, filters * 2 ** (2 - i), 3, f"up{i}"), f"up{i}")
    x = ReflectionPadding(1, dtype=policy, name="change_padding")(x)
    last = Conv2D(image_shape[-1], 3, kernel_initializer="zeros", dtype=policy, name="change")
    translated = AddChange(dtype="float32", name="translated")([image, last(x)])
    return keras.Model(image, translated, name=name)


def patch_discriminator(
    image_shape: tuple[int, int, int], filters: int, policy: Any, seed: int, name: str
) -> keras.Model:
    """Build a network that judges overlapping patches: images of -1 to 1 to a map of values.

    The PatchGAN of Isola et al. 2016 (arXiv 1611.07004), smaller: each value sees 26x26 pixels. To
    the value of each patch it adds one for the whole image, from the strongest response of every
    feature in it: if the classes differ by one small finding, most patches of both look alike,
    and a mean over patches hardly learns it.
    """
    seeds = spawn_seeds(seed, 4)
    image = x = keras.Input(image_shape, name="image")
    for i, (kernel, strides) in enumerate(((4, 2), (4, 2), (3, 1))):
        label = f"patch{i + 1}"
        start = keras.initializers.HeNormal(seeds[i])
        options = {"strides": strides, "padding": "same", "use_bias": i == 0, "dtype": policy}
        conv = layers.Conv2D(
            filters * 2**i, kernel, kernel_initializer=start, name=label, **options
        )
        x = conv(x)
        if i:
            x = InstanceNormalization(dtype=policy, name=f"{label}_norm")(x)
        x = layers.LeakyReLU(_NEGATIVE_SLOPE, dtype=policy, name=f"{label}_relu")(x)
    start = keras.initializers.GlorotUniform(seeds[3])
    options = {"padding": "same", "use_bias": False, "dtype": policy, "name": "patches"}
    patches = Conv2D(1, 3, kernel_initializer=start, **options)(x)
    whole = layers.GlobalMaxPooling2D(keepdims=True, dtype=policy, name="strongest")(x)
    whole = layers.Dense(1, kernel_initializer="zeros", dtype=policy, name="whole")(whole)
    # In this order: if the batch has as many images as the map has rows, Keras on TensorFlow
    # takes a second term of shape (n, 1, 1, 1) for a bias of the rows.
    values = layers.Add(dtype="float32", name="values")([whole, patches])
    return keras.Model(image, values, name=name)
