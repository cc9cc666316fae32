"""The batches of an arm on their way into training, gathered inside TensorFlow's graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray.comparison.augmentation import BatchAugmentation
from synthray.comparison.batches import ArmBatches, FloatBatches, PhaseStream
from synthray.datasets._streams import gather, passes, streamed


def arm_stream(batches: ArmBatches, *, lasting: bool = True) -> Any:
    """Return what `fit` reads the batches of an arm from: the same numbers, faster on TensorFlow.

    See [`streamed`][synthray.datasets._streams.streamed].
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    branches = [_gatherer(phase) for phase in batches.phases]

    def batch(index: Any, phases: Any, draws: Any, ends: Any, rows: Any) -> Any:
        start = tf.where(index > 0, ends[tf.maximum(index, 1) - 1], 0)
        chosen, draw = rows[start : ends[index]], draws[index]
        if len(branches) == 1:
            return branches[0](chosen, draw)
        return tf.switch_case(
            tf.cast(phases[index], tf.int32), [partial(branch, chosen, draw) for branch in branches]
        )

    plan = partial(_plan, batches)
    return passes(plan, ["int64"] * 4, batch, batches.num_batches, lasting=lasting)


def float_stream(batches: FloatBatches | None, *, lasting: bool = True) -> Any:
    """Return what `fit` reads validation images from."""
    if batches is None or keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    stream = streamed(batches, batches.tensors(), lasting=lasting)
    return stream.map(lambda images, *rest: (tf.cast(images, tf.float32), *rest))


def _plan(batches: ArmBatches) -> list[NDArray[np.int64]]:
    """Return for the batches of an epoch: phases, draws, where their rows end, and all rows."""
    places = [batches.place(index) for index in range(batches.num_batches)]
    draws = [batches.phases[number].draw(step) for number, step in places]
    rows = [batches.phases[number].rows(step) for number, step in places]
    tables = [[number for number, _ in places], draws, np.cumsum([len(each) for each in rows])]
    return [np.asarray(table, np.int64) for table in (*tables, np.concatenate(rows))]


def _gatherer(phase: PhaseStream) -> Callable[[Any, Any], Any]:
    """Return a function from rows and the number of a draw to a batch, for a graph."""
    import tensorflow as tf

    arrays = phase.batches.tensors()
    augment = _augmenter(phase)

    def batch(rows: Any, draw: Any) -> Any:
        images, *rest = gather(arrays, rows)
        return augment(tf.cast(images, tf.float32), draw), *rest

    return batch


def _augmenter(phase: PhaseStream) -> Callable[[Any, Any], Any]:
    """Return a function from images and the number of a draw to changed images, for a graph."""
    import tensorflow as tf

    if phase.augment is None:
        return lambda images, draw: images
    if isinstance(phase.augment, BatchAugmentation):
        example = phase.batches.arrays[0][:1].astype(np.float32)
        in_graph = phase.augment.in_graph(phase.seed, example)
        if in_graph is not None:
            return in_graph

    def outside(images: Any, draw: Any) -> Any:
        changed = tf.numpy_function(phase.augmented, [images, draw], tf.float32)
        return tf.ensure_shape(changed, images.shape)

    return outside
