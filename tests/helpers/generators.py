"""Tiny generators, small image sets for them, and what tests do with both."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import synthray as sr
from helpers.toys import bars


def tiny_dcgan(**arguments: Any) -> sr.DCGAN:
    """A `DCGAN` of 16x16 images."""
    settings: dict[str, Any] = {"image_shape": (16, 16, 1), "width": 0.125, "seed": 0}
    return sr.DCGAN(**(settings | arguments))


def tiny_r3gan(**arguments: Any) -> sr.R3GAN:
    """An `R3GAN` of 8x8 images."""
    settings: dict[str, Any] = {"image_shape": (8, 8, 1), "width": 0.125, "seed": 0}
    return sr.R3GAN(**(settings | arguments))


def tiny_cyclegan(**arguments: Any) -> sr.CycleGAN:
    """A `CycleGAN` of 16x16 images, without residual blocks."""
    settings: dict[str, Any] = {"image_shape": (16, 16, 1), "width": 0.25, "residual_blocks": 0}
    settings["seed"] = 0
    return sr.CycleGAN(**(settings | arguments))


def tiny_bars(n: int, **arguments: Any) -> sr.ImageDataset:
    """`bars` of 8x8 pixels, for `tiny_r3gan`."""
    return bars(n, size=8, **arguments)


def discs(n: int, *, seed: int = 0, size: int = 16, **columns: Any) -> sr.ImageDataset:
    """A gray disc on dark noise ("intact"), or one with a bright line across it ("fractured")."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 30, (n, size, size, 1))
    labels = (np.arange(n) % 3 == 0).astype(int)
    rows, places = np.mgrid[:size, :size]
    for image, label in zip(images, labels, strict=True):
        top, left = rng.integers(5, size - 5, 2)
        disc = (rows - top) ** 2 + (places - left) ** 2 <= 16
        image[disc] += 90
        if label:
            image[disc & (rows == top)] = 240
    return sr.ImageDataset.from_arrays(
        images.astype(np.uint8), labels, class_names=("intact", "fractured"), **columns
    )


def set_weights(model: keras.Model, seed: int = 0) -> None:
    """Give every weight a value that does not depend on the backend."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        scale = 0.5 / np.sqrt(np.prod(variable.shape[:-1])) if len(variable.shape) > 1 else 0.1
        variable.assign(scale * rng.standard_normal(variable.shape).astype("float32"))


def number(value: Any) -> float:
    """A scalar of any backend."""
    return float(keras.ops.convert_to_numpy(keras.ops.stop_gradient(value)))


def run(network: keras.Model, images: NDArray[Any]) -> NDArray[np.float32]:
    """What a network makes of images."""
    return np.asarray(network.predict_on_batch(images.astype("float32")), np.float32)


def tiny_backbone(channels: int = 3, seed: int = 0, **arguments: Any) -> keras.Model:
    """A network of random weights that returns maps of two sizes; it takes pixels of 0 to 255."""
    images = keras.Input((None, None, channels), name="pixels")
    x, maps = keras.layers.Rescaling(1 / 128, -1.0)(images), []
    for place, count in enumerate((8, 12)):
        start = keras.initializers.HeNormal(seed + place)
        options: dict[str, Any] = {"padding": "same", "kernel_initializer": start, **arguments}
        conv = keras.layers.Conv2D(
            count, 3, 2, activation="leaky_relu", name=f"conv{place}", **options
        )
        x = conv(x)
        maps.append(x)
    return keras.Model(images, maps, name="tiny_backbone")


def tiny_projected(**arguments: Any) -> sr.ProjectedGAN:
    """A `ProjectedGAN` of 28x28 images, against a tiny network."""
    settings: dict[str, Any] = {"image_shape": (28, 28, 1), "width": 0.0625, "size": 32}
    settings |= {"label_images": 20, "seed": 0}
    if "backbone" not in arguments:
        settings["backbone"] = tiny_backbone()
    return sr.ProjectedGAN(**(settings | arguments))
