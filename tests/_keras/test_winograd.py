"""A transposed convolution by Winograd's F(3 x 3, 2 x 2), against its definition and Keras'."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import synthray as sr
from helpers.layers import trained
from synthray._keras import layers as _layers
from synthray._keras.winograd import transposed_convolution


def by_definition(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Add what each input pixel gives to 4 x 4 outputs, and cut off a line all around."""
    n, height, width, _ = images.shape
    outputs = np.zeros((n, 2 * height + 2, 2 * width + 2, kernel.shape[2]))
    for row in range(4):
        for column in range(4):
            share = images @ kernel[row, column].T
            outputs[:, row : row + 2 * height : 2, column : column + 2 * width : 2] += share
    return outputs[:, 1:-1, 1:-1]


# One tile with a rest, several, and as many as fit without one.
@pytest.mark.parametrize(
    "size", [(5, 7), *(pytest.param(s, marks=pytest.mark.slow) for s in [(1, 4), (8, 2)])]
)
def test_outputs_and_gradients_are_those_of_the_definition(
    size: tuple[int, int], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    rng = np.random.default_rng(0)
    images, kernel = rng.normal(size=(2, *size, 3)), rng.normal(size=(4, 4, 5, 3))
    toward = rng.normal(size=(2, 2 * size[0], 2 * size[1], 5))
    inputs = [tf.constant(each, tf.float32) for each in (images, kernel)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = transposed_convolution(*inputs)
        total = tf.reduce_sum(outputs * tf.constant(toward, tf.float32))
    np.testing.assert_allclose(outputs, by_definition(images, kernel), atol=2e-5)
    assert "retracing" not in caplog.text  # as TensorFlow warns of functions traced again

    def change(d_images: np.ndarray, d_kernel: np.ndarray) -> float:
        return float((toward * by_definition(images + d_images, kernel + d_kernel)).sum())

    # Linear in either: a step of one along each coordinate is the derivative.
    rest = change(0 * images, 0 * kernel)
    for position, gradient in enumerate(tape.gradient(total, inputs)):
        steps = [0 * images, 0 * kernel]
        expected = np.zeros(steps[position].size)
        for i in range(expected.size):
            steps[position].flat[i] = 1
            expected[i] = change(*steps) - rest
            steps[position].flat[i] = 0
        np.testing.assert_allclose(np.ravel(gradient), expected, rtol=1e-4, atol=2e-4)


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list of the shapes that layers convolve in Winograd's way from here on."""
    calls: list[Any] = []

    def spy(images: Any, kernel: Any) -> Any:
        calls.append(images.shape)
        return transposed_convolution(images, kernel)

    monkeypatch.setattr(_layers, "transposed_convolution", spy)
    return calls


def test_a_large_layer_is_that_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch)
    images = np.random.default_rng(0).normal(size=(2, 16, 32, 128)).astype("float32")
    options = {
        "strides": 2,
        "padding": "same",
        "activation": "tanh",
        "kernel_initializer": keras.initializers.GlorotUniform(3),
        "bias_initializer": keras.initializers.RandomNormal(seed=1),
    }
    target = np.full((2, 32, 64, 128), 100, np.float32)  # far off, for a step that can be seen
    found = [
        trained(kind(128, 4, **options), images, target=target)
        for kind in (layers.Conv2DTranspose, _layers.Conv2DTranspose)
    ]
    assert calls
    (weights, outputs), (own_weights, own_outputs) = found
    for one, other in zip([*weights, outputs], [*own_weights, own_outputs], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((4, 4, 128), {}),  # too small to be worth it
        ((32, 32, 64), {}),  # of too few maps
        ((16, 32, 128), {"kernel_size": 3}),
        ((16, 32, 128), {"strides": 1}),
        ((16, 32, 128), {"padding": "valid"}),
        ((16, 32, 128), {"output_padding": 1}),
        ((16, 32, 128), {"dtype": "mixed_bfloat16"}),
        ((None, 32, 128), {}),
    ],
)
def test_others_are_left_to_keras(
    shape: tuple[int | None, ...], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch)
    chosen = {"kernel_size": 4, "strides": 2, "padding": "same"} | options
    inputs = keras.Input(shape)
    model = keras.Model(inputs, _layers.Conv2DTranspose(128, **chosen)(inputs))
    call = tf.function(model, input_signature=[tf.TensorSpec((None, *shape))])
    assert call(np.zeros((1, *(side or 16 for side in shape)), "float32")).shape[-1] == 128
    assert not calls


@pytest.mark.slow
def test_a_gan_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images = sr.make_phantoms(16, image_shape=(16, 16, 1), seed=0).images

    def history() -> dict[str, list[float]]:
        gan = sr.DCGAN((16, 16, 1), width=0.0625, seed=0)
        found: dict[str, list[float]] = gan.fit(images, batch_size=8, epochs=3, verbose=0).history
        return found

    plain = history()
    calls = count_calls(monkeypatch)
    monkeypatch.setattr(_layers, "_WIDE", 1)
    monkeypatch.setattr(_layers, "_LARGE", 2**16)
    own = history()
    assert calls
    for name, values in plain.items():
        np.testing.assert_allclose(own[name], values, rtol=1e-4)


@pytest.mark.slow
def test_other_formats_can_be_made_of_it(tmp_path: Any) -> None:
    inputs = keras.Input((16, 32, 128))
    outputs = _layers.Conv2DTranspose(128, 4, strides=2, padding="same")(inputs)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(outputs))
    images = np.random.default_rng(0).normal(size=(2, 16, 32, 128)).astype("float32")
    expected = model.predict(images, verbose=0)
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(loaded.serve(images), expected, atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(images, verbose=0), expected)
