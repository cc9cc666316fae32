"""Maps of a frozen, pretrained network, mixed at random: what a projected discriminator sees."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, TypeAlias

import keras
from keras import layers, ops

from synthray._keras.backend import no_gradients
from synthray._seeds import spawn_seeds
from synthray.backbones.efficientnet_lite import load_backbone
from synthray.backbones.image_features import images_taken_by
from synthray.generators.image_model import widened

Backbone: TypeAlias = Literal["learning"] | keras.Model

_OUTPUTS = ("stride_4", "stride_8", "stride_16", "stride_32")
_CHANNELS = (64, 128, 256)  # of the mixed maps, from the finest on
_SMALLEST = 3  # pixels of a map's shorter side that a head can judge


class ProjectedFeatures:
    """A function from images to maps that are never trained.

    The maps of a pretrained network pass fixed random 1x1 convolutions; then each is mixed with the
    next coarser one by fixed random 3x3 convolutions (cross-channel and cross-scale mixing of Sauer
    et al. 2021, arXiv 2111.01007). All of it follows from the backbone and a seed, so
    it is no part of a model's weights: a model holds this object, which Keras does not track.

    Args:
        backbone: `"learning"`, or a functional model that takes images `(n, h, w, 1 or 3)` with
            pixels of 0 to 255 and returns one or several maps `(n, h, w, c)`.
        image_shape: Of the images, whose pixels are -1 to 1.
        size: Height and width that they are resized to; a backbone of a fixed size keeps its own.
        width: Multiplies the channels of the maps.
        dtype: A Keras dtype policy.
        seed: Seed of the random convolutions.

    Attributes:
        backbone: What was given.
        name: Name of the pretrained network.
        shapes: Height, width and channels of the maps that are large enough to be judged.

    Raises:
        ValueError: If a backbone takes or returns something else.
    """

    def __init__(
        self,
        backbone: Backbone,
        image_shape: tuple[int, int, int],
        *,
        size: int,
        width: float,
        dtype: Any,
        seed: int,
    ) -> None:
        self.backbone = backbone
        own = isinstance(backbone, str)
        network: Any = load_backbone("learning", dtype=dtype) if own else backbone
        self.name = str(network.name)
        network.trainable = False
        images = keras.Input(image_shape, name="images")
        found = network(_taken(network, images, size, scaled=own), training=False)
        maps = [found[name] for name in _OUTPUTS] if own else keras.tree.flatten(found)
        if not maps or any(len(each.shape) != 4 or None in each.shape[1:] for each in maps):
            raise ValueError(
                f"Expected maps (n, h, w, c) from {network.name}, got outputs of shapes "
                f"{[tuple(each.shape) for each in maps]}."
            )
        maps.sort(key=lambda each: -each.shape[1])
        mixed = _mixed(maps, width, dtype, seed)
        mixed = [each for each in mixed if min(each.shape[1:3]) >= _SMALLEST]
        if not mixed:
            raise ValueError(
                f"The maps of {network.name} at {size}x{size} pixels are too small to be judged, "
                f"got {[tuple(each.shape[1:3]) for each in maps]}. Raise size."
            )
        self.shapes = [tuple(each.shape[1:]) for each in mixed]
        self._network = keras.Model(images, mixed, name="projected_features")
        self._network.trainable = False

    def __call__(self, images: Any) -> list[Any]:
        """Return the maps of images; gradients reach the images."""
        return list(self._network(images, training=False))

    def without_gradients(self, images: Any) -> list[Any]:
        """Return the maps of images, as constants."""
        with no_gradients():
            maps = self(ops.stop_gradient(ops.convert_to_tensor(images)))
        return [ops.stop_gradient(each) for each in maps]


def _taken(network: Any, images: Any, size: int, *, scaled: bool) -> Any:
    """Return images of -1 to 1 as a network takes them."""
    height, width, channels = images_taken_by(network)
    target = (height or size, width or size)
    _, *sides, given = images.shape
    if tuple(sides) != target:
        shrinks = any(new < old for new, old in zip(target, sides, strict=True))
        resize = {"interpolation": "bilinear", "antialias": shrinks, "data_format": "channels_last"}
        images = ops.image.resize(images, target, **resize)
    if given == 1 and channels == 3:
        images = ops.repeat(images, 3, axis=-1)
    elif given == 3 and channels == 1:
        images = ops.mean(images, axis=-1, keepdims=True)
    pixels = 127.5 * (images + 1.0)
    return (pixels - 127.0) / 128.0 if scaled else pixels


def _mixed(maps: list[Any], width: float, dtype: Any, seed: int) -> list[Any]:
    """Return maps after random projections, each mixed with the coarser ones."""
    seeds = iter(spawn_seeds(seed, 2 * len(maps)))

    def conv(x: Any, level: int, size: int) -> Any:
        start = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=next(seeds))
        count = widened(_CHANNELS[min(level, len(_CHANNELS) - 1)], width)
        make = partial(layers.Conv2D, padding="same", use_bias=False, dtype=dtype)
        return make(count, size, kernel_initializer=start)(x)

    own = [conv(each, level, 1) for level, each in enumerate(maps)]
    mixed = [own[-1]]
    for level in reversed(range(len(own) - 1)):
        coarse, fine = conv(mixed[-1], level, 3), own[level]
        enlarged = ops.image.resize(
            coarse, fine.shape[1:3], interpolation="bilinear", data_format="channels_last"
        )
        mixed.append(fine + enlarged)
    return mixed[::-1]
