"""Joins drawn images to a user's training set and returns the same kind of thing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._backend import is_tf_dataset
from synthray._value_range import ValueRange
from synthray.augmenter.user_format import Arrays, UserFormat, as_pair
from synthray.datasets._batches import ArrayBatches
from synthray.datasets._streams import constants, gather
from synthray.datasets.image_dataset import ImageDataset


def use(
    dataset: Any,
    draw: Callable[[int, Any], ImageDataset],
    classes: list[Any],
    *,
    value_range: ValueRange | None,
    seed: int,
    keep_real: bool,
    sources: ImageDataset | None = None,
) -> Any:
    """Return drawn images in the form of `dataset`, behind or among its own (`keep_real`).

    Args:
        dataset: `(x, y)` arrays, an `ImageDataset`, a `tf.data.Dataset` or a `PyDataset`.
        draw: Called with the number of real images and their class names, if known.
        classes: Label values of the drawn classes in the user's terms.
        value_range: Values of black and white; `None` to judge by the first batch.
        seed: Seed of the order.
        keep_real: Mix, or return drawn images alone.
        sources: Images that drawn ones were made of, with their groups.
    """
    if isinstance(dataset, ImageDataset):
        drawn = draw(len(dataset), dataset.class_names)
        if dataset.groups is None and sources is not None and _are_places(sources, dataset):
            # A translation has the group of its source, which is its place where there is no other.
            dataset = dataset.with_groups(dataset.group_codes)
        return dataset.concatenate(drawn) if keep_real else drawn
    if isinstance(dataset, tuple | list):
        arrays = tuple(np.asarray(part) for part in as_pair(dataset))
        form = UserFormat.learn(arrays[0], arrays[1], value_range)
        pair = form.write(draw(len(arrays[0]), None), classes)
        if not keep_real:
            return pair
        return tuple(np.concatenate(both) for both in zip(arrays, pair, strict=True))
    if is_tf_dataset(dataset):
        return _use_tf_dataset(dataset, draw, classes, value_range, seed, keep_real)
    if isinstance(dataset, keras.utils.PyDataset):
        images, labels = (np.asarray(part) for part in as_pair(dataset[0]))
        form = UserFormat.learn(images, labels, value_range)
        pair = form.write(draw(count_py_images(dataset), None), classes)
        if keep_real:
            return MixedPyDataset(dataset, pair, seed=seed)
        return ArrayBatches(*pair, batch_size=len(images), shuffle=True, seed=seed)
    raise TypeError(
        "Expected (x, y) arrays, an ImageDataset, a tf.data.Dataset or a keras PyDataset, got "
        f"{type(dataset).__name__}."
    )


def _are_places(sources: ImageDataset, dataset: ImageDataset) -> bool:
    """Whether these are the sources, whose groups are their places."""
    places = np.array_equal(np.asarray(sources.groups), dataset.group_codes)
    return places and np.array_equal(sources.images, dataset.images)  # which takes longer


def _use_tf_dataset(
    dataset: Any,
    draw: Callable[[int, Any], ImageDataset],
    classes: list[Any],
    value_range: ValueRange | None,
    seed: int,
    keep_real: bool,
) -> Any:
    import tensorflow as tf

    shape = as_pair(dataset.element_spec)[0].shape
    batched = shape.rank == 4 or (shape.rank == 3 and shape[-1] not in (1, 3, None))
    first = next(iter(dataset), None)
    if first is None:
        raise ValueError("Expected at least one batch of (images, labels), got an empty data set.")
    images, labels = (np.asarray(part) for part in as_pair(first))
    batch_size = len(images) if batched else None
    if not batched:
        images, labels = images[np.newaxis], labels[np.newaxis]
    form = UserFormat.learn(images, labels, value_range)
    n_real = count_tf_images(dataset, batch_size)
    pair = form.write(draw(n_real, getattr(dataset, "class_names", None)), classes)
    if keep_real:
        return mix_tf_dataset(dataset, pair, seed=seed, batch_size=batch_size, n_real=n_real)
    alone = tf.data.Dataset.from_tensor_slices(pair).shuffle(max(len(pair[0]), 1), seed=seed)
    alone = alone if batch_size is None else alone.batch(batch_size)
    return alone.prefetch(tf.data.AUTOTUNE)


class MixedPyDataset(keras.utils.PyDataset):
    """Batches of another `PyDataset` and of drawn images, in one stream of the same batch size.

    Every output batch holds its share of both, the real ones in their own order, so that a
    shuffled data set stays shuffled. All images of both come once an epoch.

    Args:
        real: The user's data set.
        drawn: Drawn images and labels in the user's format.
        seed: Seed of the order of the drawn images.
    """

    def __init__(self, real: Any, drawn: Arrays, *, seed: int) -> None:
        super().__init__(workers=1)
        self._real = real
        self._drawn = drawn
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._cache: dict[int, Any] = {}
        self._batch_size = len(as_pair(real[0])[0])
        self._n_real = count_py_images(real)
        self._length = -(-(self._n_real + len(drawn[0])) // self._batch_size)
        self._order = self._rng.permutation(len(drawn[0]))

    @property
    def num_batches(self) -> int:
        """Batches an epoch."""
        return self._length

    def __len__(self) -> int:
        """Return the number of batches an epoch."""
        return self._length

    def __getitem__(self, index: int) -> Arrays:
        """Return batch `index`."""
        if not 0 <= index < self._length:
            raise IndexError(index)
        total = self._n_real + len(self._drawn[0])
        start, stop = (min(i * self._batch_size, total) for i in (index, index + 1))
        # Real images before position p of the stream: p * share, rounded down.
        first, last = (i * self._n_real // total for i in (start, stop))
        rows = self._order[start - first : stop - last]
        real = self._real_rows(first, last)
        parts = [*real, (self._drawn[0][rows], self._drawn[1][rows])]
        images, labels = (np.concatenate([np.asarray(p[i]) for p in parts]) for i in (0, 1))
        return images, labels

    def on_epoch_begin(self) -> None:
        """Pass the event on."""
        self._real.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Pass the event on, and draw a new order."""
        self._real.on_epoch_end()
        with self._lock:
            self._cache.clear()
        self._order = self._rng.permutation(len(self._drawn[0]))

    def _real_rows(self, first: int, last: int) -> list[Any]:
        parts = []
        while first < last:
            batch, offset = divmod(first, self._batch_size)
            count = min(last - first, self._batch_size - offset)
            x, y = self._real_batch(batch)
            parts.append((x[offset : offset + count], y[offset : offset + count]))
            first += count
        return parts

    def _real_batch(self, index: int) -> Any:
        with self._lock:  # neighbours share a batch: it is made once
            if index not in self._cache:
                while len(self._cache) > 1:
                    self._cache.pop(next(iter(self._cache)))
                self._cache[index] = as_pair(self._real[index])
            return self._cache[index]


def mix_tf_dataset(
    real: Any, drawn: Arrays, *, seed: int, batch_size: int | None, n_real: int
) -> Any:
    """Return a `tf.data.Dataset` of real and drawn images, each once an epoch.

    Batches hold their share of both, the real ones in their own order, the drawn ones in a new
    order each epoch; single images meet at random.

    Args:
        real: The user's data set, in batches of `batch_size` or (`None`) single images.
        drawn: Drawn images and labels in the user's format.
        seed: Seed of the order.
        batch_size: Images a batch.
        n_real: Number of real images.
    """
    import tensorflow as tf

    total = n_real + len(drawn[0])
    if batch_size is None:
        mixed, length = _mix_singles(real, drawn, seed, n_real / total), total
    else:
        ends = np.minimum(np.arange(-(-total // batch_size) + 1) * batch_size, total)
        shares = np.diff(ends * n_real // total)  # of real images, batch by batch
        length = len(shares)
        if shares.all():
            mixed = _mix_batches(real, drawn, seed, shares, np.diff(ends) - shares)
        else:  # batches without a real image
            singles = _mix_singles(real.unbatch(), drawn, seed, n_real / total)
            mixed = singles.batch(batch_size)
    return mixed.apply(tf.data.experimental.assert_cardinality(length)).prefetch(tf.data.AUTOTUNE)


def _mix_batches(
    real: Any, drawn: Arrays, seed: int, n_real: NDArray[np.int64], n_drawn: NDArray[np.int64]
) -> Any:
    """Join batches of so many real images to batches of so many drawn ones."""
    import tensorflow as tf

    arrays = constants(drawn)
    starts, stops = np.cumsum(n_drawn) - n_drawn, np.cumsum(n_drawn)

    def one_pass(seeds: Any) -> Any:
        order = tf.random.experimental.stateless_shuffle(tf.range(len(drawn[0])), seeds)
        places = tf.data.Dataset.from_tensor_slices((starts, stops))
        return places.map(lambda start, stop: gather(arrays, order[start:stop]))

    def join(batch: Any, more: Any) -> Any:
        more = tf.nest.pack_sequence_as(batch, tf.nest.flatten(more))
        return tf.nest.map_structure(lambda a, b: tf.concat([a, b], 0), batch, more)

    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2).take(1)
    return tf.data.Dataset.zip((real.rebatch(n_real), seeds.flat_map(one_pass))).map(join)


def _mix_singles(singles: Any, drawn: Arrays, seed: int, share: float) -> Any:
    import tensorflow as tf

    synthetic = tf.data.Dataset.from_tensor_slices(drawn).shuffle(max(len(drawn[0]), 1), seed=seed)
    synthetic = synthetic.map(lambda *pair: tf.nest.pack_sequence_as(singles.element_spec, pair))
    return tf.data.Dataset.sample_from_datasets(
        [singles, synthetic], weights=[share, 1 - share], seed=seed, stop_on_empty_dataset=False
    )


def count_tf_images(dataset: Any, batch_size: int | None) -> int:
    """Count the images of a finite `tf.data.Dataset`; walks through it where it must.

    Raises:
        ValueError: If it is infinite.
    """
    import tensorflow as tf

    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "The data set repeats without end, so ratio has no meaning. Augment it before "
            ".repeat()."
        )
    if batch_size is None and int(dataset.cardinality()) >= 0:
        return int(dataset.cardinality())
    if batch_size is None:
        return sum(1 for _ in dataset)
    return sum(int(tf.shape(as_pair(batch)[1])[0]) for batch in dataset)


def count_py_images(dataset: Any) -> int:
    """Count the images of a finite `PyDataset` of equal batches by its first and last batch.

    Raises:
        ValueError: If it is empty or infinite.
    """
    if not dataset.num_batches:
        raise ValueError(
            f"Expected a PyDataset with a number of batches, got num_batches={dataset.num_batches}."
        )
    first, last = (len(as_pair(dataset[i])[0]) for i in (0, dataset.num_batches - 1))
    return (dataset.num_batches - 1) * first + last
