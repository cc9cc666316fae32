"""DCGAN: the deck's networks, and what the shared training step computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from synthray.generators import losses
from toys import assert_equal_weights, bars, kid

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


def small(**arguments: Any) -> sr.DCGAN:
    settings: dict[str, Any] = {"image_shape": (16, 16, 1), "width": 0.125, "seed": 0}
    return sr.DCGAN(**(settings | arguments))


def table(network: keras.Model) -> list[tuple[str, tuple[int, ...], int]]:
    return [(la.name, tuple(la.output.shape[1:]), la.count_params()) for la in network.layers[1:]]


def test_networks_are_those_of_the_slides() -> None:
    gan = sr.DCGAN()
    assert gan.latent_dim == 128
    assert table(gan.generator) == GENERATOR
    assert table(gan.discriminator) == DISCRIMINATOR
    assert gan.generator.count_params() == 3_979_651
    assert gan.discriminator.count_params() == 404_801
    for name, kernel in [("up1", 4), ("up2", 4), ("up3", 4)]:
        layer = gan.generator.get_layer(name)
        assert (layer.kernel_size, layer.strides) == ((kernel, kernel), (2, 2))
    assert gan.generator.get_layer("image_logits").kernel_size == (5, 5)


@pytest.mark.parametrize("shape", [(24, 40, 1), (8, 8, 3)])
def test_other_shapes(shape: tuple[int, int, int]) -> None:
    gan = small(image_shape=shape)
    assert gan.sample(2).shape == (2, *shape)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (60, 64, 1)}, r"divisible by 8, got 60x64.*64x64"),
        ({"image_shape": (64, 64)}, "1 or 3 channels"),
        ({"image_shape": (64, 64, 4)}, "1 or 3 channels"),
        ({"width": 0}, "width positive"),
        ({"latent_dim": 0}, "latent_dim must be at least 1"),
    ],
)
def test_impossible_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**arguments)


def test_losses_match_the_definition() -> None:
    real, fake = np.array([-2.0, 0.5], "float32"), np.array([1.0, -3.0], "float32")

    def sigmoid(x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    d_loss = losses.non_saturating_discriminator_loss(real, fake)
    np.testing.assert_allclose(
        d_loss, -np.log(sigmoid(real)) - np.log(1 - sigmoid(fake)), rtol=1e-5
    )
    g_loss = losses.non_saturating_generator_loss(fake)
    np.testing.assert_allclose(g_loss, -np.log(sigmoid(fake)), rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="uses GradientTape as referee")
def test_one_pass_gives_the_gradients_of_two() -> None:
    import tensorflow as tf

    gan = small()
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


@pytest.mark.backend
def test_training_moves_both_networks_and_reports_both_losses() -> None:
    gan = small()
    before = [v.numpy().copy() for v in gan.trainable_variables]
    history = gan.fit(bars(20), batch_size=8, epochs=2, verbose=0).history
    assert set(history) == {"loss", "d_loss", "g_loss"}
    np.testing.assert_allclose(
        history["loss"], np.add(history["d_loss"], history["g_loss"]), rtol=0.02
    )
    for variable, old in zip(gan.trainable_variables, before, strict=True):
        assert not np.array_equal(variable.numpy(), old), variable.path
    assert int(gan.optimizer.iterations) == 6
    assert gan.evaluate(bars(8).images, verbose=0, return_dict=True)["d_loss"] > 0


def test_learns_a_toy_set() -> None:
    train, held_out = (bars(400, seed=s).by_class()["upright"] for s in (1, 2))
    gan = small(width=0.25, seed=1)  # with some seeds the last bars are few: rounding decides
    gan.compile(keras.optimizers.Adam(1e-3, beta_1=0.5))
    before = kid(held_out.images, gan.sample(200, seed=0))
    gan.fit(train, epochs=25, verbose=0)
    after = kid(held_out.images, gan.sample(200, seed=0))
    floor = kid(held_out.images, train.images)
    assert after < 0.2 * before
    assert after > floor


def test_a_seed_decides_everything() -> None:
    first, again, other = (small(seed=s) for s in (3, 3, 4))
    for gan in (first, again, other):
        gan.fit(bars(20), batch_size=8, epochs=1, verbose=0)
    assert_equal_weights(first, again)
    assert not np.array_equal(first.sample(2, seed=0), other.sample(2, seed=0))
    assert small(seed=None).seed != small(seed=None).seed


@pytest.mark.backend
def test_sampling_is_deterministic_whatever_the_batch_size() -> None:
    gan = small()
    images = gan.sample(11, seed=5)
    assert images.shape == (11, 16, 16, 1)
    assert images.dtype == np.uint8
    for batch_size in (1, 4, 64):
        np.testing.assert_array_equal(gan.sample(11, seed=5, batch_size=batch_size), images)
    np.testing.assert_array_equal(gan.sample(4, seed=5), images[:4])
    assert not np.array_equal(gan.sample(11, seed=6), images)
    assert not np.array_equal(gan.sample(11), gan.sample(11))
    latents = np.random.default_rng(5).standard_normal((11, 128), dtype=np.float32)
    np.testing.assert_array_equal(gan.generate(latents, batch_size=4), images)
    assert gan.sample(0).shape == (0, 16, 16, 1)
    assert [len(b) for b in gan.sample_batches(5, batch_size=2)] == [2, 2, 1]


def test_sampling_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match=r"shape \(n, 128\), got \(3, 64\)"):
        small().generate(np.zeros((3, 64)))
    with pytest.raises(ValueError, match="n >= 0"):
        small().sample(-1)


@pytest.mark.backend
def test_a_reloaded_model_continues_exactly(tmp_path: Path) -> None:
    data = bars(20)
    straight, stopped = small(), small()
    straight.fit(data, batch_size=8, epochs=4, verbose=0)
    stopped.fit(data, batch_size=8, epochs=2, verbose=0)
    stopped.save(tmp_path / "gan.keras")
    back = keras.saving.load_model(tmp_path / "gan.keras")
    assert isinstance(back, sr.DCGAN)
    assert_equal_weights(back, stopped)
    np.testing.assert_array_equal(back.sample(3, seed=1), stopped.sample(3, seed=1))
    back.fit(data, batch_size=8, epochs=2, verbose=0)
    assert_equal_weights(back, straight)


def test_config_round_trip() -> None:
    gan = small(latent_dim=7, dtype="mixed_bfloat16", name="bones")
    back = sr.DCGAN.from_config(gan.get_config())
    assert back.get_config() == gan.get_config()
    assert back.dtype_policy.name == "mixed_bfloat16"
    assert back.generator.get_layer("up1").compute_dtype == "bfloat16"


@pytest.mark.backend
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains(policy: str, tmp_path: Path) -> None:
    gan = small(dtype=policy)
    history = gan.fit(bars(16), batch_size=8, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert gan.generator.get_layer("up1").kernel.dtype == "float32"
    assert gan.generator.output.dtype == "float32"
    assert gan.sample(2, seed=0).shape == (2, 16, 16, 1)
    gan.save(tmp_path / "gan.keras")
    back = keras.saving.load_model(tmp_path / "gan.keras")
    for one, other in zip(back.optimizer.variables, gan.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())  # the scale of float16 too


def test_compile_takes_options_but_no_loss(tmp_path: Path) -> None:
    gan = small()
    gan.compile("rmsprop", steps_per_execution=2)
    gan.fit(bars(32), batch_size=8, epochs=1, verbose=0)
    gan.save(tmp_path / "gan.keras")
    back = keras.saving.load_model(tmp_path / "gan.keras")
    assert type(back.optimizer).__name__ == "RMSprop"
    assert back.steps_per_execution == 2
    with pytest.raises(ValueError, match="override losses_from_logits"):
        gan.compile(loss="mse")
    gan.compile()
    assert type(gan.optimizer).__name__ == "Adam"
    assert float(gan.optimizer.learning_rate) == pytest.approx(1e-4)
