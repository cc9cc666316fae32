from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from synthray._adam import Adam, adam

IMAGES = np.random.default_rng(0).normal(size=(24, 6)).astype("float32")
TARGET = np.random.default_rng(1).normal(size=(24, 3)).astype("float32")


def model(optimizer: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [keras.Input((6,)), keras.layers.Dense(5, "tanh", kernel_initializer="orthogonal")]
    made = keras.Sequential([*layers, keras.layers.Dense(3)])
    made.compile(optimizer, "mse")
    return made


def weights(trained: keras.Model, epochs: int = 6) -> list[Any]:
    trained.fit(IMAGES, TARGET, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return trained.get_weights()


@pytest.mark.backend
@pytest.mark.parametrize(
    "options", [{}, {"beta_1": 0.0, "beta_2": 0.99}, {"epsilon": 1e-3, "weight_decay": 0.01}]
)
def test_the_numbers_are_those_of_keras(options: dict[str, Any]) -> None:
    plain = weights(model(keras.optimizers.Adam(0.01, **options)))
    for one, other in zip(plain, weights(model(adam(0.01, **options))), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_schedules_and_amsgrad() -> None:
    for options in ({}, {"amsgrad": True}):
        rate = keras.optimizers.schedules.ExponentialDecay(0.05, 3, 0.5)
        plain = weights(model(keras.optimizers.Adam(rate, **options)))
        for one, other in zip(plain, weights(model(Adam(rate, **options))), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_a_reloaded_model_goes_on(tmp_path: Path) -> None:
    first = model(adam(0.01))
    weights(first, 2)
    first.save(tmp_path / "half.keras")
    reloaded = keras.saving.load_model(tmp_path / "half.keras")
    assert type(reloaded.optimizer) is type(first.optimizer)
    for one, other in zip(weights(first, 2), weights(reloaded, 2), strict=True):
        np.testing.assert_array_equal(other, one)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's strategies")
def test_copies_on_devices_are_updated_by_keras() -> None:
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        spread = model(Adam(0.01))
    plain = weights(model(keras.optimizers.Adam(0.01)))
    for one, other in zip(plain, weights(spread), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
