"""Alternating updates: what a step computes, on every backend, and what `fit` still does."""

from __future__ import annotations

from typing import Any, get_args

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.generators import number, tiny_r3gan
from synthray._keras.alternating import Half
from synthray._keras.backend import steps_taken
from synthray.generators.gan import GAN, Logits, Updates

SHAPE = (4, 4, 1)


class Bare(GAN):
    """Two dense networks and no other draws than latents."""

    def __init__(self, updates: Any = "alternating") -> None:
        dense = keras.layers.Dense
        initializers = [keras.initializers.GlorotUniform(s) for s in range(2)]
        layers = [keras.Input((3,)), dense(16, kernel_initializer=initializers[0])]
        generator = keras.Sequential([*layers, keras.layers.Reshape(SHAPE)])
        layers = [keras.Input(SHAPE), keras.layers.Flatten()]
        judge = keras.Sequential([*layers, dense(1, kernel_initializer=initializers[1])])
        super().__init__(generator, judge, updates=updates, seed=1)

    def losses_from_logits(self, logits: Logits) -> tuple[Any, Any]:
        real = keras.ops.stop_gradient(logits["real"])
        d_losses = keras.ops.softplus(logits["fake"] - logits["real"])
        return d_losses, keras.ops.softplus(real - logits["generated"])


def images(n: int = 8) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, *SHAPE), dtype=np.uint8)


def step(gan: GAN, **arguments: Any) -> GAN:
    gan.compile(keras.optimizers.SGD(0.5), **arguments)
    gan.fit(images(), batch_size=8, epochs=1, shuffle=False, verbose=0)
    return gan


def assert_equal(first: keras.Model, second: keras.Model) -> None:
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("eagerly", [False, True])
def test_the_generator_answers_the_updated_discriminator(eagerly: bool) -> None:
    turns = step(Bare(), run_eagerly=eagerly)
    together = step(Bare("simultaneous"))
    assert_equal(turns.discriminator, together.discriminator)
    assert (
        np.abs(turns.generator.get_weights()[0] - together.generator.get_weights()[0]).max() > 0.01
    )
    # The other half by hand: the first generator, the next latents, the discriminator as updated.
    after = Bare("simultaneous")
    after.discriminator.set_weights(turns.discriminator.get_weights())
    after.seed_generator.state.assign(together.seed_generator.state)
    step(after)
    assert_equal(turns.generator, after.generator)


def test_r3gan_counts_once() -> None:
    trained = {}
    for updates in get_args(Updates):
        gan = tiny_r3gan(augment_strength=0, updates=updates)
        x = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), dtype=np.uint8)
        history = gan.fit(x, batch_size=8, epochs=1, verbose=0, guard=False).history
        assert {"d_loss", "g_loss", "penalty", "diversity", "augmentation"} < set(history)
        assert int(gan.images_seen) == 8
        trained[updates] = gan
    one, turns = trained.values()

    def far(part: str) -> float:
        pairs = zip(
            getattr(one, part).get_weights(), getattr(turns, part).get_weights(), strict=True
        )
        return max(float(np.abs(a - b).max()) for a, b in pairs)

    assert far("ema_generator") < 1e-6
    assert far("discriminator") < 1e-5
    assert far("generator") > 1e-4


def test_halves_are_one_step() -> None:
    gan = Bare()
    gan.compile(keras.optimizers.Adam(1e-2))
    history = gan.fit(images(16), batch_size=8, epochs=3, verbose=0).history
    assert int(gan.optimizer.iterations) == 6
    parts = np.add(history["d_loss"], history["g_loss"])
    np.testing.assert_allclose(history["loss"], parts, rtol=1e-5)


def test_several_steps_at_once_are_the_same() -> None:
    found = []
    for count in (1, 2):
        gan = Bare()
        gan.compile(keras.optimizers.Adam(1e-2), steps_per_execution=count)
        gan.fit(images(32), batch_size=8, epochs=2, verbose=0)
        found.append(gan)
    assert_equal(found[0].generator, found[1].generator)
    assert_equal(found[0].discriminator, found[1].discriminator)


def test_weights_of_images_count_for_both() -> None:
    gan = Bare()
    known: list[float] = []
    gan.compile(keras.optimizers.SGD(0.0))
    halves: tuple[Half, Half] = ("discriminator", "generator")
    for half in halves:
        for weight in (None, 2 * np.ones(8, "float32")):
            gan.seed_generator.state.assign(Bare().seed_generator.state)
            loss = gan.half_loss(images(), half, weight)
            known.append(number(loss))
    assert known[1::2] == pytest.approx([2 * known[0], 2 * known[2]], rel=1e-5)


@pytest.mark.backend
def test_a_scaled_loss_moves_by_the_same() -> None:
    scaled, plain = Bare(), Bare()
    scaled.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5)))
    scaled.fit(images(), batch_size=8, epochs=1, shuffle=False, verbose=0)
    assert int(scaled.optimizer.iterations) == 1
    assert_equal(scaled.generator, step(plain).generator)
    assert_equal(scaled.discriminator, plain.discriminator)


def test_gradients_cannot_be_accumulated_over_halves() -> None:
    accumulating = keras.optimizers.Adam(1e-3, gradient_accumulation_steps=2)
    refused = Bare()
    with pytest.raises(ValueError, match=r"cannot accumulate.*steps=2.*larger batches"):
        refused.compile(accumulating)
    assert not refused.compiled  # a `fit` takes the default
    gan = Bare("simultaneous")
    gan.compile(accumulating)
    gan.fit(images(), batch_size=2, epochs=2, verbose=0)
    assert steps_taken(gan) == 8


def test_penalties_of_activities_are_refused() -> None:
    gan = Bare()
    strict = keras.layers.Dense(1, activity_regularizer="l2")
    layers = [keras.Input(SHAPE), keras.layers.Flatten()]
    for last in (strict, keras.layers.SpectralNormalization(strict)):
        with pytest.raises(ValueError, match="has an activity_regularizer"):
            GAN(gan.generator, keras.Sequential([*layers, last]))


class Block(keras.layers.Layer):
    """A layer whose attributes are its author's."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])

    def call(self, x: Any) -> Any:
        return self.layers(x)


def test_networks_may_hold_any_layer() -> None:
    GAN(Bare().generator, keras.Sequential([keras.Input(SHAPE), Block()]))


def by_row(weights: Any) -> Any:
    return 0.25 * keras.ops.sum(keras.ops.square(weights), axis=1)


@pytest.mark.backend
@pytest.mark.parametrize("updates", get_args(Updates))
def test_penalties_of_layers_count(updates: str) -> None:
    gan, plain = Bare(updates), Bare(updates)
    strong = by_row  # a vector, which Keras adds up
    gan.discriminator.layers[-1].kernel_regularizer = strong
    kernel = gan.discriminator.layers[-1].kernel
    kernel.regularizer = strong
    before = kernel.numpy()
    for model in (gan, plain):
        model.compile(keras.optimizers.SGD(0.5))
        model.logs = model.fit(images(), batch_size=8, shuffle=False, verbose=0).history
    # Its gradient is 2 * 0.25 times the weights, half of which a step takes.
    moved = gan.discriminator.get_weights()[0] - plain.discriminator.get_weights()[0]
    np.testing.assert_allclose(moved, -0.25 * before, rtol=1e-4, atol=1e-6)
    penalty = 0.25 * float((before**2).sum())
    losses = {model: model.logs["loss"][0] - model.logs["g_loss"][0] for model in (gan, plain)}
    assert losses[gan] == pytest.approx(losses[plain] + penalty, rel=1e-4)
    if updates == "simultaneous":  # the generator's is against a discriminator that has not moved
        for one, other in zip(gan.generator.weights, plain.generator.weights, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)
