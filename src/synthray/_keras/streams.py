"""Batches on their way into training: TensorFlow gathers them inside its graph."""

from __future__ import annotations

import copy
import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._keras.backend import as_array, is_tf_dataset, is_torch_loader
from synthray._keras.batches import ArrayBatches, checked_batch_size
from synthray._keras.devices import divides_batches, share_of_process

Transform = Callable[[Any, Any], Any]
"""From float32 images and the number of a batch over all epochs to changed images."""

_AHEAD = 2  # batches that are ready before they are asked for
_FOREVER = 2**62  # epochs
_PEEKED = 100  # batches


def streamed(
    batches: ArrayBatches, transform: Transform | None = None, *, lasting: bool = True
) -> Any:
    """Return what `fit` reads such batches from: equal batches in equal order, faster.

    Keras turns a `PyDataset` into a `tf.data.Dataset` of a Python generator, which costs a small
    network as much time as its step. On TensorFlow, the arrays are copied into the graph once, and
    each epoch asks Python only for `batches.order`, when it begins: a callback has to call
    `batches.set_epoch` before. On other backends, `fit` reads the batches themselves, or the share
    of them that belongs to this process.

    Keras makes two iterators an epoch, and TensorFlow prepares the functions of a data set for each
    of them: for few images, that takes longer than the steps. So by default the result passes on
    what a single iterator finds that lasts for all epochs.

    Args:
        batches: The batches.
        transform: Called with the images of each batch as float32 and the number of the batch over
            all epochs, `epoch * len(batches) + index`; returns changed images. On TensorFlow it is
            part of the graph, elsewhere it takes and returns arrays; see `outside_graph`.
        lasting: Use one iterator for all epochs. Devices cannot share its batches, and every epoch
            must be read to its end.
    """
    if keras.backend.backend() != "tensorflow":
        share, shares = share_of_process()
        if transform is None and shares == 1:
            return batches
        return _Share(batches, share, shares, transform)
    import tensorflow as tf

    length, options = len(batches), _untuned()
    with tf.device("CPU:0"):  # in the computer's own memory, whatever devices there are
        arrays = [tf.constant(np.ascontiguousarray(array)) for array in batches.arrays]
    # TensorFlow never lets go of `plan`, nor would it of the images.
    reference = weakref.ref(batches)

    def plan() -> tuple[Any, Any]:
        found: Any = reference()
        return found.order.astype(np.int64, copy=False), np.int64(found.epoch)

    def begin(_: Any) -> Any:
        order, epoch = tf.numpy_function(plan, [], [tf.int64, tf.int64])
        order.set_shape([None])
        epoch.set_shape([])

        def batch(index: Any) -> Any:
            rows = batches.rows_of(index, order)
            images, *rest = (tf.gather(array, rows) for array in arrays)
            if transform is not None:
                images = transform(tf.cast(images, tf.float32), epoch * length + index)
            return index, (images, *rest) if rest else images

        return tf.data.Dataset.range(length).map(batch).prefetch(_AHEAD)

    if not lasting:
        stream = tf.data.Dataset.range(1).flat_map(begin).map(lambda _, found: found)
        stream = stream.apply(tf.data.experimental.assert_cardinality(length)).with_options(options)
        stream.numbered, stream.batches = None, batches
        return stream
    with tf.device("CPU:0"):
        numbered = iter(tf.data.Dataset.range(_FOREVER).flat_map(begin).with_options(options))

    def take(number: Any) -> Any:
        index, found = numbered.get_next()
        left = ["An epoch was left before its end, and another begun, at batch", index]
        with tf.control_dependencies([tf.raw_ops.Assert(condition=index == number, data=left)]):
            return tf.nest.map_structure(tf.identity, found)

    stream = tf.data.Dataset.range(length).map(take).with_options(options)
    stream.numbered, stream.batches = numbered, batches  # live as long as the stream
    return stream


def outside_graph(function: Transform) -> Transform:
    """Return a transform for `streamed` that calls a function of arrays in Python."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    def outside(images: Any, step: Any) -> Any:
        changed = tf.numpy_function(function, [images, step], tf.float32)
        return tf.ensure_shape(changed, images.shape)

    return outside


def for_judging(model: Any, data: Any, batch_size: int | None) -> Any:
    """Return what `predict` and `evaluate` read arrays from, if that is faster.

    Keras' own pipeline has more functions, which TensorFlow prepares anew at each call, and the end
    of a call waits for the thread that tunes it, for up to as long as the call took.

    Args:
        model: The model that predicts.
        data: Images, or a tuple of images, labels and perhaps weights.
        batch_size: Images at once; `None` for Keras' 32.

    Returns:
        A `tf.data.Dataset`; or the data as they are, if they are not arrays of one length (Keras
        says what is wrong) or if it would not be faster.
    """
    size = checked_batch_size(batch_size)
    arrays = [array for array in (data if isinstance(data, tuple) else [data]) if array is not None]
    if any(isinstance(array, np.ndarray) and array.size == 0 for array in arrays):
        raise ValueError("Expected at least one image, got none.")
    if keras.backend.backend() != "tensorflow" or divides_batches(model) or not arrays:
        return data
    if not all(isinstance(a, np.ndarray) and len(a) == len(arrays[0]) for a in arrays):
        return data
    import tensorflow as tf

    with tf.device("CPU:0"):
        rows = tf.data.Dataset.from_tensor_slices(tuple(arrays) if len(arrays) > 1 else arrays[0])
    return rows.batch(size).prefetch(_AHEAD).with_options(_untuned())


def is_stream(value: Any) -> bool:
    """Whether a value is a stream of batches that a user made.

    Those of this module hold arrays that were checked, and have to be read to their end.
    """
    own = isinstance(value, _Share) or hasattr(value, "numbered")  # see `streamed`
    known = isinstance(value, keras.utils.PyDataset | Iterator) or is_torch_loader(value)
    return not own and (known or is_tf_dataset(value))


def peek(batches: Any, enough: Callable[[Any], bool]) -> tuple[Any, list[Any]]:
    """Return a stream and its first batches, up to one that is enough; the stream still holds them.

    Raises:
        TypeError: If it is no stream.
        ValueError: If it holds no batch.
    """
    source: Any
    if isinstance(batches, keras.utils.PyDataset):
        count = batches.num_batches
        source = map(batches.__getitem__, range(_PEEKED if count is None else count))
    elif hasattr(batches, "__iter__") and not isinstance(batches, str):
        source = iter(batches)
    else:
        raise TypeError(f"Expected images, or batches of them, got {type(batches).__name__}.")
    shown: list[Any] = []
    for batch in itertools.islice(source, _PEEKED):
        shown.append(batch)
        if enough(batch):
            break
    if not shown:
        raise ValueError("Expected at least one batch of images, got none.")
    if source is batches:  # a generator: they are put back in front
        both = itertools.chain(shown, source)
        batches = (parts_of(batch) for batch in both)
    return batches, shown


def mapped(batches: Any, function: Callable[..., tuple[Any, ...]]) -> Any:
    """Return a stream of what a function makes of the parts of each batch of another stream."""
    if is_tf_dataset(batches):
        return batches.map(function).prefetch(_AHEAD)
    if isinstance(batches, keras.utils.PyDataset):
        return _Mapped(batches, function)

    def each() -> Iterator[Any]:
        return (function(*parts_of(batch)) for batch in batches)

    if iter(batches) is batches:
        return each()
    if is_torch_loader(batches):
        return loader_like(batches, each)
    given = type(batches).__name__
    raise TypeError(f"Expected a tf.data, PyDataset, DataLoader or generator stream, got {given}.")


def watched(batches: Any, look: Callable[[NDArray[Any]], None]) -> Any:
    """Return a stream that shows the images of each batch to a function on their way."""

    def shown(images: Any, *rest: Any) -> tuple[Any, ...]:
        look(as_array(images))
        return images, *rest

    def shown_in_graph(images: Any, *rest: Any) -> tuple[Any, ...]:
        import tensorflow as tf

        same = tf.numpy_function(lambda array: shown(array)[0], [images], images.dtype)
        return tf.ensure_shape(same, images.shape), *rest

    return mapped(batches, shown_in_graph if is_tf_dataset(batches) else shown)


def loader_like(loader: Any, batches: Callable[[], Iterator[Any]], **methods: Any) -> Any:
    """Return a copy of a torch `DataLoader` with other batches, which are made anew each epoch."""
    methods["__iter__"] = lambda _: batches()
    copied = copy.copy(loader)
    copied.__class__ = type("DataLoader", (type(loader),), methods)
    return copied


def parts_of(batch: Any) -> tuple[Any, ...]:
    """Return images, and labels if there are any."""
    return tuple(batch) if isinstance(batch, tuple | list) else (batch,)


class _Mapped(keras.utils.PyDataset):
    def __init__(self, batches: keras.utils.PyDataset, function: Callable[..., Any]) -> None:
        options = ("workers", "use_multiprocessing", "max_queue_size")
        super().__init__(**{name: getattr(batches, name) for name in options})
        self._batches = batches
        self._function = function

    @property
    def num_batches(self) -> Any:
        return self._batches.num_batches

    def __getitem__(self, index: int) -> Any:
        return self._function(*parts_of(self._batches[index]))

    def on_epoch_begin(self) -> None:
        self._batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._batches.on_epoch_end()


class _Share(keras.utils.PyDataset):
    """The part of each batch that one process of several reads, changed by a transform."""

    def __init__(
        self, batches: ArrayBatches, share: int, shares: int, transform: Transform | None = None
    ) -> None:
        super().__init__()
        self._batches = batches
        self._share = share
        self._shares = shares
        self._transform = transform

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Any:
        batch = self._batches[index]
        images, *rest = map(self._rows_of, batch if isinstance(batch, tuple) else (batch,))
        if self._transform is not None:
            step = self._batches.epoch * len(self._batches) + index
            images = self._transform(images.astype(np.float32), step)
        return (images, *rest) if rest else images

    def on_epoch_end(self) -> None:
        self._batches.on_epoch_end()

    def _rows_of(self, array: NDArray[Any]) -> NDArray[Any]:
        count = len(array) // self._shares
        return array[self._share * count : (self._share + 1) * count]


def _untuned() -> Any:
    """Return options of a data set that TensorFlow does not tune.

    There is nothing to tune, and the tuner's thread delays the end.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return options
