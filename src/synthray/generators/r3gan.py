"""`R3GAN`: a small modern GAN for small image sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from synthray._seeds import resolve_seed, spawn_seeds
from synthray.generators import losses
from synthray.generators._r3gan_networks import r3gan_discriminator, r3gan_generator
from synthray.generators.diff_augment import DiffAugment
from synthray.generators.gan import GAN, Logits
from synthray.generators.penalties import finite_difference_penalty

_CENTRING = 0.01
_ADAPT_TARGET = 0.6
_ADAPT_IMAGES = 50_000


@keras.saving.register_keras_serializable(package="synthray")
class R3GAN(GAN):
    """A relativistic GAN with gradient penalties (Huang et al. 2024, arXiv 2501.05441)."""

    OUTPUT_RANGE: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (64, 64, 1),
        latent_dim: int = 64,
        *,
        width: float = 1.0,
        blocks: int = 1,
        num_classes: int | None = None,
        gamma: float = 1.0,
        penalty_sigma: float = 0.05,
        penalty_every: int = 4,
        augment: Sequence[str] = ("brightness", "saturation", "contrast", "translation", "cutout"),
        augment_strength: float | Literal["adaptive"] = 0.0,
        ema_images: int = 20_000,
        label_images: int = 10_000,
        learning_rate_decay: float = 0.25,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        dtype = kwargs.pop("dtype", None)
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        seed = resolve_seed(seed)
        g_seed, d_seed = spawn_seeds(seed, 2)
        image_shape = tuple(int(d) for d in image_shape)

        def generator(name):
            network = r3gan_generator(
                image_shape,
                latent_dim,
                width=width,
                blocks=blocks,
                num_classes=num_classes,
                dtype=policy,
                seed=g_seed,
            )
            network.name = name
            return network

        def discriminator(dtype):
            return r3gan_discriminator(
                image_shape,
                width=width,
                blocks=blocks,
                num_classes=num_classes,
                dtype=dtype,
                seed=d_seed,
            )

        super().__init__(
            generator("generator"), discriminator(policy), seed=seed, dtype=policy, **kwargs
        )
        self.num_classes = num_classes
        self.gamma = gamma
        self.penalty_sigma = penalty_sigma
        self.penalty_every = penalty_every
        self.ema_images = ema_images
        self.label_images = label_images
        self.augment_strength = augment_strength
        self.diff_augment = DiffAugment(augment)

    def build(self, input_shape=None):
        self.ema_generator = keras.models.clone_model(self.generator)
        self.ema_generator.set_weights(self.generator.get_weights())
        self.ema_generator.trainable = False
        self.images_seen = self.add_weight(
            name="images_seen", shape=(), dtype="int32", initializer="zeros", trainable=False
        )
        self.strength = self.add_weight(
            name="strength", shape=(), dtype="float32", initializer="zeros", trainable=False
        )
        self.trackers = [keras.metrics.Mean(name=n) for n in ("r1", "r2", "diversity", "margin")]
        super().build(input_shape)

    def call(self, images, training=False):
        real = self._to_output_range(images)
        n = ops.shape(images)[0]
        fake = self.generator(self.draw_latents(n), training=training)
        diversity = spread(fake) / spread(real)
        if self.augment_strength:
            draws = self.diff_augment.draw(n, seed=self.seed_generator)
            s = self.strength if self.augment_strength == "adaptive" else self.augment_strength
            real, fake = (self.diff_augment(x, draws, strength=s) for x in (real, fake))

        def critic(x):
            return ops.cast(ops.reshape(self.discriminator(x, training=training), (-1,)), "float32")

        detached = ops.stop_gradient(fake)
        d_real, d_fake = critic(real), critic(detached)
        m = self.penalty_every
        r1, r2 = (
            finite_difference_penalty(
                critic, x[::m], l[::m], sigma=self.penalty_sigma, seed=self.seed_generator
            )
            for x, l in ((real, d_real), (detached, d_fake))
        )
        gen = ops.cast(ops.reshape(self.judge_frozen(fake, training=training), (-1,)), "float32")
        if training:
            self.images_seen.assign_add(ops.cast(n, "int32"))
            half = ops.minimum(0.05 * ops.cast(self.images_seen, "float32"), float(self.ema_images))
            keep = ops.power(0.5, ops.cast(n, "float32") / ops.maximum(half, 1e-3))
            for a, v in zip(self.ema_generator.variables, self.generator.variables):
                a.assign(v + keep * (a - v))
            if self.augment_strength == "adaptive":
                r = ops.mean(ops.sign(d_real - d_fake))
                self.strength.assign(
                    ops.clip(
                        self.strength
                        + ops.sign(r - _ADAPT_TARGET) * ops.cast(n, "float32") / _ADAPT_IMAGES,
                        0,
                        1,
                    )
                )
        return {
            "real": d_real,
            "fake": d_fake,
            "generated": gen,
            "r1": r1,
            "r2": r2,
            "diversity": diversity,
            "margin": ops.mean(ops.sign(d_real - d_fake)),
        }

    def losses_from_logits(self, logits):
        r, f, g = logits["real"], logits["fake"], logits["generated"]
        return losses.relativistic_discriminator_loss(r, f) + _CENTRING * losses.centring_loss(
            r, f
        ), losses.relativistic_generator_loss(ops.stop_gradient(r), g)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        l = super().compute_loss(x, y, y_pred, sample_weight, training)
        for t in self.trackers:
            t.update_state(ops.mean(y_pred[t.name]))
        return l + self.gamma / 2 * (ops.mean(y_pred["r1"]) + ops.mean(y_pred["r2"]))

    def default_optimizer(self):
        return keras.optimizers.Adam(2e-4, beta_1=0.0, beta_2=0.99)

    def _generator_to_draw_with(self):
        return self.ema_generator


def spread(x):
    return ops.mean(ops.std(x, axis=0))
