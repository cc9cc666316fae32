"""`DCGAN`: the networks of the experiment, layer by layer."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from synthray._layers import Conv2D, Conv2DTranspose, Dropout
from synthray._seeds import resolve_seed, spawn_seeds
from synthray.generators import losses
from synthray.generators.gan import GAN, Logits, Updates

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
        seed: Seed of the latents and of the order of the images; `None` draws one.
        **kwargs: `name`, `dtype` (a Keras dtype policy, such as `"mixed_bfloat16"`).

    Raises:
        ValueError: If the shape cannot be drawn or a number is not positive.

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
        image_shape = _checked_shape(image_shape)
        if latent_dim < 1 or width <= 0:
            raise ValueError(
                f"latent_dim must be at least 1 and width positive, got {latent_dim} and {width}."
            )
        dtype = kwargs.pop("dtype", None)
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        seed = resolve_seed(seed)
        g_seed, d_seed = spawn_seeds(seed, 2)
        super().__init__(
            dcgan_generator(image_shape, latent_dim, width, policy, g_seed),
            dcgan_discriminator(image_shape, width, policy, d_seed),
            updates=updates,
            seed=seed,
            dtype=policy,
            **kwargs,
        )
        self.width = float(width)

    def losses_from_logits(self, logits: Logits) -> tuple[Any, Any]:
        """Return the non-saturating losses, one value an image each."""
        return (
            losses.non_saturating_discriminator_loss(logits["real"], logits["fake"]),
            losses.non_saturating_generator_loss(logits["generated"]),
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "image_shape": list(self.image_shape),
            "latent_dim": self.latent_dim,
            "width": self.width,
            "updates": self.updates,
            "seed": self.seed,
            "name": self.name,
            "dtype": self.dtype_policy.name,
        }


def dcgan_generator(
    image_shape: tuple[int, int, int], latent_dim: int, width: float, dtype: Any, seed: int
) -> keras.Model:
    """Build the generator: `(n, latent_dim)` to images of 0 to 1."""
    height, width_px, channels = image_shape
    base = _filters(128, width)
    glorot = [keras.initializers.GlorotUniform(s) for s in spawn_seeds(seed, 5)]
    z = keras.Input((latent_dim,), name="latent")
    x = layers.Dense(
        height // 8 * (width_px // 8) * base,
        kernel_initializer=glorot[0],
        dtype=dtype,
        name="dense",
    )(z)
    x = layers.Reshape((height // 8, width_px // 8, base), dtype=dtype, name="reshape")(x)
    for i, filters in enumerate((128, 256, 512), start=1):
        x = Conv2DTranspose(
            _filters(filters, width),
            4,
            strides=2,
            padding="same",
            kernel_initializer=glorot[i],
            dtype=dtype,
            name=f"up{i}",
        )(x)
        x = layers.LeakyReLU(_NEGATIVE_SLOPE, dtype=dtype, name=f"up{i}_relu")(x)
    x = Conv2D(
        channels,
        5,
        padding="same",
        kernel_initializer=glorot[4],
        dtype=dtype,
        name="image_logits",
    )(x)
    x = layers.Activation("sigmoid", dtype="float32", name="image")(x)
    return keras.Model(z, x, name="generator")


def dcgan_discriminator(
    image_shape: tuple[int, int, int], width: float, dtype: Any, seed: int
) -> keras.Model:
    """Build the discriminator: images of 0 to 1 to logits `(n, 1)`."""
    glorot = [keras.initializers.GlorotUniform(s) for s in spawn_seeds(seed, 4)]
    image = x = keras.Input(image_shape, name="image")
    for i, filters in enumerate((64, 128, 128), start=1):
        x = layers.Conv2D(
            _filters(filters, width),
            4,
            strides=2,
            padding="same",
            kernel_initializer=glorot[i],
            dtype=dtype,
            name=f"down{i}",
        )(x)
        x = layers.LeakyReLU(_NEGATIVE_SLOPE, dtype=dtype, name=f"down{i}_relu")(x)
    x = layers.Flatten(dtype=dtype, name="flatten")(x)
    x = Dropout(_DROPOUT, seed=seed, dtype=dtype, name="dropout")(x)
    x = layers.Dense(1, kernel_initializer=glorot[0], dtype=dtype, name="logit")(x)
    return keras.Model(image, x, name="discriminator")


def _filters(count: int, width: float) -> int:
    return max(4, round(count * width))


def _checked_shape(image_shape: Any) -> tuple[int, int, int]:
    shape = tuple(int(d) for d in image_shape)
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1:
        raise ValueError(
            "image_shape must be (height, width, channels) with 1 or 3 channels, got "
            f"{image_shape}."
        )
    if shape[0] % 8 or shape[1] % 8:
        nearest = [max(8, round(d / 8) * 8) for d in shape[:2]]
        raise ValueError(
            f"DCGAN doubles the size three times, so height and width must be divisible by 8, got "
            f"{shape[0]}x{shape[1]}. Resize the images, for example to {nearest[0]}x{nearest[1]}."
        )
    return shape[0], shape[1], shape[2]
