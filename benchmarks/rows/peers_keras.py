"""Peers in plain Keras: the two-tape DCGAN script, and the classifier in a plain `fit`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

SLOPE, DROPOUT, RATE = 0.2, 0.2, 1e-4  # of the DCGAN
MOMENTUM = 0.9  # as in FractureClassifier; Keras' own 0.99 does not learn within so few steps
JIT_COMPILE: dict[str, Any] = {"": "auto", "_no_xla": False}  # by the end of a peer's name


def filters(count: int, width: float) -> int:
    """Return the filters of a layer at some width, rounded as in `DCGAN`."""
    return max(4, round(count * width))


def generator(shape: tuple[int, int, int], latent_dim: int, width: float) -> keras.Model:
    height, base = shape[0] // 8, filters(128, width)
    stack = [keras.Input((latent_dim,)), layers.Dense(height * height * base)]
    stack.append(layers.Reshape((height, height, base)))
    for count in (128, 256, 512):
        stack.append(layers.Conv2DTranspose(filters(count, width), 4, strides=2, padding="same"))
        stack.append(layers.LeakyReLU(SLOPE))
    stack.append(layers.Conv2D(shape[2], 5, padding="same", activation="sigmoid"))
    return keras.Sequential(stack)


def discriminator(shape: tuple[int, int, int], width: float) -> keras.Model:
    stack = [keras.Input(shape)]
    for count in (64, 128, 128):
        stack.append(layers.Conv2D(filters(count, width), 4, strides=2, padding="same"))
        stack.append(layers.LeakyReLU(SLOPE))
    stack += [layers.Flatten(), layers.Dropout(DROPOUT), layers.Dense(1, activation="sigmoid")]
    return keras.Sequential(stack)


class TwoTape(keras.Model):
    """Trains the discriminator on fakes of its own, then the generator on others."""

    def __init__(self, shape: tuple[int, int, int], latent_dim: int, width: float) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.generator = generator(shape, latent_dim, width)
        self.discriminator = discriminator(shape, width)
        self.d_tracker = keras.metrics.Mean(name="d_loss")
        self.g_tracker = keras.metrics.Mean(name="g_loss")

    def compile(self, **kwargs: Any) -> None:
        super().compile(**kwargs)
        self.d_optimizer = keras.optimizers.Adam(RATE)
        self.g_optimizer = keras.optimizers.Adam(RATE)
        self.loss_fn = keras.losses.BinaryCrossentropy()

    @property
    def metrics(self) -> list[Any]:
        return [self.d_tracker, self.g_tracker]

    def d_loss(self, real: Any, fake: Any, training: bool) -> Any:
        n = tf.shape(real)[0]
        judged = self.discriminator(tf.concat([fake, real], 0), training=training)
        return self.loss_fn(tf.concat([tf.zeros((n, 1)), tf.ones((n, 1))], 0), judged)

    def g_loss(self, latents: Any, training: bool) -> Any:
        judged = self.discriminator(self.generator(latents, training=training), training=training)
        return self.loss_fn(tf.ones_like(judged), judged)

    def train_step(self, real: Any) -> dict[str, Any]:
        n = tf.shape(real)[0]
        fake = self.generator(tf.random.normal((n, self.latent_dim)), training=True)
        with tf.GradientTape() as tape:
            d_loss = self.d_loss(real, fake, True)
        weights = self.discriminator.trainable_weights
        self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))

        latents = tf.random.normal((n, self.latent_dim))
        with tf.GradientTape() as tape:
            g_loss = self.g_loss(latents, True)
        weights = self.generator.trainable_weights
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
        self.d_tracker.update_state(d_loss)
        self.g_tracker.update_state(g_loss)
        return {"d_loss": self.d_tracker.result(), "g_loss": self.g_tracker.result()}


class TwoTapePeer:
    """The script around it: images as float32 of 0 to 1, shuffled by `tf.data`, and `fit`.

    Unlike the usual script, `tf.data` tunes nothing, to the peer's advantage.
    """

    def __init__(
        self, images: np.ndarray, batch_size: int, latent_dim: int, width: float, jit_compile: Any
    ) -> None:
        self.model = TwoTape(images.shape[1:], latent_dim, width)
        self.model.compile(jit_compile=jit_compile)
        scaled = images.astype(np.float32) / 255
        dataset = tf.data.Dataset.from_tensor_slices(scaled).shuffle(1024).batch(batch_size)
        # The tuner sleeps for 10 ms, and each time for twice as long; the end of a `fit` often
        # waits until it wakes, 20.47 or 40.95 s after its begin. That is no part of a step.
        options = tf.data.Options()
        options.autotune.enabled = False
        self.dataset = dataset.with_options(options)

    def take_weights(self, gan: Any) -> None:
        self.model.generator.set_weights(gan.generator.get_weights())
        self.model.discriminator.set_weights(gan.discriminator.get_weights())

    def losses(self, images: np.ndarray, latents: np.ndarray) -> tuple[float, float]:
        """Return both losses without dropout; the script's is the mean of two terms, not a sum."""
        real = tf.constant(images.astype(np.float32) / 255)
        d_loss = self.model.d_loss(real, self.model.generator(latents), False)
        return 2 * float(d_loss), float(self.model.g_loss(latents, False))

    def train(self) -> None:
        self.model.fit(self.dataset, epochs=1, verbose=0)


def plain_classifier(shape: tuple[int, int, int], *, jit_compile: Any = "auto") -> keras.Model:
    """Return the network of `FractureClassifier` in plain layers, compiled as most people would."""
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, strides=3, activation="relu"),
            layers.BatchNormalization(momentum=MOMENTUM),
            layers.Conv2D(16, 3, strides=3, activation="relu"),
            layers.MaxPooling2D(3),
            layers.BatchNormalization(momentum=MOMENTUM),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], jit_compile=jit_compile)
    return model


def largest_difference(
    ours: Any, plain: keras.Model, images: np.ndarray, *, tolerance: float = 1e-5
) -> float:
    """Return how far the probabilities of both are apart; both end with our weights.

    They are compared at other weights, for the statistics of new layers tell nothing. Ends the
    program if the difference is more than `tolerance`, by default float32's rounding.
    """
    own, rng = ours.network.get_weights(), np.random.default_rng(0)
    changed = [w if w.ndim > 1 else w + rng.random(w.shape, dtype=np.float32) / 4 for w in own]
    ours.network.set_weights(changed)
    plain.set_weights(changed)
    theirs = plain.predict(images.astype(np.float32), verbose=0)
    apart = float(np.abs(ours.predict(images, verbose=0) - theirs).max())
    ours.network.set_weights(own)
    plain.set_weights(own)
    if not apart < tolerance:
        raise SystemExit(f"The probabilities differ by up to {apart}.")
    return apart
