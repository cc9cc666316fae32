"""Layers of `ProjectedGAN`."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from synthray._keras.devices import rows_of_replica
from synthray._keras.layers import Conv2D

# Which weights of three fall on one pixel that was doubled, for each of four places.
_SUMS = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32)


@keras.saving.register_keras_serializable(package="synthray")
class CappedLength(layers.Layer):
    """Shortens vectors of length n to `sqrt(n)`, the usual length of standard normal ones.

    Shorter ones stay, so that `sample(truncation=)` has an effect.
    """

    def call(self, inputs: Any) -> Any:
        """Shorten."""
        mean_square = ops.mean(ops.square(inputs), axis=-1, keepdims=True)
        return inputs * ops.rsqrt(ops.maximum(mean_square, 1.0))


@keras.saving.register_keras_serializable(package="synthray")
class GatedLinearUnit(layers.Layer):
    """The first half of the channels, each times the sigmoid of one of the second half."""

    def call(self, inputs: Any) -> Any:
        """Gate."""
        passed, gate = ops.split(inputs, 2, axis=-1)
        return passed * ops.sigmoid(gate)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape, with half as many channels."""
        return (*input_shape[:-1], input_shape[-1] // 2)


@keras.saving.register_keras_serializable(package="synthray")
class DoublingConv2D(layers.Layer):
    """Doubles maps by nearest neighbours and convolves them by 3x3, in one operation.

    Neighbours that are equal are multiplied by the sum of their weights: a transposed convolution
    of 4x4 and stride 2, with less than half of the products.

    Args:
        filters: Number of maps that come out.
        kernel_initializer: Of the 3x3 kernel.
        **kwargs: As for `keras.layers.Layer`.
    """

    def __init__(self, filters: int, *, kernel_initializer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        """Make the kernel."""
        shape = (3, 3, input_shape[-1], self.filters)
        self.kernel = self.add_weight(
            shape=shape, initializer=self.kernel_initializer, name="kernel"
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Double and convolve."""
        sums = ops.cast(_SUMS, self.compute_dtype)
        kernel = ops.einsum("ya,xb,abio->yxoi", sums, sums, self.kernel)
        return ops.conv_transpose(inputs, kernel, 2, "same", data_format="channels_last")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the maps that come out."""
        n, height, width, _ = input_shape
        return (n, 2 * height, 2 * width, self.filters)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        start = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "filters": self.filters, "kernel_initializer": start}


@keras.saving.register_keras_serializable(package="synthray")
class NoiseInjection(layers.Layer):
    """Adds a map of normal noise, the same for all channels, times a weight that is learnt.

    In training the noise is random. When images are generated it is a fixed linear function of the
    latent, which follows the same distribution: equal latents give equal images.

    Args:
        seed: Seed of the noise.
        **kwargs: As for `keras.layers.Layer`.
    """

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        """Make the weight."""
        self.weight = self.add_weight(shape=(), initializer="zeros", name="weight")
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Add noise to maps: `[maps, latents]`."""
        maps, latents = inputs
        _, height, width, _ = maps.shape
        if training:
            shape = (height, width, 1)
            noise = rows_of_replica(
                lambda n: keras.random.normal((n, *shape), seed=self.seed_generator),
                ops.shape(maps)[0],
            )
        else:
            # Numbers of NumPy, for they are the same on every backend.
            places = (latents.shape[-1], height * width)
            fixed = np.random.default_rng(self.seed).standard_normal(places, np.float32)
            noise = ops.matmul(ops.cast(latents, "float32"), fixed / math.sqrt(places[0]))
            noise = ops.reshape(noise, (-1, height, width, 1))
        return maps + self.weight * ops.cast(noise, maps.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the maps."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="synthray")
class SpectralConv2D(Conv2D):
    """A convolution whose kernel is divided by its largest singular value.

    The kernel counts as a matrix with a column for each filter. One step of the power iteration a
    training step follows that value (algorithm 1 of Miyato et al. 2018, arXiv 1802.05957); the
    gradient takes it into account. `keras.layers.SpectralNormalization` overwrites the kernel
    instead, which has no gradient and no place in a call without side effects.
    """

    def build(self, input_shape: Any) -> None:
        """Make the kernel, and the vector of the power iteration."""
        super().build(input_shape)
        self.singular = self.add_weight(
            shape=(self.filters,),
            initializer=keras.initializers.RandomNormal(seed=self.filters),
            trainable=False,
            autocast=False,
            name="singular",
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Convolve."""
        matrix = ops.reshape(ops.cast(self.kernel, "float32"), (-1, self.filters))
        fixed, vector = ops.stop_gradient(matrix), ops.convert_to_tensor(self.singular)
        left = _unit(ops.matmul(fixed, vector))
        if training:
            vector = _unit(ops.matmul(ops.transpose(fixed), left))
            self.singular.assign(vector)
            left = _unit(ops.matmul(fixed, vector))
        norm = ops.sum(left * ops.matmul(matrix, _unit(vector)))
        outputs = self.convolution_op(inputs, self.kernel / ops.cast(norm, self.kernel.dtype))
        return ops.add(outputs, self.bias) if self.use_bias else outputs

    # A convolution of Keras saves its kernel and bias only.

    def save_own_variables(self, store: Any) -> None:
        """Save all variables."""
        layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Restore what `save_own_variables` saved."""
        layers.Layer.load_own_variables(self, store)


def _unit(vector: Any) -> Any:
    return vector * ops.rsqrt(ops.maximum(ops.sum(ops.square(vector)), 1e-12))
