from __future__ import annotations

import pickle
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from synthray.augmentation import batch_augmentation
from synthray.augmentation.batch_augmentation import BatchAugmentation
from synthray.augmentation.classic import classic_augmentation

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only TensorFlow's graph is compiled apart"
)


@pytest.fixture
def images() -> NDArray[Any]:
    """Noise."""
    return np.random.default_rng(0).uniform(0, 255, (2, 20, 20, 1)).astype(np.float32)


@pytest.mark.backend
def test_batches_follow_from_seed_and_step(images: NDArray[Any]) -> None:
    pair = [
        BatchAugmentation(classic_augmentation(flip=True, seed=s), batch_size=4) for s in (1, 2)
    ]
    first = pair[0](images, 7, 3)
    pair[0](images, 7, 4)
    np.testing.assert_array_equal(pair[1](images, 7, 3), first)  # whatever came before
    assert not np.array_equal(pair[1](images, 7, 4), first)
    assert not np.array_equal(pair[1](images, 8, 3), first)
    copied = pickle.loads(pickle.dumps(pair[0]))
    np.testing.assert_array_equal(copied(images, 7, 3), first)
    np.testing.assert_array_equal(pair[1](images[:1], 7, 3).shape, (1, 20, 20, 1))


@pytest.mark.backend
def test_functions_and_layers_without_randomness(images: NDArray[Any]) -> None:
    seeds = []

    def darker(batch: NDArray[Any], seed: int) -> NDArray[Any]:
        seeds.append(seed)
        return batch / 2

    augment = BatchAugmentation(darker, batch_size=2)
    np.testing.assert_allclose(augment(images, 0, 0), images / 2)
    augment(images, 0, 1)
    augment(images, 0, 0)
    assert seeds[0] == seeds[2] != seeds[1]
    np.testing.assert_allclose(
        BatchAugmentation(keras.layers.Rescaling(0.5), batch_size=2)(images, 0, 0), images / 2
    )
    assert augment.name.endswith("darker")
    with pytest.raises(ValueError, match="must keep the shape"):
        BatchAugmentation(lambda batch: batch[:, :8], batch_size=2)(images, 0, 0)


LAYERS: dict[str, Any] = {
    "classic": lambda: classic_augmentation(flip=True, seed=1),
    "without states": lambda: keras.layers.Rescaling(0.5),
    "of another type": lambda: keras.layers.Rescaling(0.5, dtype="float16"),
    "with other states": lambda: keras.layers.Normalization(mean=[3.0], variance=[4.0]),
    "with weights": lambda: keras.layers.BatchNormalization(),
}


@on_tensorflow
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_in_a_graph_as_in_a_call(images: NDArray[Any], make: Any) -> None:
    import tensorflow as tf

    images = np.concatenate([images, images[::-1] / 2])
    called = BatchAugmentation(make(), batch_size=4)
    graph = tf.function(BatchAugmentation(make(), batch_size=4).in_stream(7, images))
    for size in (4, 3):
        for step in (0, 5):
            found = graph(tf.constant(images[:size]), tf.constant(step, tf.int64))
            assert found.dtype == tf.float32
            np.testing.assert_allclose(found, called(images[:size], 7, step), atol=1e-3)


class Counting(BatchAugmentation):
    calls = 0

    def __call__(self, images: Any, seed: int, step: int) -> Any:
        self.calls += 1
        return images / 2


@on_tensorflow
def test_what_is_not_for_a_graph(images: NDArray[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    step = tf.constant(0, tf.int64)
    cropping = BatchAugmentation(keras.layers.Cropping2D(1), batch_size=2).in_stream(0, images)
    with pytest.raises(ValueError, match="must keep the shape"):
        tf.function(cropping)(images, step)
    layer = Counting(keras.layers.Rescaling(0.5), batch_size=2)
    function = Counting(lambda batch: batch / 2, batch_size=2)

    def calls_of(augment: Counting) -> int:
        changed = tf.function(augment.in_stream(0, images))(tf.constant(images), step)
        np.testing.assert_allclose(changed, images / 2)
        return augment.calls

    assert (calls_of(layer), calls_of(function)) == (0, 1)
    monkeypatch.setattr(batch_augmentation, "runs_tensorflow_on_cpu", lambda: False)
    assert calls_of(layer) == 1
