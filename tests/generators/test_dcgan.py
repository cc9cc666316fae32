"""DCGAN: the experiment's networks, and what the shared training step computes."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import synthray as sr
from helpers.generators import tiny_dcgan
from helpers.toys import bars, kid

GENERATOR = [
    ("dense", (8192,), 1_056_768),
    ("reshape", (8, 8, 128), 0),
    ("up1", (16, 16, 128), 262_272),
    ("up1_relu", (16, 16, 128), 0),
    ("up2", (32, 32, 256), 524_544),
    ("up2_relu", (32, 32, 256), 0),
    ("up3", (64, 64, 512), 2_097_664),
    ("up3_relu", (64, 64, 512), 0),
    ("image_logits", (64, 64, 3), 38_403),
    ("image", (64, 64, 3), 0),
]
DISCRIMINATOR = [
    ("down1", (32, 32, 64), 3_136),
    ("down1_relu", (32, 32, 64), 0),
    ("down2", (16, 16, 128), 131_200),
    ("down2_relu", (16, 16, 128), 0),
    ("down3", (8, 8, 128), 262_272),
    ("down3_relu", (8, 8, 128), 0),
    ("flatten", (8192,), 0),
    ("dropout", (8192,), 0),
    ("logit", (1,), 8_193),
]


def table(network: keras.Model) -> list[tuple[str, tuple[int, ...], int]]:
    return [(la.name, tuple(la.output.shape[1:]), la.count_params()) for la in network.layers[1:]]


def test_networks_are_those_of_the_experiment() -> None:
    gan = sr.DCGAN()
    assert gan.latent_dim == 128
    assert table(gan.generator) == GENERATOR
    assert table(gan.discriminator) == DISCRIMINATOR
    assert gan.generator.count_params() == 3_979_651
    assert gan.discriminator.count_params() == 404_801
    for name in ("up1", "up2", "up3"):
        layer = gan.generator.get_layer(name)
        assert (layer.kernel_size, layer.strides) == ((4, 4), (2, 2))
    assert gan.generator.get_layer("image_logits").kernel_size == (5, 5)
    assert float(gan.default_optimizer().learning_rate) == pytest.approx(1e-4)


@pytest.mark.parametrize("shape", [(24, 40, 1), (8, 8, 3)])
def test_other_shapes(shape: tuple[int, int, int]) -> None:
    gan = tiny_dcgan(image_shape=shape)
    assert gan.sample(2, batch_size=2).shape == (2, *shape)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="uses GradientTape as referee")
def test_one_pass_gives_the_gradients_of_two() -> None:
    import tensorflow as tf

    gan = tiny_dcgan()
    images = bars(8).images
    state = gan.seed_generator.state.numpy()
    with tf.GradientTape() as tape:
        loss = gan.compute_loss(y_pred=gan(images, training=False))
    one_pass = tape.gradient(loss, gan.trainable_variables)

    gan.seed_generator.state.assign(state)
    latents = keras.random.normal((8, 128), seed=gan.seed_generator)
    real = images.astype("float32") / 255
    g_vars, d_vars = gan.generator.trainable_variables, gan.discriminator.trainable_variables
    with tf.GradientTape() as d_tape:
        fake = gan.generator(latents)
        d_loss = tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(tf.ones((8, 1)), gan.discriminator(real))
            + tf.nn.sigmoid_cross_entropy_with_logits(tf.zeros((8, 1)), gan.discriminator(fake))
        )
    with tf.GradientTape() as g_tape:
        g_loss = tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(
                tf.ones((8, 1)), gan.discriminator(gan.generator(latents))
            )
        )
    two_pass = {
        id(v): g
        for tape, value, variables in ((d_tape, d_loss, d_vars), (g_tape, g_loss, g_vars))
        for v, g in zip(variables, tape.gradient(value, [v.value for v in variables]), strict=True)
    }
    assert len(two_pass) == len(one_pass)
    for variable, gradient in zip(gan.trainable_variables, one_pass, strict=True):
        np.testing.assert_allclose(gradient, two_pass[id(variable)], rtol=2e-4, atol=1e-6)


@pytest.mark.slow
def test_learns_a_toy_set() -> None:
    train, held_out = (bars(400, seed=s).by_class()["upright"] for s in (1, 2))
    gan = tiny_dcgan(width=0.25, seed=1)  # with some seeds the last bars are few: rounding decides
    gan.compile(keras.optimizers.Adam(1e-3, beta_1=0.5))
    before = kid(held_out.images, gan.sample(200, seed=0))
    gan.fit(train, epochs=25, verbose=0)
    after = kid(held_out.images, gan.sample(200, seed=0))
    floor = kid(held_out.images, train.images)
    assert floor < after < 0.2 * before
