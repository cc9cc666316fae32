from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from synthray.comparison import augmentation
from synthray.comparison.affine import RandomAffine
from synthray.comparison.augmentation import BatchAugmentation, classic_augmentation

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only TensorFlow's graph is compiled apart"
)


@pytest.fixture
def images() -> NDArray[Any]:
    """Smooth blobs, so that interpolation is nearly exact."""
    y, x = np.mgrid[:40, :40].astype(np.float32)
    blob = np.exp(-((y - 15) ** 2 + (x - 24) ** 2) / 60) + np.exp(-((y - 25) ** 2) / 30) / 3
    return (np.stack([blob, blob.T])[..., None] * 180).astype(np.float32)


@pytest.mark.backend
def test_classic_augmentation_changes_little_but_all(images: NDArray[Any]) -> None:
    layers = classic_augmentation(flip=True, seed=0)
    changed = ops.convert_to_numpy(layers(images, training=True))
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert (np.abs(changed - images).mean(axis=(1, 2, 3)) > 1).all()
    np.testing.assert_allclose(ops.convert_to_numpy(layers(images, training=False)), images)


@pytest.mark.backend
@pytest.mark.parametrize("flip", [False, True])
def test_batches_follow_from_seed_and_step(images: NDArray[Any], flip: bool) -> None:
    pair = [
        BatchAugmentation(classic_augmentation(flip=flip, seed=s), batch_size=4) for s in (1, 2)
    ]
    first = pair[0](images, 7, 3)
    pair[0](images, 7, 4)
    np.testing.assert_array_equal(pair[1](images, 7, 3), first)  # whatever was drawn before
    assert not np.array_equal(pair[1](images, 7, 4), first)
    assert not np.array_equal(pair[1](images, 8, 3), first)
    np.testing.assert_array_equal(pair[1](images[:1], 7, 3).shape, (1, 40, 40, 1))


@pytest.mark.backend
def test_affine_without_amounts_is_identity(images: NDArray[Any]) -> None:
    same = ops.convert_to_numpy(RandomAffine(seed=0)(images, training=True))
    np.testing.assert_allclose(same, images, atol=1e-3)


@pytest.mark.backend
@pytest.mark.parametrize("in_graph", [False, pytest.param(True, marks=on_tensorflow)])
def test_affine_agrees_with_scipy(in_graph: bool) -> None:
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (3, 20, 15, 2)).astype(np.float32)
    layer: Any = RandomAffine(rotation=30, shift=0.2, zoom=0.3, seed=5)
    move: Any = partial(layer, training=True)
    if in_graph:
        import tensorflow as tf

        graph = tf.function(move).get_concrete_function(tf.TensorSpec(images.shape))
        called = [
            op for op in graph.graph.get_operations() if "_XlaMustCompile" in op.node_def.attr
        ]
        assert len(called) == 1
        move = graph
    found = ops.convert_to_numpy(move(ops.convert_to_tensor(images)))
    generator = keras.random.SeedGenerator(5)
    draws = ops.convert_to_numpy(keras.random.uniform((4, 3), -1.0, 1.0, seed=generator))
    expected = np.zeros_like(images)
    y, x = np.mgrid[:20, :15]
    for image, (turn, zoom, down, right), changed in zip(images, draws.T, expected, strict=True):
        angle, scale = np.radians(30 * float(turn)), np.exp(float(zoom) * np.log(1.3))
        rows, cols = (y - 9.5) / scale, (x - 7) / scale
        places = [
            np.cos(angle) * rows + np.sin(angle) * cols + 9.5 + down * 0.2 * 20,
            np.cos(angle) * cols - np.sin(angle) * rows + 7 + right * 0.2 * 15,
        ]
        for channel in range(2):
            changed[..., channel] = map_coordinates(
                image[..., channel], places, order=1, mode="grid-constant"
            )
    np.testing.assert_allclose(found, expected, atol=0.01)


@on_tensorflow
def test_affine_is_not_compiled_for_batches_of_any_size() -> None:
    import tensorflow as tf

    layer = RandomAffine(rotation=10, seed=0)
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 8, 8, 1)))
    assert not any("_XlaMustCompile" in op.node_def.attr for op in graph.graph.get_operations())
    assert graph(tf.ones((2, 8, 8, 1))).shape == (2, 8, 8, 1)


def test_affine_agrees_with_scikit_image(images: NDArray[Any]) -> None:
    from skimage.transform import AffineTransform, warp

    from synthray.comparison.affine import _bilinear

    angle, scale, dy, dx = 0.3, 1.2, 2.5, -1.5
    rows, cols = np.mgrid[:40, :40].astype(np.float32) - 19.5
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    y, x = cos * rows + sin * cols + dy + 19.5, cos * cols - sin * rows + dx + 19.5
    stack = [np.broadcast_to(v, (2, 40, 40)).astype(np.float32) for v in (y, x)]
    ours = ops.convert_to_numpy(_bilinear(ops.convert_to_tensor(images), *map(_tensor, stack)))
    matrix = np.asarray([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    centre = np.asarray([[1, 0, 19.5], [0, 1, 19.5], [0, 0, 1]])
    shifted = np.asarray([[1, 0, 19.5 + dx], [0, 1, 19.5 + dy], [0, 0, 1]])
    mapping = AffineTransform(shifted @ matrix @ np.linalg.inv(centre))
    theirs = np.stack([warp(image, mapping, order=1, cval=0) for image in images])
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def _tensor(value: Any) -> Any:
    return ops.convert_to_tensor(value)


def test_affine_amounts_stay_within_limits() -> None:
    dot = np.zeros((400, 41, 41, 1), np.float32)
    dot[:, 20, 20] = 1
    moved = ops.convert_to_numpy(RandomAffine(shift=0.1, seed=0)(dot, training=True))[..., 0]
    rows = (moved.sum(axis=2) * np.arange(41)).sum(axis=1) / moved.sum(axis=(1, 2)) - 20
    assert 3.5 < np.abs(rows).max() <= 4.1
    turned = np.zeros((400, 41, 41, 1), np.float32)
    turned[:, 20, 36] = 1
    turned = ops.convert_to_numpy(RandomAffine(rotation=10, seed=0)(turned, training=True))[..., 0]
    rows = (turned.sum(axis=2) * np.arange(41)).sum(axis=1) / turned.sum(axis=(1, 2)) - 20
    assert 2.5 < np.abs(rows).max() <= 16 * np.sin(np.radians(10)) + 0.1


def test_affine_is_a_keras_layer(images: NDArray[Any]) -> None:
    layer = RandomAffine(rotation=5, shift=0.1, zoom=0.2, seed=3, name="affine")
    again = RandomAffine.from_config(layer.get_config())
    np.testing.assert_array_equal(
        ops.convert_to_numpy(layer(images)), ops.convert_to_numpy(again(images))
    )
    assert layer.compute_output_shape((None, 4, 4, 3)) == (None, 4, 4, 3)
    rgb = np.repeat(images, 3, axis=-1)
    colour = ops.convert_to_numpy(RandomAffine.from_config(layer.get_config())(rgb))
    np.testing.assert_allclose(colour[..., 0], colour[..., 2])
    with pytest.raises(ValueError, match="0 or more"):
        RandomAffine(zoom=-0.1)


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
    in_graph = BatchAugmentation(make(), batch_size=4).in_graph(7, images)
    assert in_graph is not None
    graph = tf.function(in_graph)
    for size in (4, 3):
        for step in (0, 5):
            found = graph(tf.constant(images[:size]), tf.constant(step, tf.int64))
            assert found.dtype == tf.float32
            np.testing.assert_allclose(found, called(images[:size], 7, step), atol=1e-3)


@on_tensorflow
def test_what_is_not_for_a_graph(images: NDArray[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    assert BatchAugmentation(lambda batch: batch, batch_size=2).in_graph(0, images) is None
    cropping = BatchAugmentation(keras.layers.Cropping2D(1), batch_size=2).in_graph(0, images)
    assert cropping is not None
    with pytest.raises(ValueError, match="must keep the shape"):
        tf.function(cropping)(images, tf.constant(0, tf.int64))
    layer = BatchAugmentation(keras.layers.Rescaling(0.5), batch_size=2)
    monkeypatch.setattr(augmentation, "runs_tensorflow_on_cpu", lambda: False)
    assert layer.in_graph(0, images) is None
