"""R3GAN: its networks, what a training step computes, and learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import synthray as sr
from helpers.generators import number, tiny_bars, tiny_r3gan
from helpers.toys import bars, kid

SLOW = pytest.mark.slow


def test_sizes() -> None:
    gan = sr.R3GAN()
    assert gan.generator.count_params() == 831_457
    assert gan.discriminator.count_params() == 549_345
    assert gan.generator.output_shape == (None, 64, 64, 1)
    base = sr.R3GAN((32, 32, 3), size="base", width=0.125, seed=0)
    assert (base.size, base.latent_dim, base.image_shape) == ("base", 128, (32, 32, 3))
    assert base.generator.get_layer("g0_block1_conv1").filters == 32


@pytest.mark.parametrize(
    "shape", [(28, 28, 1), (24, 40, 3), (8, 32, 1), (48, 24, 1), (20, 20, 1), (7, 7, 3)]
)
def test_shapes_of_the_rule(shape: tuple[int, int, int]) -> None:
    gan = tiny_r3gan(image_shape=shape)
    images = gan.sample(2, seed=0)
    assert images.shape == (2, *shape)
    assert np.isfinite(gan.discriminator.predict(images / 255, verbose=0)).all()


def test_blocks_start_as_the_identity() -> None:
    gan = tiny_r3gan(size="base", image_shape=(16, 16, 1), width=0.06)
    for network in (gan.generator, gan.discriminator):
        blocks = [la for la in network.layers if la.name.endswith("block1_add")]
        assert blocks
        for layer in blocks:
            name = layer.name.removesuffix("_add")
            through = keras.Model(
                network.input,
                [network.get_layer(f"{name}_activation1").input, layer.output],
            )
            noise = np.random.default_rng(0).normal(size=(2, *network.input_shape[1:]))
            before, after = through.predict(noise, verbose=0)
            np.testing.assert_array_equal(before, after)
            assert np.abs(before).max() > 0


# Losses of the first step with the weights and numbers of `known_step`, found with TensorFlow.
KNOWN = {"d_loss": 0.9493181, "g_loss": 0.5559765, "penalty": 7.967684}


def known_step(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Losses of one step in which no number comes from a backend's own random generator."""
    rng = np.random.default_rng(0)
    gan = tiny_r3gan(gamma=10.0)
    for network in (gan.generator, gan.discriminator):
        network.set_weights([rng.normal(0, 1, w.shape).astype("float32") for w in network.weights])

    def normal(shape: Any, seed: Any = None, **_: Any) -> Any:
        return ops.convert_to_tensor(rng.normal(size=tuple(shape)).astype("float32"))

    monkeypatch.setattr(keras.random, "normal", normal)
    images = ops.convert_to_tensor(rng.integers(0, 256, (4, 8, 8, 1)).astype("uint8"))
    loss = gan.compute_loss(y_pred=gan(images, training=False))
    found = {m.name: float(m.result()) for m in gan.metrics if m.name in KNOWN}
    assert number(loss) == pytest.approx(sum(found.values()), rel=1e-5)
    return found


@pytest.mark.backend
def test_every_backend_computes_the_same_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert known_step(monkeypatch) == pytest.approx(KNOWN, rel=1e-3)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="uses GradientTape as referee")
def test_one_pass_gives_each_network_the_gradient_of_its_own_loss() -> None:
    import tensorflow as tf

    gan = tiny_r3gan(augment_strength=0.0, gamma=2.0, width=0.25)
    images = tiny_bars(8).images
    state = gan.seed_generator.state.numpy()
    with tf.GradientTape() as tape:
        loss = gan.compute_loss(y_pred=gan(images, training=False))
    one_pass = tape.gradient(loss, gan.trainable_variables)

    gan.seed_generator.state.assign(state)
    latents = keras.random.normal((8, 64), seed=gan.seed_generator)
    noises = [keras.random.normal((2, 8, 8, 1), seed=gan.seed_generator) for _ in range(2)]
    real = images.astype("float32") / 127.5 - 1
    g_vars, d_vars = gan.generator.trainable_variables, gan.discriminator.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        fake = gan.generator(latents)
        d_real, d_fake = gan.discriminator(real)[:, 0], gan.discriminator(fake)[:, 0]
        penalties = [
            tf.square((gan.discriminator(x[::4] + 0.05 * e)[:, 0] - d[::4]) / 0.05)
            for x, e, d in zip(
                (real, tf.stop_gradient(fake)), noises, (d_real, d_fake), strict=True
            )
        ]
        d_loss = (
            tf.reduce_mean(tf.math.softplus(d_fake - d_real))
            + 0.01 * tf.reduce_mean((d_real + d_fake) ** 2)
            + sum(tf.reduce_mean(p) for p in penalties)
        )
        g_loss = tf.reduce_mean(tf.math.softplus(d_real - d_fake))
    own = {}
    for value, variables in ((d_loss, d_vars), (g_loss, g_vars)):
        gradients = tape.gradient(value, [v.value for v in variables])
        own.update({id(v): g for v, g in zip(variables, gradients, strict=True)})
    assert len(own) == len(one_pass)
    for variable, gradient in zip(gan.trainable_variables, one_pass, strict=True):
        np.testing.assert_allclose(gradient, own[id(variable)], rtol=5e-4, atol=1e-5)


def test_a_training_moves_everything_and_averages_the_generator() -> None:
    gan = tiny_r3gan()
    before = [v.numpy().copy() for v in gan.trainable_variables]
    history = gan.fit(tiny_bars(20), batch_size=8, epochs=2, verbose=0).history
    assert set(history) == {
        "loss",
        "d_loss",
        "g_loss",
        "penalty",
        "diversity",
        "augmentation",
    }
    parts = np.add(np.add(history["d_loss"], history["g_loss"]), history["penalty"])
    np.testing.assert_allclose(history["loss"], parts, rtol=0.05)
    for variable, old in zip(gan.trainable_variables, before, strict=True):
        assert not np.array_equal(variable.numpy(), old), variable.path
    assert int(gan.images_seen.numpy()) == 40
    for average, current in zip(gan.ema_generator.weights, gan.generator.weights, strict=True):
        assert not np.array_equal(average.numpy(), current.numpy())
    shown = gan.ema_generator.predict(np.zeros((1, 64), "float32"), verbose=0)
    expected = np.clip(np.rint((shown + 1) * 127.5), 0, 255)
    np.testing.assert_array_equal(gan.generate(np.zeros((1, 64))), expected)
    gan.evaluate(tiny_bars(8).images, verbose=0)
    assert int(gan.images_seen.numpy()) == 40  # judging is not training


def test_the_average_is_that_of_the_definition() -> None:
    gan = tiny_r3gan(ema_images=10)
    seen: list[Any] = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            seen.append(gan.generator.weights[0].numpy().copy())

    average = gan.generator.weights[0].numpy().copy()
    gan.fit(tiny_bars(64), batch_size=16, epochs=5, verbose=0, callbacks=[Watch()])
    for step, value in enumerate(seen, start=1):
        kept = 0.5 ** (16 / min(0.05 * 16 * step, 10))
        average = value + kept * (average - value)
    np.testing.assert_allclose(gan.ema_generator.weights[0].numpy(), average, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("policy", ["float32", pytest.param("mixed_bfloat16", marks=SLOW)])
def test_learns_a_toy_set(policy: str) -> None:
    train, held_out = (bars(400, seed=s).by_class()["upright"] for s in (1, 2))
    gan = sr.R3GAN((16, 16, 1), width=0.25, seed=0, dtype=policy)
    before = kid(held_out.images, gan.sample(200, seed=0))
    gan.fit(train, batch_size=16, epochs=25, verbose=0)
    after = kid(held_out.images, gan.sample(200, seed=0))
    assert after < 0.2 * before
    assert after > kid(held_out.images, train.images)


def test_the_learning_rate_falls_along_a_cosine(tmp_path: Path) -> None:
    rates: list[float] = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            rates.append(float(self.model.optimizer.learning_rate))

    def train(gan: sr.R3GAN, **arguments: Any) -> list[float]:
        rates.clear()
        gan.run_eagerly = True
        gan.fit(tiny_bars(8), epochs=2, verbose=0, callbacks=[Watch()], **arguments)
        return list(rates)

    wave = (1 + np.cos(np.pi * np.arange(2) / 2)) / 2
    gan = tiny_r3gan(rate_decay=0.1)
    assert train(gan) == pytest.approx(list(3e-3 * (0.1 + 0.9 * wave)))
    gan.save(tmp_path / "gan.keras")
    back = keras.saving.load_model(tmp_path / "gan.keras")
    assert train(back) == pytest.approx(list(3e-3 * (0.1 + 0.9 * wave)))
    assert train(tiny_r3gan(rate_decay=1.0)) == pytest.approx([3e-3] * 2)
    scheduled = tiny_r3gan()
    scheduled.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(1e-3, 1, 0.5))
    )
    assert train(scheduled) == pytest.approx([1e-3 / 2**k for k in range(1, 3)])


def test_penalties_are_in_full_precision_under_mixed_precision() -> None:
    full, half = (
        tiny_r3gan(augment_strength=0.0),
        tiny_r3gan(augment_strength=0.0, dtype="mixed_bfloat16"),
    )
    half.generator.set_weights(full.generator.get_weights())
    half.discriminator.set_weights(full.discriminator.get_weights())
    images = tiny_bars(64).images
    for gan in (full, half):
        gan.compile(run_eagerly=True)
        gan.evaluate(images, batch_size=64, verbose=0)
    found = [{m.name: float(m.result()) for m in gan.metrics}["penalty"] for gan in (full, half)]
    # bfloat16 logits would be off by about 1 % of a logit, that is by several times the penalty.
    assert found[1] == pytest.approx(found[0], rel=0.05)
    assert len(half.weights) == len(full.weights)


def test_augmentation_adapts_to_an_overfitting_discriminator() -> None:
    gan = tiny_r3gan()
    knows, guesses = np.full(16, 2.0, "float32"), np.array([1.0, -1.0] * 8, "float32")
    for _ in range(3):
        gan._advance(ops.convert_to_tensor(knows))
    assert float(gan._strength.numpy()) == pytest.approx(3 * 16 / 100_000)
    for _ in range(5):
        gan._advance(ops.convert_to_tensor(guesses))
    assert float(gan._strength.numpy()) == 0.0  # held at 0
    fixed = tiny_r3gan(augment_strength=1.0)
    fixed.compile(run_eagerly=True)
    fixed.fit(tiny_bars(8), verbose=0)
    assert float(fixed._strength.numpy()) == 0.0


def test_a_pair_is_augmented_alike_and_synthetic_images_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gan = tiny_r3gan(augment_strength=1.0, augment=("brightness",))
    x = ops.zeros((4, 8, 8, 1))
    real, fake = gan._augmented(x, x, 4)
    np.testing.assert_array_equal(ops.convert_to_numpy(real), ops.convert_to_numpy(fake))
    assert float(ops.std(real[:, 0, 0, 0])) > 0.01
    plain = tiny_r3gan(augment_strength=0.0)
    assert plain._augmented(x, x, 4) == (x, x)
    np.testing.assert_array_equal(gan.sample(3, seed=0), plain.sample(3, seed=0))
