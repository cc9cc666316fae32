"""Batches on their way into training: TensorFlow gathers them inside its graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._devices import divides_batches, share_of_process
from synthray.datasets._batches import ArrayBatches

_AHEAD = 2  # batches that are ready before they are asked for
_FOREVER = 2**62  # passes


def streamed(
    batches: ArrayBatches, tensors: list[Any] | None = None, *, lasting: bool = True
) -> Any:
    """Return what `fit` reads such batches from: equal batches in equal order, faster.

    Keras turns a `PyDataset` into a `tf.data.Dataset` of a Python generator, which costs a small
    network as much time as its step. On TensorFlow the arrays are copied into the graph once, and
    Python is asked for the order of an epoch alone, as the epoch begins. Elsewhere the batches are
    returned as they are, or the share of them that is this process's of several.

    Args:
        batches: The batches.
        tensors: Copies of their arrays that there are already.
        lasting: Whether one iterator may serve all passes, as below.
    """
    if keras.backend.backend() != "tensorflow":
        share, shares = share_of_process()
        return batches if shares == 1 else _Share(batches, share, shares)
    arrays = constants(batches.arrays) if tensors is None else tensors

    def batch(index: Any, order: Any) -> Any:
        found = gather(arrays, batches.rows_of(index, order))
        return found if len(found) > 1 else found[0]

    def order() -> list[NDArray[Any]]:
        return [batches.order.astype(np.int64, copy=False)]

    return passes(order, ["int64"], batch, len(batches), lasting=lasting)


def for_judging(model: Any, data: Any, batch_size: int | None) -> Any:
    """Return what `predict` and `evaluate` read arrays from, where that is faster.

    Keras' own pipeline has more functions, which TensorFlow prepares anew at each call, and the end
    of a call waits for the thread that tunes it, for up to as long as the call took.

    Args:
        model: Who judges.
        data: Images, or a tuple of images, labels and perhaps weights.
        batch_size: Images at once; `None` for Keras' 32.

    Returns:
        A `tf.data.Dataset`; the data as they are where they are not arrays of one length, and
        where it would not be faster.
    """
    arrays = [array for array in (data if isinstance(data, tuple) else [data]) if array is not None]
    if keras.backend.backend() != "tensorflow" or divides_batches(model):
        return data
    if not (arrays and all(isinstance(array, np.ndarray) for array in arrays)):
        return data
    if len(arrays[0]) == 0 or any(len(array) != len(arrays[0]) for array in arrays):
        return data  # Keras says what is wrong
    import tensorflow as tf

    with tf.device("CPU:0"):
        rows = tf.data.Dataset.from_tensor_slices(tuple(arrays) if len(arrays) > 1 else arrays[0])
    size = 32 if batch_size is None else batch_size
    return rows.batch(size).prefetch(_AHEAD).with_options(_untuned())


class _Share(keras.utils.PyDataset):
    """The part of each batch that one process of several reads."""

    def __init__(self, batches: ArrayBatches, share: int, shares: int) -> None:
        super().__init__()
        self._batches = batches
        self._share = share
        self._shares = shares

    @property
    def num_batches(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Any:
        batch = self._batches[index]
        if not isinstance(batch, tuple):
            return self._rows_of(batch)
        return tuple(self._rows_of(array) for array in batch)

    def on_epoch_end(self) -> None:
        self._batches.on_epoch_end()

    def _rows_of(self, array: NDArray[Any]) -> NDArray[Any]:
        count = len(array) // self._shares
        return array[self._share * count : (self._share + 1) * count]


def passes(
    plan: Callable[[], list[NDArray[Any]]],
    dtypes: list[str],
    batch: Callable[..., Any],
    num_batches: int,
    *,
    lasting: bool = True,
) -> Any:
    """Return a `tf.data.Dataset` that asks for a plan each time a pass over it begins.

    Keras makes two iterators for each pass, and TensorFlow prepares the functions of a data set
    anew for each of them: of few images that takes longer than the steps. So the data set that
    Keras gets hands on what one iterator finds that lasts for all passes. It cannot be divided
    among devices, nor can a pass be left before its end: for that there is one that does the work
    itself.

    Args:
        plan: Returns the arrays that tell what the batches of the coming pass are.
        dtypes: Their types; each array is of one dimension.
        batch: From a batch's number and the plan's arrays, as tensors, to the batch.
        num_batches: Batches of a pass.
        lasting: Whether one iterator may serve all passes.
    """
    import tensorflow as tf

    def begin(_: Any) -> Any:
        tables = tf.numpy_function(plan, [], [tf.as_dtype(dtype) for dtype in dtypes])
        for table in tables:
            table.set_shape([None])
        found = tf.data.Dataset.range(num_batches).map(lambda i: (i, batch(i, *tables)))
        return found.prefetch(_AHEAD)

    options = _untuned()
    if not lasting:
        stream = tf.data.Dataset.range(1).flat_map(begin).map(lambda _, found: found)
        stream = stream.apply(tf.data.experimental.assert_cardinality(num_batches))
        return stream.with_options(options)
    with tf.device("CPU:0"):
        numbered = iter(tf.data.Dataset.range(_FOREVER).flat_map(begin).with_options(options))

    def take(number: Any) -> Any:
        index, found = numbered.get_next()
        left = ["A pass was left before its end, and another begun, at batch", index]
        with tf.control_dependencies([tf.raw_ops.Assert(condition=index == number, data=left)]):
            return tf.nest.map_structure(tf.identity, found)

    stream = tf.data.Dataset.range(num_batches).map(take).with_options(options)
    stream.numbered = numbered  # which goes when this goes
    return stream


def _untuned() -> Any:
    """Return options of a data set that TensorFlow does not tune.

    There is nothing to tune, and the tuner's thread keeps an end waiting.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def constants(arrays: tuple[NDArray[Any], ...]) -> list[Any]:
    """Return arrays as tensors in the computer's own memory, whatever else there is."""
    import tensorflow as tf

    with tf.device("CPU:0"):
        return [tf.constant(np.ascontiguousarray(array)) for array in arrays]


class Kept:
    """Tensors of arrays that several streams read: of each array there is one copy.

    They are kept, with their arrays, as long as this is.
    """

    def __init__(self) -> None:
        self._found: dict[int, tuple[NDArray[Any], Any]] = {}

    def tensor(self, array: NDArray[Any]) -> Any:
        """Return the copy of an array, which must not change meanwhile."""
        if id(array) not in self._found:
            (copy,) = constants((array,))
            self._found[id(array)] = (array, copy)  # with the array, for ids are given again
        return self._found[id(array)][1]


def gather(arrays: list[Any], rows: Any) -> tuple[Any, ...]:
    """Return these rows of each array, in a graph."""
    import tensorflow as tf

    return tuple(tf.gather(array, rows) for array in arrays)
