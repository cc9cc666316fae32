"""Joins synthetic images to a user's training set and returns the same kind of thing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from synthray._keras.backend import as_array, in_kind_of, is_tf_dataset, is_torch_loader
from synthray._keras.batches import ArrayBatches
from synthray._keras.streams import loader_like
from synthray._seeds import resolve_seed
from synthray.augmenter.sizes import check_proportions, in_shape, tell_of_sizes
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.pixels import ValueRange, from_unit, infer_value_range
from synthray.generators.inputs import peek_images


def mix(
    augmenter: Any,
    dataset: Any,
    number: float | Mapping[str, int],
    *,
    seed: int | None,
    value_range: ValueRange | None = None,
    keep_real: bool = True,
    warn: bool = True,
) -> Any:
    """Return synthetic images in the form of `dataset`, behind or among its own (`keep_real`).

    Args:
        augmenter: Generates the images.
        dataset: `(x, y)` arrays or tensors, an `ImageDataset`, a `tf.data.Dataset`, a `PyDataset`
            or a torch `DataLoader`.
        number: Of synthetic images, for each real one or of each class.
        seed: Seed of images and order; `None` for the augmenter's.
        value_range: Values of black and white; `None` to judge by the images.
        keep_real: Mix, or return synthetic images alone.
        warn: Warn where values lie beyond their range.
    """
    check_is_fitted(augmenter, "generators_")
    ratio = 0 if isinstance(number, Mapping) else number
    if not 0 <= ratio < float("inf"):
        raise ValueError(f"ratio must be 0 or more, got {ratio}.")
    seed = resolve_seed(augmenter.random_state if seed is None else seed)
    names = getattr(dataset, "class_names", None)
    if names is not None and tuple(names) != augmenter.class_names_:
        raise ValueError(
            f"The data set has classes {list(names)}, but the augmenter was fitted on "
            f"{list(augmenter.class_names_)}. Fit it on the same classes in the same order."
        )

    def generate(n_real: int) -> ImageDataset:
        n = number if isinstance(number, Mapping) else round(ratio * n_real)
        return augmenter.sample(n, seed=seed)

    def synthetic_pair(n_real: int, batch: Arrays, seen: NDArray[Any]) -> Arrays:
        limits = infer_value_range(seen, value_range, warn=warn)
        form = functools.partial(as_in, batch, classes=augmenter.classes_, limits=limits)
        form(augmenter.sample(0))  # errors come before the images are generated
        tell_of_sizes(augmenter.image_shape_, batch[0].shape[1:3], stacklevel=4)
        return form(generate(n_real))

    if isinstance(dataset, ImageDataset):
        synthetic = generate(len(dataset))
        sources = getattr(augmenter, "sources_", None)
        if dataset.groups is None and sources and np.array_equal(sources.images, dataset.images):
            # A translation has the group of its source, which is in this data set.
            known = sources.groups is not None
            dataset = dataset.with_groups(sources.groups if known else sources.group_codes)
        return dataset.concatenate(synthetic) if keep_real else synthetic
    if isinstance(dataset, tuple | list):
        given = as_pair(dataset)
        images, labels = map(as_array, given)
        found = synthetic_pair(len(images), (images, labels), images)
        if keep_real:
            found = np.concatenate([images, found[0]]), np.concatenate([labels, found[1]])
        return tuple(map(in_kind_of, given, found))
    loader = is_torch_loader(dataset)
    if not (loader or is_tf_dataset(dataset) or isinstance(dataset, keras.utils.PyDataset)):
        raise TypeError(
            "Expected (x, y) arrays or tensors, an ImageDataset, a tf.data.Dataset, a PyDataset or "
            f"a torch DataLoader, got {type(dataset).__name__}."
        )
    _, first, seen = peek_images(dataset, lambda batch: as_array(as_pair(batch)[0]), value_range)
    images, labels = (as_array(part) for part in as_pair(first))
    pair_of = functools.partial(synthetic_pair, seen=seen)
    if is_tf_dataset(dataset):
        return _mix_tf_dataset(dataset, (images, labels), pair_of, seed, keep_real)
    if loader:
        return _mix_loader(dataset, as_pair(first), pair_of, seed, keep_real)
    count = dataset.num_batches
    if not count:
        raise ValueError(f"Expected a PyDataset of some batches, got num_batches={count}.")
    n_real = (count - 1) * len(images) + len(as_pair(dataset[count - 1])[0])
    pair = pair_of(n_real, (images, labels))
    if keep_real:
        return _MixedPyDataset(dataset, pair, n_real, len(images), seed)
    return ArrayBatches(*pair, batch_size=len(images), shuffle=True, seed=seed)


class _MixedPyDataset(keras.utils.PyDataset):
    """Batches of another `PyDataset` and of synthetic images, of the same batch size.

    Every batch holds its share of both, the real ones in their own order, so that a shuffled data
    set stays shuffled. All images of both come once an epoch.
    """

    def __init__(
        self, real: Any, synthetic: Arrays, n_real: int, batch_size: int, seed: int
    ) -> None:
        super().__init__(workers=1)
        self._real = real
        self._synthetic = synthetic
        self._n_real = n_real
        self._batch_size = batch_size
        self._total = n_real + len(synthetic[0])
        self._rng = np.random.default_rng(seed)
        self._order = self._rng.permutation(len(synthetic[0]))
        # Neighbours share a batch: it is made once.
        self._real_batch = functools.lru_cache(maxsize=2)(lambda index: as_pair(real[index]))

    def __len__(self) -> int:
        return -(-self._total // self._batch_size)

    def __getitem__(self, index: int) -> Arrays:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start, stop = (min(i * self._batch_size, self._total) for i in (index, index + 1))
        # Real images before position p of the epoch: p * share, rounded down.
        first, last = (i * self._n_real // self._total for i in (start, stop))
        rows = self._order[start - first : stop - last]
        pairs = [self._real_pair(place) for place in range(first, last)]
        pairs += [tuple(array[row] for array in self._synthetic) for row in rows]
        images, labels = (np.stack([as_array(pair[i]) for pair in pairs]) for i in (0, 1))
        return images, labels

    def on_epoch_begin(self) -> None:
        self._real.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._real.on_epoch_end()
        self._real_batch.cache_clear()
        self._order = self._rng.permutation(len(self._order))

    def _real_pair(self, place: int) -> tuple[Any, ...]:
        batch, row = divmod(place, self._batch_size)
        return tuple(array[row] for array in self._real_batch(batch))


class _InTurn:
    """Batches of a torch `DataLoader`, by their number, for those who ask in turn."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getitem__(self, index: int) -> Any:
        if index == 0:
            self._batches = iter(self._loader)
        return next(self._batches)

    def on_epoch_end(self) -> None:
        pass


def _mix_loader(
    loader: Any, first: Any, pair_of: Callable[..., Arrays], seed: int, keep_real: bool
) -> Any:
    """Mix into a torch `DataLoader`, whose images have their channels first or last."""
    images, labels = map(as_array, first)
    turned = images.ndim == 4 and images.shape[3] not in (1, 3)
    n_real = sum(len(as_pair(batch)[1]) for batch in loader)
    pair = pair_of(n_real, (np.moveaxis(images, 1, 3) if turned else images, labels))
    pair = (np.moveaxis(pair[0], 3, 1), pair[1]) if turned else pair
    mixed: Any = ArrayBatches(*pair, batch_size=len(images), shuffle=True, seed=seed)
    if keep_real:
        mixed = _MixedPyDataset(_InTurn(loader), pair, n_real, len(images), seed)

    def epoch() -> Iterator[Any]:
        for index in range(len(mixed)):
            yield [in_kind_of(*each) for each in zip(first, mixed[index], strict=True)]
        mixed.on_epoch_end()

    return loader_like(loader, epoch, __len__=lambda _: len(mixed))


def _mix_tf_dataset(
    dataset: Any, first: Arrays, pair_of: Callable[..., Arrays], seed: int, keep_real: bool
) -> Any:
    """Mix into a `tf.data.Dataset`, batch by batch in equal shares; single images at random."""
    import tensorflow as tf

    shape = as_pair(dataset.element_spec)[0].shape
    batched = shape.rank == 4 or (shape.rank == 3 and shape[-1] not in (1, 3, None))
    images, labels = first
    if not batched:
        images, labels = images[np.newaxis], labels[np.newaxis]
    count = int(dataset.cardinality())
    if count == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "The data set repeats without end, so ratio has no meaning. Augment it before "
            ".repeat()."
        )
    if batched or count < 0:  # not known but by a walk through it
        count = sum(int(tf.shape(as_pair(item)[1])[0]) if batched else 1 for item in dataset)
    n_real, batch_size = count, len(images)
    pair = pair_of(n_real, (images, labels))
    alone = tf.data.Dataset.from_tensor_slices(pair).shuffle(max(len(pair[0]), 1), seed=seed)
    if not keep_real:
        return (alone.batch(batch_size) if batched else alone).prefetch(tf.data.AUTOTUNE)

    def as_real(*pair: Any) -> Any:
        return tf.nest.pack_sequence_as(dataset.element_spec, pair)

    total = n_real + len(pair[0])
    length = -(-total // batch_size)
    if batched:
        ends = np.minimum(np.arange(length + 1) * batch_size, total)
        shares = np.diff(ends * n_real // total)  # of real images, batch by batch
        more = alone.batch(batch_size).rebatch(np.diff(ends) - shares)
        both = tf.data.Dataset.zip((dataset.rebatch(shares), more.map(as_real)))
        mixed = both.map(lambda a, b: tf.nest.map_structure(lambda *x: tf.concat(x, 0), a, b))
    else:
        mixed = tf.data.Dataset.sample_from_datasets(
            [dataset, alone.map(as_real)],
            weights=[n_real / total, 1 - n_real / total],
            seed=seed,
            stop_on_empty_dataset=False,
        )
    return mixed.apply(tf.data.experimental.assert_cardinality(length)).prefetch(tf.data.AUTOTUNE)


Arrays = tuple[NDArray[Any], NDArray[Any]]


def as_in(batch: Arrays, data: ImageDataset, classes: list[Any], limits: ValueRange) -> Arrays:
    """Return images and labels in the form of a user's batch.

    Args:
        batch: The user's images and labels.
        data: The images to convert.
        classes: Label values of its classes in the user's terms.
        limits: Values of black and white.

    Raises:
        ValueError: If the batch has a form that cannot be matched, or proportions or classes
            differ.
    """
    images, labels = batch
    if images.ndim not in (3, 4) or (*images.shape, 1)[3] not in (1, 3):
        raise ValueError(
            "Expected images of shape (n, h, w) or (n, h, w, c) with 1 or 3 channels, got "
            f"{images.shape}."
        )
    n, height, width = images.shape[:3]
    if labels.ndim > 2 or len(labels) != n:
        raise ValueError(
            f"Expected one label an image, of shape ({n},), ({n}, 1) or one-hot ({n}, k), got "
            f"{labels.shape}."
        )
    check_proportions(data.image_shape, (height, width))
    pixels = in_shape(data.images, (height, width, (*images.shape, 1)[3]))
    if images.dtype != np.uint8:
        unit = pixels.astype(np.float32) / np.float32(255)
        pixels = from_unit(unit, limits, images.dtype)
    return pixels.reshape(len(data), *images.shape[1:]), _labels_as_in(labels, data, classes)


def _labels_as_in(batch: NDArray[Any], data: ImageDataset, classes: list[Any]) -> NDArray[Any]:
    if batch.ndim == 2 and batch.shape[1] > 1:
        if batch.shape[1] != data.num_classes:
            raise ValueError(
                f"Labels are one-hot rows of {batch.shape[1]}, but the augmenter learnt "
                f"{data.num_classes} classes: {list(data.class_names)}."
            )
        return np.eye(data.num_classes, dtype=batch.dtype)[data.labels]
    names = list(data.class_names)  # a user may have either
    seen = {_text(label) for label in np.unique(batch).tolist()}
    known = next((values for values in (classes, names) if seen <= set(values)), None)
    if known is None:
        raise ValueError(
            f"The augmenter was fitted with labels {classes} of the classes {names}, but this data "
            f"set has labels such as {list(seen)[:6]} of type {batch.dtype}. Fit it with the same "
            "labels."
        )
    labels = np.asarray(known)[data.labels].reshape(len(data), *batch.shape[1:])
    if labels.dtype.kind == "U" and batch.size and isinstance(batch.flat[0], bytes):
        labels = np.char.encode(labels, "utf-8")
    # Texts not to the length of those that were seen: it would cut longer ones.
    return labels if batch.dtype.kind in "SU" else labels.astype(batch.dtype)


def _text(label: Any) -> Any:
    return label.decode() if isinstance(label, bytes) else label  # a string as TensorFlow has it


def as_pair(batch: Any) -> tuple[Any, Any]:
    """Return `(images, labels)` of a batch; raise a `ValueError` if it is anything else."""
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    what = f"a tuple of {len(batch)}" if isinstance(batch, tuple | list) else type(batch).__name__
    raise ValueError(
        f"Expected batches of (images, labels), got {what}. Add sample weights or further inputs "
        "after augmenting."
    )
