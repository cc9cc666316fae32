"""The class-conditional form of R3GAN: labels in, labels out, labels faded in."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import synthray as sr
from helpers.generators import tiny_bars, tiny_r3gan
from helpers.toys import bars

TF_ONLY = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="feeds tf.data to the TensorFlow backend"
)


def first_losses(x: Any, y: Any = None, **arguments: Any) -> list[float]:
    gan = tiny_r3gan(num_classes=2, label_images=0)
    gan.compile(run_eagerly=keras.backend.backend() != "jax")  # two steps: less than tracing them
    history = gan.fit(x, y, epochs=1, verbose=0, shuffle=False, **arguments).history
    return [history[name][0] for name in ("d_loss", "g_loss", "penalty")]


def test_every_form_of_labels_gives_the_same() -> None:
    data = tiny_bars(16)
    expected = first_losses(data, batch_size=8)
    for labels in (data.labels, data.labels.astype("float32")[:, None], np.eye(2)[data.labels]):
        given = first_losses(data.images, labels, batch_size=8)
        np.testing.assert_allclose(given, expected, rtol=1e-5)
    for batches in (data.to_py_dataset(8), data.to_py_dataset(8, label_mode="one_hot")):
        np.testing.assert_allclose(first_losses(batches), expected, rtol=1e-5)
    stream = ((data.images[i : i + 8], data.labels[i : i + 8]) for i in (0, 8))
    streamed = first_losses(stream, steps_per_epoch=2)
    np.testing.assert_allclose(streamed, expected, rtol=1e-5)
    other = first_losses(data.images, 1 - data.labels, batch_size=8)
    assert not np.allclose(other, expected, rtol=1e-5)


@TF_ONLY
def test_tf_data_gives_the_same() -> None:
    data = tiny_bars(16)
    expected = first_losses(data, batch_size=8)
    np.testing.assert_allclose(first_losses(data.to_tf_dataset(8)), expected, rtol=1e-5)


@pytest.mark.slow
def test_generates_the_class_it_is_asked_for() -> None:
    train, held_out = bars(300, seed=1, size=8), bars(100, seed=2, size=8)
    gan = sr.R3GAN((8, 8, 1), width=0.25, num_classes=2, label_images=500, seed=1)
    history = gan.fit(train, batch_size=10, epochs=30, verbose=0, validation_data=held_out).history
    assert np.isfinite(history["val_loss"]).all()
    upright, lying = (gan.sample(100, labels=k, seed=0).astype(float) for k in (0, 1))

    def lean(images: Any) -> Any:  # upright bars vary along the row, lying ones along the column
        return images.mean(1).std(1).mean() - images.mean(2).std(1).mean()

    real = [lean(part.images.astype(float)) for part in held_out.by_class().values()]
    assert lean(upright) > 0.5 * real[0] > 0
    assert lean(lying) < 0.5 * real[1] < 0


def test_labels_fade_in_with_the_images_seen() -> None:
    gan = tiny_r3gan(num_classes=2, label_images=100)
    assert np.array_equal(gan.sample(4, labels=0, seed=0), gan.sample(4, labels=1, seed=0))
    gan.images_seen.assign(25)
    labels = ops.convert_to_tensor(np.array([0, 1]))
    condition = ops.convert_to_numpy(gan._condition(labels))
    np.testing.assert_allclose(condition, [[0.25, 0], [0, 0.25]])
    quarter = gan.sample(4, labels=1, seed=0)
    gan.images_seen.assign(1000)
    np.testing.assert_allclose(ops.convert_to_numpy(gan._condition(labels)), np.eye(2))
    assert not np.array_equal(gan.sample(4, labels=1, seed=0), quarter)
    assert not np.array_equal(gan.sample(4, labels=0, seed=0), gan.sample(4, labels=1, seed=0))


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (tiny_bars(4).images, None, ValueError, "needs labels: pass an ImageDataset"),
        (tiny_bars(4).images, [0, 1, 2, 0], ValueError, r"labels of 0 to 1.*values 0 to 2"),
        (tiny_bars(4).images, [0, 1], ValueError, "Expected 4 labels"),
        (tiny_bars(4).images, [0.5, 0, 1, 1], ValueError, "Expected 4 labels"),
        (tiny_bars(4).images, ["a", "b", "a", "b"], ValueError, "Expected 4 labels"),
        (tiny_bars(4).to_py_dataset(2, label_mode=None), None, ValueError, "needs labels"),
        (
            [(tiny_bars(4).images, [0, 1, 0, 1])],
            None,
            TypeError,
            "PyDataset, DataLoader or generator",
        ),
    ],
)
def test_bad_labels_are_refused(x: Any, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tiny_r3gan(num_classes=2).fit(x, y, verbose=0)


def test_a_stream_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="needs labels"):
        tiny_r3gan(num_classes=2).fit(
            (tiny_bars(4).images for _ in range(2)), steps_per_epoch=1, verbose=0
        )


def test_one_kind_of_image_ignores_labels() -> None:
    data = tiny_bars(8)
    one, two = tiny_r3gan(), tiny_r3gan()
    for gan in (one, two):
        gan.compile(run_eagerly=True)
    one.fit(data.images, verbose=0)
    two.fit(data.images, data.labels, verbose=0)
    np.testing.assert_array_equal(one.sample(2, seed=0), two.sample(2, seed=0))
