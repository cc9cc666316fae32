"""Keras' layers where a backend computes them slowly, wrongly, or not on several devices.

They have Keras' names, arguments and weights, so that files and summaries are the same.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from synthray._keras.backend import cannot_convolve_to_one_map, runs_tensorflow_on_cpu
from synthray._keras.devices import replica_count, rows_of_replica
from synthray._keras.winograd import transposed_convolution

# Maps, and products of numbers for an image, from which Winograd's form is worth its transforms
# and seconds of compilation.
_WIDE, _LARGE = 128, 2**27


@keras.saving.register_keras_serializable(package="synthray")
class Conv2D(layers.Conv2D):
    """`keras.layers.Conv2D`, as one matrix product where windows lie side by side.

    Where torch has no gradient of a convolution to one map, in half precision, it makes a second
    one, of zeros.
    """

    def call(self, inputs: Any) -> Any:
        """Convolve images `(n, h, w, c)`."""
        plain = self.data_format == "channels_last" and self.groups == 1
        plain = plain and set(self.dilation_rate) == {1} and self.padding == "valid"
        if not (plain and self.strides == self.kernel_size):
            return super().call(inputs)
        high, wide, channels, filters = self.kernel.shape
        rows, cols = inputs.shape[1] // high, inputs.shape[2] // wide
        if tuple(inputs.shape[1:3]) != (rows * high, cols * wide):
            inputs = inputs[:, : rows * high, : cols * wide]  # no window takes the rest
        x = ops.reshape(inputs, (-1, rows, high, cols, wide * channels))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, high * wide * channels))
        x = ops.matmul(x, ops.reshape(self.kernel, (-1, filters)))
        # In front of the last reshape, where TensorFlow fuses them with the product.
        x = x + self.bias if self.use_bias else x
        fused = self.activation is keras.activations.relu
        x = ops.reshape(ops.relu(x) if fused else x, (-1, rows, cols, filters))
        return x if fused or self.activation is None else self.activation(x)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve with a kernel, without bias and activation."""
        if not (self.filters == 1 and cannot_convolve_to_one_map(inputs)):
            return super().convolution_op(inputs, kernel)
        two = ops.concatenate([kernel, ops.zeros_like(kernel)], axis=-1)
        both = super().convolution_op(inputs, two)
        return both[..., :1] if self.data_format == "channels_last" else both[:, :1]


@keras.saving.register_keras_serializable(package="synthray")
class BatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, by TensorFlow's one operation for it on a CPU."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize images `(n, h, w, c)` by what the batch is like, or by what batches were."""
        usual = len(inputs.shape) == 4 and self.axis in (-1, 3) and mask is None
        usual = usual and self.scale and self.center and not getattr(self, "renorm", False)
        own = training and self.trainable and not self.synchronized
        if not (usual and own and runs_tensorflow_on_cpu()):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        x, empty = ops.cast(inputs, "float32"), ops.zeros(0)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=self.gamma, offset=self.beta, mean=empty, variance=empty,
            epsilon=self.epsilon, is_training=True,
        )  # fmt: skip
        # The operation divides by one less than the count, Keras by the count.
        count = ops.cast(ops.size(inputs) / inputs.shape[-1], "float32")
        variance = variance * (count - 1.0) / count
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + new * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)


@keras.saving.register_keras_serializable(package="synthray")
class Conv2DTranspose(layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose`, with fewer multiplications where it doubles large images."""

    def call(self, inputs: Any) -> Any:
        """Convolve images `(n, h, w, c)`."""
        if not (self._is_large(inputs) and runs_tensorflow_on_cpu()):
            return super().call(inputs)
        x = transposed_convolution(inputs, self.kernel)
        if self.use_bias:
            x = x + self.bias
        return x if self.activation is None else self.activation(x)

    def _is_large(self, inputs: Any) -> bool:
        doubles = (self.kernel_size, self.strides, self.padding) == ((4, 4), (2, 2), "same")
        usual = self.data_format == "channels_last" and self.output_padding is None
        usual = usual and self.dilation_rate == (1, 1)
        exact = keras.backend.standardize_dtype(inputs.dtype) == "float32"
        if not (doubles and usual and exact) or None in inputs.shape[1:]:
            return False
        high, wide, channels = inputs.shape[1:]
        products = high * wide * 16 * channels * self.filters
        return min(channels, self.filters) >= _WIDE and products >= _LARGE


@keras.saving.register_keras_serializable(package="synthray")
class Dropout(layers.Dropout):
    """`keras.layers.Dropout` that drops on several devices what it would drop on one."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop values of a batch."""
        if not (training and self.rate > 0 and replica_count() > 1):
            return super().call(inputs, training=training)
        (n, *shape), dtype = ops.shape(inputs), inputs.dtype

        def draw(rows: Any) -> Any:
            ones = ops.ones((rows, *shape), dtype)
            return keras.random.dropout(ones, self.rate, self.noise_shape, self.seed_generator)

        return inputs * rows_of_replica(draw, n)
