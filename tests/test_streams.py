from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from synthray.comparison.arms import Arm
from synthray.comparison.augmentation import BatchAugmentation, classic_augmentation
from synthray.comparison.batches import ArmBatches, FloatBatches, PhaseStream
from synthray.comparison.phases import Phase
from synthray.comparison.runner import run_comparison
from synthray.comparison.streams import arm_stream, float_stream
from synthray.datasets import _streams
from synthray.datasets._batches import ArrayBatches
from synthray.datasets._streams import streamed
from synthray.datasets.image_dataset import ImageDataset

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
def test_a_pass_that_is_left_before_its_end_is_noticed() -> None:
    import tensorflow as tf

    batches = ArrayBatches(IMAGES, batch_size=5)
    stream = streamed(batches)
    next(iter(stream))
    with pytest.raises(tf.errors.InvalidArgumentError, match="left before its end"):
        next(iter(stream))
    whole = streamed(batches, lasting=False)
    for _ in range(2):  # of such streams each iterator begins a pass
        assert_same(next(iter(whole)), batches[0])


@on_tensorflow
def test_generators_may_leave_a_pass_before_its_end() -> None:
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


def brighter(images: Any, seed: int, draw: int) -> Any:
    return images + np.float32(seed * 100 + draw)


def phases(*steps: int, augment: bool) -> list[PhaseStream]:
    made: list[PhaseStream] = []
    for number, count in enumerate(steps):
        rows = slice(0, 23 - 7 * number)  # phases of other sizes
        arrays = (IMAGES[rows], LABELS[rows], WEIGHTS[rows])
        batches = FloatBatches(*arrays, batch_size=4, shuffle=True, seed=1)
        first = made[-1].next_pass if made else 0
        last = augment and number == len(steps) - 1
        made.append(PhaseStream(batches, count, first, brighter if last else None, 2))
    return made


@on_tensorflow
@pytest.mark.parametrize("steps", [(20,), (7, 9, 4)])
@pytest.mark.parametrize("augment", [True, False])
def test_streams_of_arms_hold_the_batches_of_each_epoch(
    steps: tuple[int, ...], augment: bool
) -> None:
    batches = ArmBatches(phases(*steps, augment=augment), 8)
    expected = ArmBatches(phases(*steps, augment=augment), 8)
    stream = arm_stream(batches)
    for epoch in (0, 1):
        batches.epoch = expected.epoch = epoch
        found = list(stream)
        assert len(found) == 8
        for index, batch in enumerate(found):
            assert_same(batch, expected[index])


class NeverCalled(BatchAugmentation):
    def __call__(self, images: Any, seed: int, step: int) -> Any:
        raise AssertionError("images have left the graph")


@on_tensorflow
@pytest.mark.parametrize("steps", [(16,), (7, 9)])
def test_streams_of_arms_augment_by_layers_as_batches_do(steps: tuple[int, ...]) -> None:
    layer = classic_augmentation(flip=True, seed=0)
    made = [ArmBatches(phases(*steps, augment=True), 8) for _ in range(2)]
    for batches, kind in zip(made, (NeverCalled, BatchAugmentation), strict=True):
        batches.phases[-1] = replace(batches.phases[-1], augment=kind(layer, batch_size=4))
    batches, expected = made
    stream = arm_stream(batches)
    for epoch in (1, 0):
        batches.epoch = expected.epoch = epoch
        count = 0
        for index, (images, *rest) in enumerate(stream):
            wanted, *others = expected[index]
            np.testing.assert_allclose(images, wanted, atol=1e-3)
            assert_same(tuple(rest), tuple(others))
            count += not np.array_equal(images, IMAGES[others[0]])
        assert count == (8 if epoch == 1 or len(steps) == 1 else 1)


@on_tensorflow
def test_images_of_a_cell_are_copied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[int] = []

    def constants(arrays: tuple[Any, ...]) -> list[Any]:
        copied.extend(len(array) for array in arrays if array.ndim == 4)
        return original(arrays)

    original = _streams.constants
    monkeypatch.setattr(_streams, "constants", constants)
    train, drawn, judged = (
        ImageDataset.from_arrays(np.resize(IMAGES, (n, 6, 5, 1)), np.arange(n) % 2)
        for n in (20, 24, 8)
    )
    run_comparison(
        train,
        judged,
        validation=replace(judged, images=judged.images[::-1].copy()),
        arms=["original", "warm_start", Arm("twice", [Phase("real", share=0.5)] * 2)],
        augmenter=replace(drawn, synthetic=np.ones(24, bool)),
        classifier=tiny_model,
        epochs=2,
        batch_size=4,
        seeds=[0],
        audit="off",
        verbose=0,
    )
    assert sorted(copied) == [8, 20, 24]


def tiny_model() -> keras.Model:
    layers = [keras.Input((6, 5, 1)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")]
    return keras.Sequential(layers)


@on_tensorflow
def test_a_shorter_last_epoch() -> None:
    batches = ArmBatches(phases(20, augment=False), 8, 4)
    batches.epoch = 2
    found = list(arm_stream(batches))
    for index, batch in enumerate(found):
        assert_same(batch, batches[index])
    assert len(found) == 4


@on_tensorflow
def test_validation_images_are_float() -> None:
    batches = FloatBatches(IMAGES, LABELS, batch_size=9)
    for index, batch in enumerate(float_stream(batches)):
        assert_same(batch, batches[index])


def test_other_backends_read_the_batches_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    batches = ArrayBatches(IMAGES)
    assert streamed(batches) is batches
    arm = ArmBatches(phases(3, augment=False), 3)
    assert arm_stream(arm) is arm
    judged = FloatBatches(IMAGES, LABELS)
    assert float_stream(judged) is judged
    assert float_stream(None) is None
