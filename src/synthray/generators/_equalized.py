"""Layers with an equalized learning rate."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from synthray._layers import Conv2D


@keras.saving.register_keras_serializable(package="synthray")
class EqualizedConv2D(Conv2D):
    """A convolution whose stored weights have deviation 1, scaled where they are used.

    He's constant `1 / sqrt(fan_in)` is applied at each call instead of once at the start (section
    4.1 of Karras et al. 2018, arXiv 1710.10196). An optimizer such as Adam, whose steps do not
    depend on the size of the gradient, then moves all layers by the same share of their weights.
    """

    def __init__(self, filters: int, kernel_size: int, **arguments: Any) -> None:
        arguments.setdefault("kernel_initializer", keras.initializers.RandomNormal(0.0, 1.0))
        super().__init__(filters, kernel_size, **arguments)

    def call(self, inputs: Any) -> Any:
        """Convolve."""
        gain = 1.0 / math.sqrt(math.prod(self.kernel.shape[:-1]))
        return ops.add(self.convolution_op(inputs, self.kernel * gain), self.bias)


@keras.saving.register_keras_serializable(package="synthray")
class EqualizedDense(layers.Dense):
    """A dense layer in the manner of `EqualizedConv2D`."""

    def __init__(self, units: int, **arguments: Any) -> None:
        arguments.setdefault("kernel_initializer", keras.initializers.RandomNormal(0.0, 1.0))
        super().__init__(units, **arguments)

    def call(self, inputs: Any) -> Any:
        """Multiply."""
        gain = 1.0 / math.sqrt(self.kernel.shape[0])
        outputs = ops.matmul(inputs, self.kernel * gain)
        return outputs if self.bias is None else ops.add(outputs, self.bias)
