"""R3GAN: its networks, what a training step computes, learning, and exact resumption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import synthray as sr
from toys import assert_equal_weights, bars, kid


def tiny(**arguments: Any) -> sr.R3GAN:
    settings: dict[str, Any] = {
        "image_shape": (8, 8, 1),
        "latent_dim": 8,
        "width": 0.125,
        "seed": 0,
    }
    return sr.R3GAN(**(settings | arguments))


def tiny_bars(n: int, **arguments: Any) -> sr.ImageDataset:
    return bars(n, size=8, **arguments)


class StopAfter(keras.callbacks.Callback):
    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.stop_training = epoch + 1 >= self._epochs


def test_default_size_and_presets() -> None:
    gan = sr.R3GAN()
    assert gan.generator.count_params() == 831_457
    assert gan.discriminator.count_params() == 549_345
    assert gan.generator.output_shape == (None, 64, 64, 1)
    base = sr.R3GAN.from_preset("base", (32, 32, 3), width=1.5, seed=0)
    assert (base.width, base.blocks, base.latent_dim) == (1.5, 2, 128)
    assert base.image_shape == (32, 32, 3)
    with pytest.raises(ValueError, match="No preset 'huge'; choose from small, base"):
        sr.R3GAN.from_preset("huge")


@pytest.mark.parametrize(
    "shape", [(28, 28, 1), (24, 40, 3), (8, 32, 1), (48, 24, 1), (20, 20, 1), (7, 7, 3)]
)
def test_shapes_of_the_rule(shape: tuple[int, int, int]) -> None:
    gan = tiny(image_shape=shape)
    images = gan.sample(2, seed=0)
    assert images.shape == (2, *shape)
    assert np.isfinite(gan.discriminator.predict(images / 255, verbose=0)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (60, 60, 1)}, r"Got 60x60; the nearest is 64x64"),
        ({"image_shape": (50, 50, 1)}, r"Got 50x50; the nearest is 48x48"),
        ({"image_shape": (64, 100, 1)}, r"Got 64x100; the nearest is 64x96"),
        ({"image_shape": (130, 64, 1)}, r"Got 130x64; the nearest is 128x64"),
        ({"image_shape": (64, 64)}, "1 or 3 channels"),
        ({"image_shape": (64, 64, 2)}, "1 or 3 channels"),
        ({"latent_dim": 0}, "latent_dim must be at least 1"),
        ({"width": 0}, "width and penalty_sigma must be positive"),
        ({"num_classes": 1}, "num_classes must be at least 2"),
        ({"gamma": -1}, "gamma must be at least 0"),
        ({"rate_decay": 0}, "rate_decay above 0"),
        ({"augment_strength": 1.5}, 'must be 0 to 1 or "adaptive"'),
        ({"augment": ("flip",)}, "Unknown augmentations"),
    ],
)
def test_impossible_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**arguments)


def test_blocks_start_as_the_identity() -> None:
    gan = tiny(blocks=2, image_shape=(16, 16, 1))
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
KNOWN = {"d_loss": 0.7473451, "g_loss": 0.7025830, "penalty": 1.0457177}


def known_step(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Losses of one step in which no number comes from a backend's own random generator."""
    rng = np.random.default_rng(0)
    gan = tiny(gamma=10.0, penalty_every=1)
    for network in (gan.generator, gan.discriminator):
        network.set_weights([rng.normal(0, 1, w.shape).astype("float32") for w in network.weights])

    def normal(shape: Any, seed: Any = None, **_: Any) -> Any:
        return ops.convert_to_tensor(rng.normal(size=tuple(shape)).astype("float32"))

    monkeypatch.setattr(keras.random, "normal", normal)
    images = ops.convert_to_tensor(rng.integers(0, 256, (4, 8, 8, 1)).astype("uint8"))
    loss = gan.compute_loss(y_pred=gan(images, training=False))
    found = {m.name: float(m.result()) for m in gan.metrics if m.name in KNOWN}
    assert float(ops.stop_gradient(loss)) == pytest.approx(sum(found.values()), rel=1e-5)
    return found


@pytest.mark.backend
def test_every_backend_computes_the_same_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert known_step(monkeypatch) == pytest.approx(KNOWN, rel=1e-3)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="uses GradientTape as referee")
def test_one_pass_gives_each_network_the_gradient_of_its_own_loss() -> None:
    import tensorflow as tf

    gan = tiny(augment_strength=0.0, gamma=2.0, penalty_every=2, width=0.25)
    images = tiny_bars(8).images
    state = gan.seed_generator.state.numpy()
    with tf.GradientTape() as tape:
        loss = gan.compute_loss(y_pred=gan(images, training=False))
    one_pass = tape.gradient(loss, gan.trainable_variables)

    gan.seed_generator.state.assign(state)
    latents = keras.random.normal((8, 8), seed=gan.seed_generator)
    noises = [keras.random.normal((4, 8, 8, 1), seed=gan.seed_generator) for _ in range(2)]
    real = images.astype("float32") / 127.5 - 1
    g_vars, d_vars = gan.generator.trainable_variables, gan.discriminator.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        fake = gan.generator(latents)
        d_real, d_fake = gan.discriminator(real)[:, 0], gan.discriminator(fake)[:, 0]
        penalties = [
            tf.square((gan.discriminator(x[::2] + 0.05 * e)[:, 0] - d[::2]) / 0.05)
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
    gan = tiny()
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
    shown = gan.ema_generator.predict(np.zeros((1, 8), "float32"), verbose=0)
    drawn = np.clip(np.rint((shown + 1) * 127.5), 0, 255)
    np.testing.assert_array_equal(gan.generate(np.zeros((1, 8))), drawn)
    gan.evaluate(tiny_bars(8).images, verbose=0)
    assert int(gan.images_seen.numpy()) == 40  # judging is not training


def test_the_average_is_that_of_the_definition() -> None:
    gan = tiny(ema_images=10)
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


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_learns_a_toy_set(policy: str) -> None:
    train, held_out = (bars(400, seed=s).by_class()["upright"] for s in (1, 2))
    gan = sr.R3GAN((16, 16, 1), latent_dim=16, width=0.25, seed=0, dtype=policy)
    before = kid(held_out.images, gan.sample(200, seed=0))
    gan.fit(train, batch_size=16, epochs=25, verbose=0)
    after = kid(held_out.images, gan.sample(200, seed=0))
    assert after < 0.2 * before
    assert after > kid(held_out.images, train.images)


@pytest.mark.backend
def test_a_stopped_and_reloaded_training_continues_exactly(tmp_path: Path) -> None:
    data = tiny_bars(20)
    settings = {"batch_size": 8, "epochs": 4, "verbose": 0}
    straight, stopped = tiny(num_classes=2), tiny(num_classes=2)
    straight.fit(data, **settings)
    stopped.fit(data, callbacks=[StopAfter(2)], **settings)
    stopped.save(tmp_path / "gan.keras")
    back = keras.saving.load_model(tmp_path / "gan.keras")
    assert isinstance(back, sr.R3GAN)
    assert_equal_weights(back, stopped)
    np.testing.assert_array_equal(back.sample(3, seed=1), stopped.sample(3, seed=1))
    back.fit(data, initial_epoch=2, **settings)
    assert_equal_weights(back, straight)
    assert int(back.images_seen.numpy()) == 80


def test_the_learning_rate_falls_along_a_cosine(tmp_path: Path) -> None:
    rates: list[float] = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            rates.append(float(self.model.optimizer.learning_rate))

    def train(gan: sr.R3GAN, **arguments: Any) -> list[float]:
        rates.clear()
        gan.run_eagerly = True
        gan.fit(tiny_bars(8), epochs=4, verbose=0, callbacks=[Watch()], **arguments)
        return list(rates)

    wave = (1 + np.cos(np.pi * np.arange(4) / 4)) / 2
    gan = tiny(rate_decay=0.1)
    assert train(gan) == pytest.approx(list(3e-3 * (0.1 + 0.9 * wave)))
    gan.save(tmp_path / "gan.keras")
    back = keras.saving.load_model(tmp_path / "gan.keras")
    assert train(back) == pytest.approx(list(3e-3 * (0.1 + 0.9 * wave)))
    assert train(tiny(rate_decay=1.0)) == pytest.approx([3e-3] * 4)
    scheduled = tiny()
    scheduled.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(1e-3, 1, 0.5))
    )
    assert train(scheduled) == pytest.approx([1e-3 / 2**k for k in range(1, 5)])
    # Weights of another training bring no rate where there is none to set.
    gan.save_weights(tmp_path / "gan.weights.h5")
    bare = tiny()
    bare.load_weights(tmp_path / "gan.weights.h5")
    assert train(bare) == pytest.approx(list(3e-3 * (0.25 + 0.75 * wave)))
    store: dict[str, Any] = {}
    gan.save_own_variables(store)
    scheduled.load_own_variables(store)
    assert scheduled._first_rate is None
    store["first_rate"] = np.asarray(np.nan)  # of a model that was not compiled
    gan.load_own_variables(store)
    assert gan._first_rate == pytest.approx(3e-3)


def test_config_round_trip() -> None:
    gan = tiny(
        num_classes=3,
        blocks=2,
        gamma=0.5,
        penalty_sigma=0.1,
        penalty_every=2,
        augment=("cutout",),
        augment_strength=0.5,
        ema_images=7,
        label_images=9,
        rate_decay=0.5,
        dtype="mixed_bfloat16",
        name="bones",
    )
    config = gan.get_config()
    back = sr.R3GAN.from_config(json.loads(json.dumps(config)))
    assert back.get_config() == config
    assert back.discriminator.get_layer("down1").compute_dtype == "bfloat16"


@pytest.mark.backend
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains(policy: str) -> None:
    gan = tiny(dtype=policy)
    history = gan.fit(tiny_bars(16), batch_size=8, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert gan.ema_generator.weights[0].dtype == "float32"
    assert gan.generator.output.dtype == "float32"
    assert gan.sample(2, seed=0).shape == (2, 8, 8, 1)


def test_penalties_are_in_full_precision_under_mixed_precision() -> None:
    full, half = tiny(augment_strength=0.0), tiny(augment_strength=0.0, dtype="mixed_bfloat16")
    half.generator.set_weights(full.generator.get_weights())
    half.discriminator.set_weights(full.discriminator.get_weights())
    images = tiny_bars(64).images
    for gan in (full, half):
        gan.compile()
        gan.evaluate(images, batch_size=64, verbose=0)
    found = [{m.name: float(m.result()) for m in gan.metrics}["penalty"] for gan in (full, half)]
    # bfloat16 logits would be off by about 1 % of a logit, that is by several times the penalty.
    assert found[1] == pytest.approx(found[0], rel=0.05)
    assert len(half.weights) == len(full.weights)


def test_augmentation_adapts_to_an_overfitting_discriminator() -> None:
    gan = tiny()
    knows, guesses = np.full(16, 2.0, "float32"), np.array([1.0, -1.0] * 8, "float32")
    for _ in range(3):
        gan._advance(ops.convert_to_tensor(knows))
    assert float(gan._strength.numpy()) == pytest.approx(3 * 16 / 100_000)
    for _ in range(5):
        gan._advance(ops.convert_to_tensor(guesses))
    assert float(gan._strength.numpy()) == 0.0  # held at 0
    fixed = tiny(augment_strength=1.0)
    fixed.fit(tiny_bars(8), verbose=0)
    assert float(fixed._strength.numpy()) == 0.0


@pytest.mark.backend
def test_a_pair_is_augmented_alike_and_drawn_images_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gan = tiny(augment_strength=1.0, augment=("brightness",))
    x = ops.zeros((4, 8, 8, 1))
    real, fake = gan._augmented(x, x, 4)
    np.testing.assert_array_equal(ops.convert_to_numpy(real), ops.convert_to_numpy(fake))
    assert float(ops.std(real[:, 0, 0, 0])) > 0.01
    plain = tiny(augment_strength=0.0)
    assert plain._augmented(x, x, 4) == (x, x)
    np.testing.assert_array_equal(gan.sample(3, seed=0), plain.sample(3, seed=0))
