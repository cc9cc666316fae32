"""`DCGAN`: the networks of the experiment, layer by layer."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import layers, ops

from synthray._keras.layers import Conv2D, Conv2DTranspose, Dropout
from synthray._seeds import resolve_seed, spawn_seeds
from synthray.generators.gan import GAN, Logits, Updates
from synthray.generators.image_model import arguments_of, checked_size, policy_from, widened

_NEGATIVE_SLOPE = 0.2
_DROPOUT = 0.2


@keras.saving.register_keras_serializable(package="synthray")
class DCGAN(GAN):
    """A deep convolutional GAN (Radford et al. 2015, arXiv 1511.06434).

    At the default shape the generator has 3,979,651 and the discriminator 404,801 parameters, the
    networks of the experiment this library reproduces. Trained with the non-saturating loss and
    Adam at 1e-4.

    Args:
        image_shape: Height, width and channels; height and width divisible by 8, channels 1 or 3.
        latent_dim: Length of the latent vector.
        width: Multiplies the filters of both networks; 0.25 trains about ten times faster.
        updates: `"simultaneous"`, or `"alternating"`: as of `GAN`.
        seed: Seed of the latents and of the order of the images; `None` for a random one.
        **kwargs: `name`, `dtype` (a Keras dtype policy, such as `"mixed_bfloat16"`).

    Raises:
        ValueError: If the shape cannot be generated or a number is not positive.

    Examples:
        >>> import numpy as np
        >>> import synthray as sr
        >>> gan = sr.DCGAN(image_shape=(16, 16, 1), width=0.125, seed=0)
        >>> history = gan.fit(np.zeros((8, 16, 16, 1), "uint8"), epochs=1, verbose=0)
        >>> gan.sample(3, seed=1).shape
        (3, 16, 16, 1)
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (64, 64, 3),
        latent_dim: int = 128,
        *,
        width: float = 1.0,
        updates: Updates = "simultaneous",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        shape = checked_size(image_shape, factor=8)
        if latent_dim < 1 or width <= 0:
            raise ValueError(
                f"latent_dim must be at least 1 and width positive, got {latent_dim} and {width}."
            )
        policy = policy_from(kwargs)
        seed = resolve_seed(seed)
        g_seed, d_seed = spawn_seeds(seed, 2)
        super().__init__(
            dcgan_generator(shape, latent_dim, width, policy, g_seed),
            dcgan_discriminator(shape, width, policy, d_seed),
            updates=updates,
            seed=seed,
            dtype=policy,
            **kwargs,
        )
        self.width = float(width)

    def losses_from_logits(self, logits: Logits) -> tuple[Any, Any]:
        """Return the non-saturating losses, one value an image each.

        `softplus(-D(x)) + softplus(D(G(z)))` and `softplus(-D(G(z)))`: equation 1 and section 3 of
        Goodfellow et al. 2014 (arXiv 1406.2661), on logits. Keras' DCGAN example averages the two
        terms of the discriminator; this is their sum.
        """
        d_losses = ops.softplus(-logits["real"]) + ops.softplus(logits["fake"])
        return d_losses, ops.softplus(-logits["generated"])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return arguments_of(self, DCGAN)


def dcgan_generator(
    image_shape: tuple[int, int, int], latent_dim: int, width: float, dtype: Any, seed: int
) -> keras.Model:
    """Build the generator: `(n, latent_dim)` to images of 0 to 1."""
    glorot = [keras.initializers.GlorotUniform(s) for s in spawn_seeds(seed, 5)]
    base = (image_shape[0] // 8, image_shape[1] // 8, widened(128, width))
    units = base[0] * base[1] * base[2]
    z = keras.Input((latent_dim,), name="latent")
    x = layers.Dense(units, kernel_initializer=glorot[0], dtype=dtype, name="dense")(z)
    x = layers.Reshape(base, dtype=dtype, name="reshape")(x)
    double = partial(Conv2DTranspose, kernel_size=4, strides=2, padding="same", dtype=dtype)
    for i, filters in enumerate((128, 256, 512), start=1):
        count = widened(filters, width)
        x = double(count, kernel_initializer=glorot[i], name=f"up{i}")(x)
        x = layers.LeakyReLU(_NEGATIVE_SLOPE, dtype=dtype, name=f"up{i}_relu")(x)
    last = partial(Conv2D, padding="same", dtype=dtype, name="image_logits")
    x = last(image_shape[-1], 5, kernel_initializer=glorot[4])(x)
    x = layers.Activation("sigmoid", dtype="float32", name="image")(x)
    return keras.Model(z, x, name="generator")


def dcgan_discriminator(
    image_shape: tuple[int, int, int], width: float, dtype: Any, seed: int
) -> keras.Model:
    """Build the discriminator: images of 0 to 1 to logits `(n, 1)`."""
    glorot = [keras.initializers.GlorotUniform(s) for s in spawn_seeds(seed, 4)]
    image = x = keras.Input(image_shape, name="image")
    halve = partial(layers.Conv2D, kernel_size=4, strides=2, padding="same", dtype=dtype)
    for i, filters in enumerate((64, 128, 128), start=1):
        count = widened(filters, width)
        x = halve(count, kernel_initializer=glorot[i], name=f"down{i}")(x)
        x = layers.LeakyReLU(_NEGATIVE_SLOPE, dtype=dtype, name=f"down{i}_relu")(x)
    x = layers.Flatten(dtype=dtype, name="flatten")(x)
    x = Dropout(_DROPOUT, seed=seed, dtype=dtype, name="dropout")(x)
    x = layers.Dense(1, kernel_initializer=glorot[0], dtype=dtype, name="logit")(x)
    return keras.Model(image, x, name="discriminator")
