from __future__ import annotations

import gc
import weakref
from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from synthray._keras.batches import ArrayBatches
from synthray._keras.streams import for_judging, outside_graph, streamed
from synthray.augmentation.batch_augmentation import BatchAugmentation
from synthray.augmentation.classic import classic_augmentation

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (23, 6, 5, 1), np.uint8)
LABELS = np.arange(23)
WEIGHTS = RNG.uniform(size=23).astype(np.float32)

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="streams are TensorFlow's"
)


def assert_same(found: Any, expected: Any) -> None:
    found = found if isinstance(found, tuple) else (found,)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for one, other in zip(found, expected, strict=True):
        one = np.asarray(one)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def read(stream: Any) -> list[Any]:
    if isinstance(stream, keras.utils.PyDataset):
        return [stream[i] for i in range(stream.num_batches or 0)]
    return list(stream)


@on_tensorflow
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("arrays", [(IMAGES,), (IMAGES, LABELS, WEIGHTS)])
def test_streams_hold_the_batches_of_each_epoch(arrays: tuple[Any, ...], shuffle: bool) -> None:
    batches = ArrayBatches(*arrays, batch_size=5, shuffle=shuffle, seed=3)
    stream = streamed(batches)
    assert int(stream.cardinality()) == len(batches) == 5
    for epoch in (0, 4, 1):
        batches.set_epoch(epoch)
        found = list(stream)
        assert len(found) == 5
        for index, batch in enumerate(found):
            assert_same(batch, batches[index])


@on_tensorflow
def test_an_epoch_that_is_left_before_its_end_is_noticed() -> None:
    import tensorflow as tf

    batches = ArrayBatches(IMAGES, batch_size=5)
    stream = streamed(batches)
    next(iter(stream))
    with pytest.raises(tf.errors.InvalidArgumentError, match="left before its end"):
        next(iter(stream))
    whole = streamed(batches, lasting=False)
    for _ in range(2):  # each iterator begins an epoch
        assert_same(next(iter(whole)), batches[0])


@pytest.mark.slow
@on_tensorflow
def test_generators_may_leave_an_epoch_before_its_end() -> None:
    gan = sr.DCGAN((8, 8, 1), width=0.125, seed=0)
    images = np.zeros((40, 8, 8, 1), np.uint8)
    history = gan.fit(
        images,
        batch_size=8,
        epochs=3,
        steps_per_epoch=5,
        validation_data=images,
        validation_steps=2,
        verbose=0,
    ).history
    assert len(history["val_loss"]) == 3


@on_tensorflow
def test_streams_leave_out_what_batches_leave_out() -> None:
    batches = ArrayBatches(IMAGES, batch_size=5, drop_remainder=True)
    assert [len(batch) for batch in streamed(batches)] == [5, 5, 5, 5]


@pytest.mark.backend
@pytest.mark.parametrize("lasting", [True, False])
def test_a_function_changes_images_by_the_number_of_their_batch(lasting: bool) -> None:
    batches = ArrayBatches(IMAGES, LABELS, batch_size=5, shuffle=True, seed=3)
    changed = outside_graph(lambda images, step: images + np.float32(step))
    stream = streamed(batches, changed, lasting=lasting)
    for epoch in (0, 2):
        batches.set_epoch(epoch)
        for index, (images, labels) in enumerate(read(stream)):
            assert_same((images, labels), (IMAGES[labels] + np.float32(5 * epoch + index), labels))


class NeverCalled(BatchAugmentation):
    def __call__(self, images: Any, seed: int, step: int) -> Any:
        raise AssertionError("images have left the graph")


@on_tensorflow
def test_layers_change_images_inside_the_graph() -> None:
    layer = classic_augmentation(flip=True, seed=0)
    batches = ArrayBatches(IMAGES, LABELS, batch_size=5, shuffle=True, seed=3)
    example = IMAGES[:1].astype(np.float32)
    stream = streamed(batches, NeverCalled(layer, batch_size=5).in_stream(7, example))
    expected = BatchAugmentation(layer, batch_size=5)
    batches.set_epoch(2)
    found = list(stream)
    for index, (images, labels) in enumerate(found):
        wanted = expected(IMAGES[labels].astype(np.float32), 7, 2 * 5 + index)
        np.testing.assert_allclose(images, wanted, atol=1e-3)
    assert len(found) == 5


@pytest.mark.backend
def test_functions_change_images_on_their_way() -> None:
    seeds = []

    def darker(images: Any, seed: int) -> Any:
        seeds.append(seed)
        return images / 2

    batches = ArrayBatches(IMAGES, LABELS, batch_size=12)
    stream = streamed(batches, BatchAugmentation(darker, batch_size=12).in_stream(7, IMAGES))
    for images, labels in read(stream):
        assert_same(images, IMAGES[labels] / np.float32(2))
    assert len(set(seeds)) == 2


def test_other_backends_read_the_batches_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    batches = ArrayBatches(IMAGES)
    assert streamed(batches) is batches
    stream = streamed(batches, lambda images, step: images + np.float32(step))
    stream.on_epoch_end()
    assert_same(stream[0], IMAGES.astype(np.float32) + 1)
    assert for_judging(keras.Model(), IMAGES, 4) is IMAGES


@on_tensorflow
def test_what_is_judged_keeps_its_order() -> None:
    found = list(for_judging(keras.Model(), (IMAGES, LABELS, None), 9))
    assert [len(images) for images, _ in found] == [9, 9, 5]
    assert_same(np.concatenate([labels for _, labels in found]), LABELS)
    for odd in ((IMAGES, LABELS[:3]), [1, 2]):
        assert for_judging(keras.Model(), odd, 9) is odd
    with pytest.raises(ValueError, match="at least one image"):
        for_judging(keras.Model(), IMAGES[:0], 9)


@on_tensorflow
@pytest.mark.parametrize("lasting", [True, False])
def test_images_are_let_go(lasting: bool) -> None:
    batches = ArrayBatches(IMAGES, batch_size=12)
    stream = streamed(batches, lasting=lasting)
    assert sum(map(len, stream)) == len(IMAGES)
    alive = weakref.ref(batches)
    del batches, stream
    gc.collect()
    assert alive() is None
