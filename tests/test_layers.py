from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from synthray import _layers
from synthray.classifiers.fracture_classifier import FractureClassifier

pytestmark = pytest.mark.backend

RNG = np.random.default_rng(0)


def trained(layer: keras.Layer, images: Any, *, target: Any) -> tuple[list[Any], Any]:
    """Take one step of plain descent; return the weights after it and what inference gives."""
    inputs = keras.Input(images.shape[1:])
    # A trainable layer before it: the gradient of the images counts too.
    scaled = layers.Dense(images.shape[-1], kernel_initializer="identity")(inputs)
    model = keras.Model(inputs, layer(scaled))
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    model.fit(images, target, batch_size=len(images), verbose=0)
    return model.get_weights(), model.predict(images, verbose=0)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((9, 12, 2), {"filters": 4, "kernel_size": 3, "strides": 3}),
        ((11, 10, 3), {"filters": 2, "kernel_size": (3, 2), "strides": (3, 2), "use_bias": False}),
        ((8, 7, 5), {"filters": 1, "kernel_size": 5, "padding": "same", "activation": "relu"}),
        ((6, 6, 2), {"filters": 1, "kernel_size": (3, 1), "padding": "same"}),
        ((5, 6, 96), {"filters": 3, "kernel_size": (3, 5), "padding": "same"}),
        ((6, 5, 70), {"filters": 2, "kernel_size": 3, "padding": "same", "activation": "tanh"}),
        ((8, 8, 2), {"filters": 3, "kernel_size": 3}),
        ((8, 8, 2), {"filters": 1, "kernel_size": 3, "padding": "same", "dilation_rate": 2}),
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


def test_one_map_of_many_is_summed_in_full_precision() -> None:
    def half(values: Any) -> Any:
        rounded = keras.ops.cast(keras.ops.cast(values, "bfloat16"), "float32")
        return keras.ops.convert_to_numpy(rounded)

    layer = _layers.Conv2D(1, 5, padding="same", dtype="mixed_bfloat16")
    draws = np.random.default_rng(1).normal(size=(4, 12, 12, 64))
    images = half(draws.astype("float32"))
    layer.build(images.shape)
    around = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)]).astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(around, (5, 5), axis=(1, 2))
    exact = np.einsum("nhwcij,ijco->nhwo", windows, half(layer.kernel))
    error = half(layer(images)) - exact
    # 2**-9 is the most that one value is rounded by; with sums rounded too, it was .0068.
    assert np.sqrt((error**2).mean() / (exact**2).mean()) < 0.0045


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


def test_batches_are_normalized_as_by_keras() -> None:
    images = (RNG.normal(size=(6, 5, 4, 3)) * [1, 5, 0.1] + [0, 3, -2]).astype("float32")
    target = RNG.normal(size=images.shape).astype("float32")
    found = [
        trained(kind(momentum=0.8, epsilon=1e-4), images, target=target)
        for kind in (layers.BatchNormalization, _layers.BatchNormalization)
    ]
    for (weights, outputs), (own_weights, own_outputs) in [found]:
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


def test_files_of_keras_layers_load(tmp_path: Path) -> None:
    own = FractureClassifier(seed=0).network
    copies = []
    for layer in own.layers:
        config = layer.get_config()
        config["dtype"] = "float32"
        copies.append(getattr(layers, type(layer).__name__).from_config(config))
    plain = keras.Sequential([keras.Input((64, 64, 1)), *copies])
    images = RNG.uniform(size=(3, 64, 64, 1)).astype("float32")
    plain.save_weights(tmp_path / "plain.weights.h5")
    other = FractureClassifier(seed=1).network
    other.load_weights(tmp_path / "plain.weights.h5")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(other(images)),
        keras.ops.convert_to_numpy(plain(images)),
        rtol=1e-5,
    )
