"""The networks of `R3GAN`: residual blocks without normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from synthray._keras.layers import Conv2D
from synthray._seeds import spawn_seeds
from synthray.generators.image_model import widened

_NEGATIVE_SLOPE = 0.2
_BASE = (4, 5, 6, 7)  # pixels of the shorter side before the first doubling

# Filters from the smallest map outwards; the last one serves all larger maps. Few at the full size,
# where a filter costs most and adds least.
FILTERS = (128, 128, 64, 32, 16)


@keras.saving.register_keras_serializable(package="synthray")
class EqualizedConv2D(Conv2D):
    """A convolution whose stored weights have deviation 1, scaled where they are used.

    He's constant `1 / sqrt(fan_in)` is applied at each call instead of once at the start (section
    4.1 of Karras et al. 2018, arXiv 1710.10196). An optimizer such as Adam, whose steps do not
    depend on the size of the gradient, then moves all layers by the same share of their weights.
    """

    def call(self, inputs: Any) -> Any:
        """Convolve."""
        gain = 1.0 / math.sqrt(math.prod(self.kernel.shape[:-1]))
        return ops.add(self.convolution_op(inputs, self.kernel * gain), self.bias)


@keras.saving.register_keras_serializable(package="synthray")
class EqualizedDense(layers.Dense):
    """A dense layer in the manner of `EqualizedConv2D`."""

    def call(self, inputs: Any) -> Any:
        """Multiply."""
        outputs = ops.matmul(inputs, self.kernel * (1.0 / math.sqrt(self.kernel.shape[0])))
        return outputs if self.bias is None else ops.add(outputs, self.bias)


@dataclass(frozen=True)
class Form:
    """What both networks are made for.

    Attributes:
        image_shape: Height, width and channels.
        width: Multiplies the filters.
        blocks: Residual blocks at each size of the maps.
        num_classes: Classes whose weights are an input too; `None` for one kind of image.
    """

    image_shape: tuple[int, int, int]
    width: float
    blocks: int
    num_classes: int | None

    def filters(self, level: int) -> int:
        """Return the filters after so many doublings."""
        return widened(FILTERS[min(level, len(FILTERS) - 1)], self.width)


def doublings(image_shape: tuple[int, int, int]) -> int:
    """Return how often the networks double the size.

    Raises:
        ValueError: If the shape cannot be reached by doubling; the message names the nearest.
    """
    height, width, _ = image_shape
    short, long = sorted((height, width))
    reachable = [(base * 2**count, count) for count in range(12) for base in _BASE]
    near, count = min(reachable, key=lambda found: (abs(found[0] - short), -found[0]))
    if near == short and long % 2**count == 0:
        return count
    far = max(near, round(long / 2**count) * 2**count)
    nearest = f"{near}x{far}" if height <= width else f"{far}x{near}"
    raise ValueError(
        f"R3GAN reaches the size of an image by doubling: the shorter side must be {_BASE[0]} to "
        f"{_BASE[-1]} times a power of two (such as 28, 32, 48, 64, 96, 128), and the longer one "
        f"a multiple of that power. Got {height}x{width}; the nearest is {nearest}. Resize the "
        "images."
    )


def r3gan_generator(form: Form, latent_dim: int, dtype: Any, seed: int) -> keras.Model:
    """Build the generator: `(n, latent_dim)`, and class weights if conditional, to images."""
    levels = doublings(form.image_shape)
    make = _Maker(dtype, seed)
    filters = [form.filters(level) for level in range(levels + 1)]
    base = (*(side // 2**levels for side in form.image_shape[:2]), filters[0])

    latent = z = keras.Input((latent_dim,), name="latent")
    inputs = [latent]
    if form.num_classes:
        inputs.append(keras.Input((form.num_classes,), name="class_weights"))
        embedded = make.dense(latent_dim, "class_embedding", use_bias=False)(inputs[1])
        z = layers.Add(dtype=dtype, name="latent_and_class")([z, embedded])
    x = make.dense(math.prod(base), "dense")(z)
    x = layers.Reshape(base, dtype=dtype, name="base_map")(x)
    for level, count in enumerate(filters):
        if level:
            if x.shape[-1] != count:  # before the doubling, where it costs a quarter
                x = make.conv(count, 1, f"up{level}")(x)
            options = {"dtype": dtype, "name": f"up{level}_double"}
            x = layers.UpSampling2D(interpolation="bilinear", **options)(x)
        for block in range(form.blocks):
            x = make.residual(x, f"g{level}_block{block}", (count, 3), (count, 3))
    x = make.activation(x, "last_activation")
    x = make.conv(form.image_shape[-1], 3, "pixels")(x)
    x = layers.Activation("linear", dtype="float32", name="image")(x)
    return keras.Model(inputs if form.num_classes else latent, x, name="generator")


def r3gan_discriminator(form: Form, dtype: Any, seed: int) -> keras.Model:
    """Build the discriminator: images, and class weights if conditional, to logits `(n, 1)`."""
    levels = doublings(form.image_shape)
    make = _Maker(dtype, seed)
    image = x = keras.Input(form.image_shape, name="image")
    inputs = [image]
    for level in range(1, levels + 1):
        if level > 1:
            x = make.activation(x, f"down{level}_activation")
        count = form.filters(levels - level)
        x = make.conv(count, 4, f"down{level}", strides=2)(x)
        blocks = form.blocks if level > 1 else 0  # at half the size they would cost most
        for block in range(blocks):
            half = max(4, count // 2)
            kernels = ((half, 1), (half, 3), (count, 1))
            x = make.residual(x, f"d{level}_block{block}", *kernels)
    if not levels:
        x = make.conv(form.filters(0), 3, "stem")(x)
    x = make.activation(x, "last_activation")
    flat = layers.Flatten(dtype=dtype, name="flatten")(x)
    logit = make.dense(1, "logit")(flat)
    if form.num_classes:
        # Projection discriminator, equation 3 of Miyato & Koyama 2018 (arXiv 1802.05637).
        inputs.append(keras.Input((form.num_classes,), name="class_weights"))
        pooled = layers.GlobalAveragePooling2D(dtype=dtype, name="pooled")(x)
        embedded = make.dense(x.shape[-1], "class_embedding", use_bias=False)(inputs[1])
        match = layers.Dot(axes=1, dtype=dtype, name="class_match")([pooled, embedded])
        # The product is a dense layer too, whose weights the class chooses: equalized like theirs.
        match = layers.Rescaling(x.shape[-1] ** -0.5, dtype=dtype, name="equalized_match")(match)
        logit = layers.Add(dtype=dtype, name="logit_and_class")([logit, match])
    return keras.Model(inputs if form.num_classes else image, logit, name="discriminator")


class _Maker:
    """Makes layers of one dtype, each with a seed of its own."""

    def __init__(self, dtype: Any, seed: int) -> None:
        self._dtype = dtype
        self._seeds = iter(spawn_seeds(seed, 256))

    def conv(self, filters: int, size: int, name: str, zero: bool = False, **options: Any) -> Any:
        start = "zeros" if zero else self._initializer()
        options |= {"padding": "same", "dtype": self._dtype, "name": name}
        return EqualizedConv2D(filters, size, kernel_initializer=start, **options)

    def dense(self, units: int, name: str, **options: Any) -> Any:
        options |= {"kernel_initializer": self._initializer(), "dtype": self._dtype, "name": name}
        return EqualizedDense(units, **options)

    def activation(self, x: Any, name: str) -> Any:
        return layers.LeakyReLU(_NEGATIVE_SLOPE, dtype=self._dtype, name=name)(x)

    def residual(self, x: Any, name: str, *kernels: tuple[int, int]) -> Any:
        """Add a residual: convolutions of so many filters and such a size; the last starts at zero.

        A block then starts as the identity, and the variance of the values does not grow with the
        number of blocks although nothing normalises them (Zhang et al. 2019, arXiv 1901.09321).
        """
        y = x
        for place, (filters, size) in enumerate(kernels, start=1):
            y = self.activation(y, f"{name}_activation{place}")
            zero = place == len(kernels)
            y = self.conv(filters, size, f"{name}_conv{place}", zero=zero)(y)
        return layers.Add(dtype=self._dtype, name=f"{name}_add")([x, y])

    def _initializer(self) -> keras.initializers.Initializer:
        return keras.initializers.RandomNormal(0.0, 1.0, seed=next(self._seeds))
