"""The networks of `R3GAN`: residual blocks without normalisation."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from synthray._seeds import spawn_seeds
from synthray.generators._equalized import EqualizedConv2D, EqualizedDense

_NEGATIVE_SLOPE = 0.2
_BASE = (4, 5, 6, 7)  # pixels of the shorter side before the first doubling

# Filters from the smallest map outwards; the last one serves all larger maps. Few at the full size,
# where a filter costs most and adds least.
FILTERS = (128, 128, 64, 32, 16)


def checked_shape(image_shape: Any) -> tuple[int, int, int]:
    """Return the shape as integers.

    Raises:
        ValueError: If it cannot be drawn; the message names the nearest that can.
    """
    shape = tuple(int(d) for d in image_shape)
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1:
        raise ValueError(
            "image_shape must be (height, width, channels) with 1 or 3 channels, got "
            f"{image_shape}."
        )
    doublings((shape[0], shape[1], shape[2]))
    return shape[0], shape[1], shape[2]


def doublings(image_shape: tuple[int, int, int]) -> int:
    """Return how often the networks double the size.

    Raises:
        ValueError: If the shape cannot be reached by doubling; the message names the nearest.
    """
    sides = image_shape[:2]
    found = _doublings_of(min(sides))
    if found is not None and max(sides) % 2**found == 0:
        return found
    reachable = [b * 2**k for k in range(12) for b in _BASE]
    short = min(reachable, key=lambda side: (abs(side - min(sides)), -side))
    unit = 2 ** (_doublings_of(short) or 0)
    long = max(short, round(max(sides) / unit) * unit)
    nearest = (short, long) if sides[0] <= sides[1] else (long, short)
    raise ValueError(
        f"R3GAN reaches the size of an image by doubling: the shorter side must be {_BASE[0]} to "
        f"{_BASE[-1]} times a power of two (such as 28, 32, 48, 64, 96, 128), and the longer one "
        f"a multiple of that power. Got {sides[0]}x{sides[1]}; the nearest is "
        f"{nearest[0]}x{nearest[1]}. Resize the images."
    )


def _doublings_of(side: int) -> int | None:
    for k in range(12):
        if side % 2**k == 0 and side // 2**k in _BASE:
            return k
    return None


def r3gan_generator(
    image_shape: tuple[int, int, int],
    latent_dim: int,
    *,
    width: float,
    blocks: int,
    num_classes: int | None,
    dtype: Any,
    seed: int,
) -> keras.Model:
    """Build the generator: `(n, latent_dim)`, and class weights where conditional, to images."""
    height, width_px, channels = image_shape
    levels = doublings(image_shape)
    make = _Maker(dtype, seed)
    filters = [_filters(level, width) for level in range(levels + 1)]
    base = (height // 2**levels, width_px // 2**levels, filters[0])

    latent = z = keras.Input((latent_dim,), name="latent")
    inputs = [latent]
    if num_classes:
        inputs.append(keras.Input((num_classes,), name="class_weights"))
        embedded = make.dense(latent_dim, "class_embedding", use_bias=False)(inputs[1])
        z = layers.Add(dtype=dtype, name="latent_and_class")([z, embedded])
    x = make.dense(int(np.prod(base)), "dense")(z)
    x = layers.Reshape(base, dtype=dtype, name="base_map")(x)
    for level, count in enumerate(filters):
        if level:
            x = make.widen(x, count, f"up{level}")  # before the doubling, where it costs a quarter
            x = layers.UpSampling2D(
                2, interpolation="bilinear", dtype=dtype, name=f"up{level}_double"
            )(x)
        for block in range(blocks):
            x = make.block(x, f"g{level}_block{block}")
    x = make.activation(x, "last_activation")
    x = make.conv(channels, 3, "pixels")(x)
    x = layers.Activation("linear", dtype="float32", name="image")(x)
    return keras.Model(inputs if num_classes else latent, x, name="generator")


def r3gan_discriminator(
    image_shape: tuple[int, int, int],
    *,
    width: float,
    blocks: int,
    num_classes: int | None,
    dtype: Any,
    seed: int,
) -> keras.Model:
    """Build the discriminator: images, and class weights where conditional, to logits `(n, 1)`."""
    levels = doublings(image_shape)
    make = _Maker(dtype, seed)
    image = keras.Input(image_shape, name="image")
    inputs = [image]
    x = image
    for level in range(1, levels + 1):
        if level > 1:
            x = make.activation(x, f"down{level}_activation")
        x = make.conv(_filters(levels - level, width), 4, f"down{level}", strides=2)(x)
        for block in range(blocks if level > 1 else 0):  # at half the size they would cost most
            x = make.bottleneck(x, f"d{level}_block{block}")
    if not levels:
        x = make.conv(_filters(0, width), 3, "stem")(x)
    x = make.activation(x, "last_activation")
    flat = layers.Flatten(dtype=dtype, name="flatten")(x)
    logit = make.dense(1, "logit")(flat)
    if num_classes:
        # Projection discriminator, equation 3 of Miyato & Koyama 2018 (arXiv 1802.05637).
        inputs.append(keras.Input((num_classes,), name="class_weights"))
        pooled = layers.GlobalAveragePooling2D(dtype=dtype, name="pooled")(x)
        embedded = make.dense(x.shape[-1], "class_embedding", use_bias=False)(inputs[1])
        match = layers.Dot(axes=1, dtype=dtype, name="class_match")([pooled, embedded])
        # The product is a dense layer too, whose weights the class chooses: equalized like theirs.
        match = layers.Rescaling(x.shape[-1] ** -0.5, dtype=dtype, name="equalized_match")(match)
        logit = layers.Add(dtype=dtype, name="logit_and_class")([logit, match])
    return keras.Model(inputs if num_classes else image, logit, name="discriminator")


def _filters(level: int, width: float) -> int:
    return max(4, round(FILTERS[min(level, len(FILTERS) - 1)] * width))


class _Maker:
    """Makes layers of one dtype, each with a seed of its own."""

    def __init__(self, dtype: Any, seed: int) -> None:
        self._dtype = dtype
        self._seeds = iter(spawn_seeds(seed, 256))

    def conv(
        self, filters: int, size: int, name: str, *, strides: int = 1, zero: bool = False
    ) -> layers.Layer:
        return EqualizedConv2D(
            filters,
            size,
            strides=strides,
            padding="same",
            kernel_initializer="zeros" if zero else self._initializer(),
            dtype=self._dtype,
            name=name,
        )

    def dense(self, units: int, name: str, **arguments: Any) -> layers.Layer:
        return EqualizedDense(
            units,
            kernel_initializer=self._initializer(),
            dtype=self._dtype,
            name=name,
            **arguments,
        )

    def activation(self, x: Any, name: str) -> Any:
        return layers.LeakyReLU(_NEGATIVE_SLOPE, dtype=self._dtype, name=name)(x)

    def widen(self, x: Any, filters: int, name: str) -> Any:
        """Change the number of filters by a 1x1 convolution, where it changes."""
        return x if x.shape[-1] == filters else self.conv(filters, 1, name)(x)

    def block(self, x: Any, name: str) -> Any:
        """Add a residual: two 3x3 convolutions, of which the second starts at zero.

        A block then starts as the identity, and the variance of the values does not grow with the
        number of blocks although nothing normalises them (Zhang et al. 2019, arXiv 1901.09321).
        """
        filters = x.shape[-1]
        y = self.activation(x, f"{name}_activation1")
        y = self.conv(filters, 3, f"{name}_conv1")(y)
        y = self.activation(y, f"{name}_activation2")
        y = self.conv(filters, 3, f"{name}_conv2", zero=True)(y)
        return layers.Add(dtype=self._dtype, name=f"{name}_add")([x, y])

    def bottleneck(self, x: Any, name: str) -> Any:
        """Add a residual at half the filters: convolutions of 1x1, 3x3 and 1x1, the last zero."""
        filters = x.shape[-1]
        y = self.activation(x, f"{name}_activation1")
        y = self.conv(max(4, filters // 2), 1, f"{name}_conv1")(y)
        y = self.activation(y, f"{name}_activation2")
        y = self.conv(y.shape[-1], 3, f"{name}_conv2")(y)
        y = self.activation(y, f"{name}_activation3")
        y = self.conv(filters, 1, f"{name}_conv3", zero=True)(y)
        return layers.Add(dtype=self._dtype, name=f"{name}_add")([x, y])

    def _initializer(self) -> keras.initializers.Initializer:
        return keras.initializers.RandomNormal(0.0, 1.0, seed=next(self._seeds))
