"""Keras' layers, computed in fewer passes over memory, or fit for several devices.

They have Keras' names, arguments and weights, so that files and summaries are the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers, ops

from synthray._backend import cannot_convolve_to_one_map, runs_tensorflow_on_cpu
from synthray._devices import replica_count, rows_of_replica
from synthray._winograd import transposed_convolution

_CONVOLUTIONS = (
    *(layers.Conv1D, layers.Conv2D, layers.Conv3D),
    *(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
    *(layers.DepthwiseConv1D, layers.DepthwiseConv2D),
    *(layers.SeparableConv1D, layers.SeparableConv2D),
)


_MANY = 32  # maps that a convolution reads for one that it makes
# Maps, and products of numbers for an image, from which Winograd's form is worth its transforms
# and seconds of compilation.
_WIDE, _LARGE = 128, 2**27


@keras.saving.register_keras_serializable(package="synthray")
class Conv2D(layers.Conv2D):
    """`keras.layers.Conv2D`, as a matrix product where that is the same and faster.

    Where steps are as long as the kernel, windows do not overlap: the convolution is a product of
    rearranged images. Where it makes few maps of many, with steps of one, TensorFlow's convolution
    on a CPU is far slower than its arithmetic, above all without oneDNN: there, one product gives
    what each tap adds to the maps, and the shares are shifted and added. Where torch has no
    gradient of a convolution to one map, it makes a second one, of zeros.
    """

    def call(self, inputs: Any) -> Any:
        """Convolve images `(n, h, w, c)`."""
        return self._product(inputs) if self.is_product() else super().call(inputs)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve with a kernel, without bias and activation."""
        if self._makes_few_maps(inputs) and runs_tensorflow_on_cpu():
            return _sum_of_taps(inputs, kernel)
        if self.filters == 1 and cannot_convolve_to_one_map(inputs):
            two = ops.concatenate([kernel, ops.zeros_like(kernel)], axis=-1)
            both = super().convolution_op(inputs, two)
            return both[..., :1] if self.data_format == "channels_last" else both[:, :1]
        return super().convolution_op(inputs, kernel)

    def is_product(self) -> bool:
        """Whether windows do not overlap, so that a matrix product does it."""
        apart = self.strides == self.kernel_size and self.padding == "valid"
        return apart and self._is_usual()

    def _is_usual(self) -> bool:
        plain = self.data_format == "channels_last" and self.groups == 1
        return plain and all(rate == 1 for rate in self.dilation_rate)

    def _product(self, inputs: Any) -> Any:
        x, shape = _product_of_windows(inputs, self.kernel)
        # In front of the last reshape, where TensorFlow fuses them with the product.
        if self.use_bias:
            x = x + self.bias
        if self.activation is keras.activations.relu:
            return ops.reshape(ops.relu(x), shape)
        x = ops.reshape(x, shape)
        return x if self.activation is None else self.activation(x)

    def _makes_few_maps(self, inputs: Any) -> bool:
        odd = all(side % 2 for side in self.kernel_size)
        if not (odd and self._is_usual() and self.padding == "same" and set(self.strides) == {1}):
            return False
        # In half precision each share is rounded; for more than one map nothing is gained.
        exact = keras.backend.standardize_dtype(inputs.dtype) == "float32"
        return self.filters == 1 or (exact and inputs.shape[-1] >= _MANY * self.filters)


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


def convolves(model: Any) -> bool:
    """Whether some layer of a model convolves by more than a matrix product."""
    return any(
        isinstance(layer, _CONVOLUTIONS) and not (isinstance(layer, Conv2D) and layer.is_product())
        for layer in all_layers(model)
    )


def all_layers(model: Any) -> Iterator[Any]:
    """Yield the layers of a model, and those of the models within it."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)


def _product_of_windows(images: Any, kernel: Any) -> tuple[Any, tuple[int, ...]]:
    """Convolve where windows lie side by side; what is left at the edges is not used.

    Returns:
        The pixels of all maps, `(n * rows * cols, filters)`, and their proper shape.
    """
    high, wide, channels, filters = kernel.shape
    rows, cols = images.shape[1] // high, images.shape[2] // wide
    if tuple(images.shape[1:3]) != (rows * high, cols * wide):
        images = images[:, : rows * high, : cols * wide]
    x = ops.reshape(images, (-1, rows, high, cols, wide * channels))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, high * wide * channels))
    x = ops.matmul(x, ops.reshape(kernel, (-1, filters)))
    return x, (-1, rows, cols, filters)


def _sum_of_taps(images: Any, kernel: Any) -> Any:
    """Convolve to few maps, zeros around, steps of one: a product, then shifts of its maps."""
    high, wide, channels, filters = kernel.shape
    _, rows, cols, _ = ops.shape(images)
    taps = ops.reshape(ops.transpose(kernel, (2, 0, 1, 3)), (channels, -1))
    shares = ops.matmul(ops.reshape(images, (-1, channels)), taps)
    # Maps first: each is shifted as a whole, and apart from the others its gradient is small.
    shares = ops.reshape(ops.transpose(shares), (high * wide, filters, -1, rows, cols))
    shares = ops.cast(shares, "float32")  # half precision would round each sum
    shares = ops.pad(shares, [[0, 0]] * 3 + [[high // 2] * 2, [wide // 2] * 2])
    corners = itertools.product(range(high), range(wide))
    total = sum(
        share[..., i : i + rows, j : j + cols]
        for share, (i, j) in zip(ops.unstack(shares), corners, strict=True)
    )
    return ops.cast(ops.transpose(total, (1, 2, 3, 0)), images.dtype)


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

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=ops.cast(inputs, "float32"),
            scale=self.gamma,
            offset=self.beta,
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        # The operation divides by one less than the count, Keras by the count.
        count = ops.cast(ops.size(inputs) / inputs.shape[-1], "float32")
        rest = 1.0 - self.momentum
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * rest)
        variance = variance * (count - 1.0) / count
        self.moving_variance.assign(self.moving_variance * self.momentum + variance * rest)
        return ops.cast(outputs, self.compute_dtype)


@keras.saving.register_keras_serializable(package="synthray")
class Dropout(layers.Dropout):
    """`keras.layers.Dropout` that drops on several devices what it would drop on one.

    On torch too it draws apart from what it drops, so that a step can be recorded.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop values of a batch."""
        apart = replica_count() > 1 or keras.backend.backend() == "torch"
        if not (training and self.rate > 0 and apart):
            return super().call(inputs, training=training)
        (n, *shape), dtype = ops.shape(inputs), inputs.dtype

        def draw(rows: Any) -> Any:
            ones = ops.ones((rows, *shape), dtype)
            return keras.random.dropout(ones, self.rate, self.noise_shape, self.seed_generator)

        return inputs * rows_of_replica(draw, n)
