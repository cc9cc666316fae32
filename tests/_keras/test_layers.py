from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from helpers.layers import trained
from synthray._keras import layers as _layers

pytestmark = pytest.mark.backend

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((9, 12, 2), {"filters": 4, "kernel_size": 3, "strides": 3, "activation": "relu"}),
        ((11, 10, 3), {"filters": 2, "kernel_size": (3, 2), "strides": (3, 2), "use_bias": False}),
        ((6, 6, 2), {"filters": 3, "kernel_size": 2, "strides": 2, "activation": "tanh"}),
        ((8, 8, 2), {"filters": 3, "kernel_size": 3}),
    ],
)
def test_convolutions_are_those_of_keras(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    options = {**options, "kernel_initializer": keras.initializers.GlorotUniform(3)}
    images = RNG.normal(size=(5, *shape)).astype("float32")
    plain, own = layers.Conv2D(**options), _layers.Conv2D(**options)
    target = RNG.normal(size=plain.compute_output_shape(images.shape)).astype("float32")
    for a, b in zip(*(trained(each, images, target=target) for each in (plain, own)), strict=True):
        for one, other in zip(a, b, strict=True):
            np.testing.assert_allclose(other, one, rtol=2e-5, atol=2e-5)


def test_batches_are_normalized_as_by_keras() -> None:
    images = (RNG.normal(size=(6, 5, 4, 3)) * [1, 5, 0.1] + [0, 3, -2]).astype("float32")
    target = RNG.normal(size=images.shape).astype("float32")
    (weights, outputs), (own_weights, own_outputs) = (
        trained(kind(momentum=0.8, epsilon=1e-4), images, target=target)
        for kind in (layers.BatchNormalization, _layers.BatchNormalization)
    )
    # One mean is 20 deviations: a variance in float32 is off by 20**2 of its last places, and
    # which way depends on the order in which threads add. Outputs reach 3 deviations.
    places = 3 * 20**2 * float(np.finfo(np.float32).eps)
    np.testing.assert_allclose(own_outputs, outputs, rtol=1e-4, atol=2 * places)
    for one, other in zip(weights, own_weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-4)


def test_a_frozen_layer_keeps_its_statistics() -> None:
    layer = _layers.BatchNormalization()
    layer.build((None, 4, 4, 2))
    layer.trainable = False
    layer(np.ones((2, 4, 4, 2), "float32"), training=True)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.moving_mean.value), [0, 0])


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_one_map_in_half_precision(policy: str, padding: str) -> None:
    """Torch alone cannot train it on a CPU in float16, and on many CPUs in bfloat16."""
    initial = keras.initializers.GlorotUniform(3)
    options = {"filters": 1, "kernel_size": 3, "padding": padding, "kernel_initializer": initial}
    images = RNG.normal(size=(5, 8, 7, 4)).astype("float32")
    target = RNG.normal(size=(5, 8, 7, 1) if padding == "same" else (5, 6, 5, 1))
    plain, own = layers.Conv2D(**options), _layers.Conv2D(**options, dtype=policy)
    for a, b in zip(*(trained(each, images, target=target) for each in (plain, own)), strict=True):
        for one, other in zip(a, b, strict=True):
            np.testing.assert_allclose(other, one, rtol=0.03, atol=0.03)
    assert own.compute_dtype == policy.removeprefix("mixed_")


def test_channels_first_in_half_precision() -> None:
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow's convolution on a CPU wants channels last")
    images = RNG.normal(size=(2, 4, 6, 5)).astype("float32")
    layer = _layers.Conv2D(1, 3, data_format="channels_first", dtype="bfloat16")
    layer.build(images.shape)
    kernel = keras.ops.convert_to_numpy(keras.ops.cast(layer.kernel, "float32"))
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(2, 3))
    expected = np.einsum("nchwij,ijco->nohw", windows, kernel)
    found = keras.ops.convert_to_numpy(keras.ops.cast(layer(images), "float32"))
    np.testing.assert_allclose(found, expected, atol=0.05)
