"""What `fit` of a generator takes, turned into batches of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray._keras.backend import as_array
from synthray._keras.batches import ArrayBatches, checked_batch_size
from synthray._keras.devices import devices_of, divides_batches
from synthray._keras.streams import mapped, peek, streamed, watched
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.pixels import ValueRange, extremes, infer_value_range, shows_range


@dataclass(frozen=True)
class TrainingImages:
    """Batches for `fit`.

    Attributes:
        batches: What the stock `fit` takes.
        value_range: Range of float images; `None` if each set has its own.
        own_order: What `batches` come from if the library decides their order.
    """

    batches: Any
    value_range: Any
    own_order: Any = None


def prepare_images(
    model: Any,
    x: Any,
    y: Any,
    *,
    batch_size: int | None,
    value_range: ValueRange | None,
    shuffle: bool = False,
    lasting: bool = True,
) -> TrainingImages:
    """Check images for a `GAN` and find their value range.

    For a class-conditional model, the first entry of each batch holds images and labels; for
    others, labels are ignored. Each of several devices gets as many images of a batch as each
    other: of the last one, some images may be left out. `lasting` says that every pass takes all
    images.

    Raises:
        TypeError: If `x` is nothing that holds images.
        ValueError: If shapes or values do not fit.
    """
    image_shape, num_classes, devices = model.image_shape, model.num_classes, devices_of(model)
    judged = isinstance(x, ImageDataset)  # when it was made
    if judged:
        x, y = x.images, x.labels
    if hasattr(x, "__array__"):
        arrays = [as_array(x)]
        check_image_shape(arrays[0].shape, image_shape)
        n = len(arrays[0])
        value_range = _range_of(arrays[0], value_range, warn=not judged)
        if num_classes is not None:
            arrays.append(class_indices(y, n, num_classes))
        size = even_batch_size(checked_batch_size(batch_size, model.BATCH_SIZE), n, devices)
        order = ArrayBatches(
            *arrays, batch_size=size, shuffle=shuffle, seed=model.seed, multiple=devices
        )
        stream = streamed(order, lasting=lasting and not divides_batches(model))
        return TrainingImages(_with_labels_inside(stream, num_classes), value_range, order)
    if batch_size is not None:
        raise ValueError("batch_size is for arrays; this data set is already in batches.")
    x, first, seen = peek_images(x, _images_of, value_range)
    shape = _images_of(first).shape
    check_image_shape(shape, image_shape)
    if num_classes is not None:
        paired = isinstance(first, tuple | list) and len(first) > 1
        class_indices(first[1] if paired else None, shape[0], num_classes)
    found = _range_of(seen, value_range)
    if seen.dtype != np.uint8 and not getattr(x, "use_multiprocessing", False):
        x = watched(x, _watch(seen, found))
    return TrainingImages(_with_labels_inside(x, num_classes), found)


def _watch(seen: NDArray[Any], value_range: ValueRange) -> Callable[[NDArray[Any]], None]:
    """Return a function that warns once of images beyond a range, unless those seen have been."""
    black, white = value_range
    low, high = extremes(seen)
    told = not black <= low <= high <= white

    def look(images: NDArray[Any]) -> None:
        nonlocal told
        low, high = extremes(images)
        if not (told or black <= low <= high <= white):  # NaN too, which is an error
            infer_value_range(images, value_range)
            told = True

    return look


def peek_images(
    x: Any, images_of: Callable[[Any], NDArray[Any]], value_range: ValueRange | None
) -> tuple[Any, Any, NDArray[Any]]:
    """Return a stream, its first batch, and values of its images that tell their range.

    Raises:
        TypeError: If it is no stream.
        ValueError: If it holds no batch, or anything but numbers.
    """
    x, shown = peek(x, lambda batch: value_range is not None or shows_range(images_of(batch)))
    return x, shown[0], np.concatenate([images_of(batch).reshape(-1) for batch in shown])


def check_image_shape(shape: tuple[int, ...], image_shape: tuple[int, ...]) -> None:
    """Raise a `ValueError` if images do not have the shape that a model generates."""
    if len(shape) == 3 and image_shape[-1] == 1:
        shape = (*shape, 1)
    if tuple(shape[1:]) == tuple(image_shape):
        return
    height, width, channels = image_shape
    convert = "to_grayscale()" if channels == 1 else "to_rgb()"
    raise ValueError(
        f"Expected images of shape (n, {height}, {width}, {channels}), got {tuple(shape)}. Use "
        f"ImageDataset.resize({height}, {width}) and {convert}, or another image_shape."
    )


def class_indices(labels: ArrayLike | None, n: int, num_classes: int) -> NDArray[np.int32]:
    """Check the labels of an array of images, and return them as integers `(n,)`.

    Raises:
        ValueError: If there are none or they do not fit.
    """
    if labels is None:
        raise ValueError(
            "A class-conditional model needs labels: pass an ImageDataset, fit(images, labels), or "
            "batches of (images, labels)."
        )
    given = as_array(labels)
    one_hot = given.shape == (n, num_classes) and num_classes > 1
    flat = (given.argmax(axis=1) if one_hot else given).reshape(-1)
    whole = flat.size and (flat == np.floor(flat)).all() if flat.dtype.kind in "iufb" else False
    if flat.shape != (n,) or not whole or flat.min() < 0 or flat.max() >= num_classes:
        seen = f", values {flat.min()} to {flat.max()}" if whole else ""
        raise ValueError(
            f"Expected {n} labels of 0 to {num_classes - 1}, or one-hot rows of length "
            f"{num_classes}, got {given.dtype} of shape {given.shape}{seen}. Make the model with "
            "num_classes equal to the number of classes."
        )
    return flat.astype(np.int32)


def even_batch_size(batch_size: int, images: int, devices: int) -> int:
    """Return the batch size, or raise a `ValueError` if devices cannot share it evenly."""
    if batch_size % devices:
        fitting = batch_size // devices * devices or devices
        raise ValueError(
            f"A batch of {batch_size} images cannot be spread evenly over {devices} devices. Pass "
            f"batch_size={fitting} or another multiple of {devices}."
        )
    if images < devices:
        raise ValueError(
            f"{images} images are too few for {devices} devices: each needs one in every batch."
        )
    return batch_size


def _images_of(batch: Any) -> Any:
    return as_array(batch[0] if isinstance(batch, tuple | list) else batch)


def _range_of(images: Any, value_range: ValueRange | None, warn: bool = True) -> Any:
    """Return the range of float images: of `uint8`, only what the user says of others to come."""
    found = infer_value_range(images, value_range, warn=warn)
    return value_range if images.dtype == np.uint8 else found


def _with_labels_inside(batches: Any, num_classes: int | None) -> Any:
    """Turn batches `(images, labels, ...)` into `({"images", "labels"}, labels, ...)`.

    Keras hands a model the first entry of a batch, and a conditional model needs both.
    """
    return batches if num_classes is None else mapped(batches, _inside)


def _inside(images: Any, labels: Any, *rest: Any) -> tuple[Any, ...]:
    return {"images": images, "labels": labels}, labels, *rest
