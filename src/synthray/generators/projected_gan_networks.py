"""The networks of `ProjectedGAN`: a light generator, and heads that judge maps of features."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

from synthray._keras.layers import BatchNormalization, Conv2D
from synthray._seeds import spawn_seeds
from synthray.generators.image_model import widened
from synthray.generators.projected_gan_layers import (
    CappedLength,
    DoublingConv2D,
    GatedLinearUnit,
    NoiseInjection,
    SpectralConv2D,
)

LATENT_DIM = 128
# Of the running statistics of the generator, which `BatchStatistics` takes apart again.
MOMENTUM = 0.9
_NEGATIVE_SLOPE = 0.2
_GROUPS = 8
_HEAD_FILTERS = 256
_EXCITED = 3  # doublings between the map that excites and the one that is excited

# Filters from the start map outwards; the last one serves all larger maps.
FILTERS = (256, 128, 128, 64, 32, 16)

Size = tuple[int, int]


def start_and_doublings(image_shape: tuple[int, int, int]) -> tuple[Size, int]:
    """Return the size of the map that a generator starts from, and how often it is doubled.

    The longer side starts with 4 to 7 pixels, the shorter one with as few as will do.
    """
    height, width, _ = image_shape
    doublings = int(math.log2(max(height, width) / 4))
    return (-(-height // 2**doublings), -(-width // 2**doublings)), doublings


def projected_generator(
    image_shape: tuple[int, int, int], width: float, num_classes: int | None, dtype: Any, seed: int
) -> keras.Model:
    """Build the generator: `(n, 128)`, and class weights if conditional, to images of -1 to 1.

    A class shifts the channels of the start map after its normalization. Joined to the latent, it
    would take over the unit variance that is left for the latent, and all images of a class would
    become alike.
    """
    start, doublings = start_and_doublings(image_shape)
    filters = [
        widened(FILTERS[min(level, len(FILTERS) - 1)], width) for level in range(doublings + 1)
    ]
    make = _Maker(dtype, seed)
    latent = keras.Input((LATENT_DIM,), name="latent")
    inputs = [latent]
    code = CappedLength(dtype="float32", name="capped_latent")(latent)
    base = (*start, 2 * filters[0])
    # Small weights before a normalization turn fast: those of a transposed convolution in torch.
    small = keras.initializers.VarianceScaling(1 / 3, "fan_out", "uniform", seed=make.seed())
    x = make.dense(math.prod(base), "start", kernel_initializer=small)(code)
    x = layers.Reshape(base, dtype=dtype, name="start_map")(x)
    shift = None
    if num_classes:
        inputs.append(keras.Input((num_classes,), name="class_weights"))
        shift = make.dense(base[-1], "class_shift", kernel_initializer="zeros")(inputs[1])
        shift = layers.Reshape((1, 1, base[-1]), dtype=dtype, name="class_map")(shift)
    maps = [make.gated(x, "start", shift)]
    for level in range(1, doublings + 1):
        name = f"up{level}"
        x = make.doubling(2 * filters[level], f"{name}_conv")(maps[-1])
        if level % 2:
            noise = NoiseInjection(make.seed(), dtype=dtype, name=f"{name}_noise")
            x = noise([x, code])
        x = make.gated(x, name)
        if level >= _EXCITED:
            x = make.excited(x, maps[level - _EXCITED], start, name)
        maps.append(x)
    x = make.conv(image_shape[-1], 3, "pixels")(maps[-1])
    x = layers.Activation("tanh", dtype="float32", name="tanh")(x)
    rows, columns = (
        made - wanted for made, wanted in zip(x.shape[1:3], image_shape[:2], strict=True)
    )
    cut = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2))
    x = layers.Cropping2D(cut, dtype="float32", name="image")(x)
    return keras.Model(inputs if num_classes else latent, x, name="generator")


def projected_heads(
    shapes: list[tuple[int, int, int]],
    width: float,
    num_classes: int | None,
    dtype: Any,
    seed: int,
) -> keras.Model:
    """Build the heads: maps of such shapes, and class weights if conditional, to `(n, heads)`.

    A head halves a map down to 4 pixels. Classes are judged by projection: each has a vector that
    is compared with the last map (equation 3 of Miyato & Koyama 2018, arXiv 1802.05637).
    """
    make = _Maker(dtype, seed)
    inputs = [keras.Input(shape, name=f"map{i}") for i, shape in enumerate(shapes)]
    classes = keras.Input((num_classes,), name="class_weights") if num_classes else None
    logits = []
    for i, x in enumerate(inputs):
        count = min(widened(_HEAD_FILTERS, width), 2 * x.shape[-1])
        if max(x.shape[1:3]) <= 4:
            x = make.activation(make.spectral(count, 3, f"head{i}_conv")(x), f"head{i}_relu")
        step = 0
        while max(x.shape[1:3]) > 4:
            name, step = f"head{i}_down{step}", step + 1
            x = make.spectral(count, 4, name, strides=2)(x)
            groups = math.gcd(_GROUPS, count)
            x = layers.GroupNormalization(groups, dtype=dtype, name=f"{name}_norm")(x)
            x = make.activation(x, f"{name}_relu")
        whole: dict[str, Any] = {"kernel_size": tuple(x.shape[1:3]), "padding": "valid"}
        whole["use_bias"] = False  # hinge losses of both kinds of images cancel out in it
        flatten = layers.Flatten(dtype="float32", name=f"head{i}_logit")
        logit = flatten(make.spectral(1, name=f"head{i}_judge", **whole)(x))
        if num_classes:
            match = make.spectral(num_classes, name=f"head{i}_classes", **whole)(x)
            match = layers.Flatten(dtype="float32", name=f"head{i}_matches")(match)
            match = layers.Dot(1, dtype="float32", name=f"head{i}_match")([match, classes])
            logit = layers.Add(dtype="float32", name=f"head{i}_both")([logit, match])
        logits.append(logit)
    joined = layers.Concatenate(dtype="float32", name="logits")(logits) if logits[1:] else logits[0]
    return keras.Model([*inputs, classes] if num_classes else inputs, joined, name="discriminator")


class _Maker:
    """Makes layers of one dtype, each with a seed of its own."""

    def __init__(self, dtype: Any, seed: int) -> None:
        self._dtype = dtype
        self._seeds = iter(spawn_seeds(seed, 256))

    def seed(self) -> int:
        return next(self._seeds)

    def conv(self, filters: int, size: Any, name: str, **options: Any) -> Any:
        return Conv2D(filters, size, **self._options(name), **({"padding": "same"} | options))

    def doubling(self, filters: int, name: str) -> Any:
        return DoublingConv2D(filters, **self._options(name))

    def spectral(self, filters: int, kernel_size: Any, name: str, **options: Any) -> Any:
        options = self._options(name) | {"padding": "same"} | options
        return SpectralConv2D(filters, kernel_size, **options)

    def dense(self, units: int, name: str, **options: Any) -> Any:
        return layers.Dense(units, use_bias=False, **(self._options(name) | options))

    def activation(self, x: Any, name: str) -> Any:
        return layers.LeakyReLU(_NEGATIVE_SLOPE, dtype=self._dtype, name=name)(x)

    def gated(self, x: Any, name: str, shift: Any = None) -> Any:
        norm = BatchNormalization(
            momentum=MOMENTUM, epsilon=1e-5, dtype=self._dtype, name=f"{name}_norm"
        )
        x = norm(x)
        if shift is not None:
            x = layers.Add(dtype=self._dtype, name=f"{name}_shifted")([x, shift])
        return GatedLinearUnit(dtype=self._dtype, name=f"{name}_gated")(x)

    def excited(self, x: Any, coarse: Any, start: Size, name: str) -> Any:
        """Scale the channels of a map by what a coarse one shows (Liu et al. 2021)."""
        pool = tuple(size // cells for size, cells in zip(coarse.shape[1:3], start, strict=True))
        own: dict[str, Any] = {"dtype": self._dtype}
        pooled = layers.AveragePooling2D(pool, name=f"{name}_pooled", **own)(coarse)
        count = x.shape[-1]
        seen = self.conv(count, start, f"{name}_seen", padding="valid", activation="silu")(pooled)
        scale = self.conv(count, 1, f"{name}_scale", activation="sigmoid")(seen)
        return layers.Multiply(name=f"{name}_excited", **own)([x, scale])

    def _options(self, name: str) -> dict[str, Any]:
        start = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=self.seed())
        return {"kernel_initializer": start, "dtype": self._dtype, "name": name}
