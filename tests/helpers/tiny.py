"""Generators that train in a blink, for tests that are not about generators."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

import synthray as sr


@keras.saving.register_keras_serializable(package="synthray_tests")
class TinyGAN(sr.GAN):
    """Two networks of one dense layer, trained without being traced."""

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (16, 16, 1),
        *,
        units: int = 4,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        rng = np.random.default_rng(seed)
        shape = tuple(image_shape)

        def dense(n: int, activation: Any = None) -> Any:
            start = keras.initializers.GlorotUniform(int(rng.integers(1000)))
            return layers.Dense(n, activation, kernel_initializer=start)

        latent, image = keras.Input((units,)), keras.Input(shape)
        pixels = dense(int(np.prod(shape)), "sigmoid")(latent)
        flat = layers.Dropout(0.2, seed=seed)(layers.Flatten()(image))
        super().__init__(
            keras.Model(latent, layers.Reshape(shape)(pixels)),
            keras.Model(image, dense(1)(flat)),
            seed=seed,
            **kwargs,
        )
        self.units = units

    def compile(self, *args: Any, **kwargs: Any) -> None:
        super().compile(*args, **{"run_eagerly": True, **kwargs})

    def losses_from_logits(self, logits: Any) -> tuple[Any, Any]:
        real, fake, generated = (ops.softplus(logits[k]) for k in ("real", "fake", "generated"))
        return fake - real, -generated

    def get_config(self) -> dict[str, Any]:
        return {
            "image_shape": list(self.image_shape),
            "units": self.units,
            "seed": self.seed,
            "name": self.name,
            "dtype": self.dtype_policy.name,
        }


@keras.saving.register_keras_serializable(package="synthray_tests")
class BrokenGAN(TinyGAN):
    """Its training ends in NaN, and lets no callback look on."""

    def fit(self, *args: Any, callbacks: Any = None, **kwargs: Any) -> Any:
        history = super().fit(*args, guard=False, **kwargs)
        weight = self.generator.weights[0]
        weight.assign(np.full(weight.shape, np.nan, "float32"))
        return history


class Break(keras.callbacks.Callback):
    """Puts NaN into a weight at the beginning of some epochs."""

    def __init__(self, *epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch in self.epochs:
            weight = self.model.trainable_variables[0]
            weight.assign(np.full(weight.shape, np.nan, "float32"))


def tiny_augmenter(**arguments: Any) -> sr.SyntheticAugmenter:
    settings = {"epochs": 1, "batch_size": 8, "random_state": 0}
    return sr.SyntheticAugmenter(arguments.pop("generator", TinyGAN), **(settings | arguments))


def untraced_cyclegan(image_shape: Any, seed: int, **arguments: Any) -> sr.CycleGAN:
    """A small model that runs without being traced, and does not start at the identity."""
    model = sr.CycleGAN(image_shape, seed=seed, **{"residual_blocks": 0, **arguments})
    model.compile(run_eagerly=True)
    rng = np.random.default_rng(seed)
    for variable in (*model.to_first.weights, *model.to_second.weights):
        variable.assign(variable.numpy() + rng.normal(0, 0.1, variable.shape))
    return model
