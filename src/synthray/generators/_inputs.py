"""What `fit` of a generator takes, turned into batches of images."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from synthray._backend import is_tf_dataset
from synthray._value_range import ValueRange, infer_value_range
from synthray.datasets._batches import ArrayBatches
from synthray.datasets._streams import streamed
from synthray.datasets.image_dataset import ImageDataset
from synthray.generators._labelled import MISSING, class_indices, with_labels_inside


@dataclass(frozen=True)
class TrainingImages:
    """Batches for `fit`.

    Attributes:
        batches: What the stock `fit` takes.
        value_range: Range of float images.
        own_order: What `batches` come from where the library decides their order.
    """

    batches: Any
    value_range: ValueRange
    own_order: ArrayBatches | None


def prepare_images(
    x: Any,
    image_shape: tuple[int, ...],
    *,
    y: Any = None,
    num_classes: int | None = None,
    batch_size: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
    value_range: ValueRange | None = None,
    devices: int = 1,
    lasting: bool = True,
) -> TrainingImages:
    """Check images and find their value range.

    Where `num_classes` is given, the batches hold the labels beside the images in their first
    entry; otherwise labels are ignored. Each of several `devices` gets as many images of a batch as
    each other: from the last one, up to `devices - 1` images are left out. `lasting` says whether
    every pass ends where the images do, and TensorFlow divides no batches.

    Raises:
        TypeError: If `x` is nothing that holds images.
        ValueError: If shapes or values do not fit.
    """
    if isinstance(x, ImageDataset):
        x, y = x.images, x.labels
    if hasattr(x, "__array__") and not isinstance(x, np.ndarray):
        x = np.asarray(x)
    if isinstance(x, np.ndarray):
        check_image_shape(x.shape, image_shape)
        if len(x) == 0:
            raise ValueError("Expected at least one image to train on, got none.")
        found = infer_value_range(x) if value_range is None else value_range
        arrays = [x]
        if num_classes is not None:
            if y is None:
                raise ValueError(MISSING)
            arrays.append(class_indices(y, len(x), num_classes))
        order = ArrayBatches(
            *arrays,
            batch_size=_even(batch_size or 32, len(x), devices),
            shuffle=shuffle,
            seed=seed,
            multiple=devices,
        )
        stream = streamed(order, lasting=lasting)
        return TrainingImages(
            stream if num_classes is None else with_labels_inside(stream), found, order
        )
    if not (is_tf_dataset(x) or isinstance(x, keras.utils.PyDataset) or hasattr(x, "__iter__")):
        raise TypeError(
            "Expected an ImageDataset, an array, or a tf.data.Dataset or PyDataset of images, got "
            f"{type(x).__name__}."
        )
    if batch_size is not None:
        raise ValueError("batch_size is for arrays; this data set is already in batches.")
    if isinstance(x, keras.utils.PyDataset):
        first = x[0]
    else:
        batches = iter(x)
        first = next(batches, None)
        if batches is x:  # a generator: the batch is put back in front
            x = (b if isinstance(b, tuple) else (b,) for b in itertools.chain([first], batches))
    if first is None:
        raise ValueError("Expected at least one batch of images, got none.")
    images = _array(first[0] if isinstance(first, tuple | list) else first)
    check_image_shape(images.shape, image_shape)
    if num_classes is not None:
        if not isinstance(first, tuple | list) or len(first) < 2:
            raise ValueError(MISSING)
        class_indices(_array(first[1]), len(images), num_classes)
        x = with_labels_inside(x)
    return TrainingImages(x, value_range or infer_value_range(images), None)


def _array(values: Any) -> Any:
    # A tensor of torch may lie on a device.
    return keras.ops.convert_to_numpy(values) if hasattr(values, "cpu") else np.asarray(values)


def _even(batch_size: int, images: int, devices: int) -> int:
    if batch_size % devices:
        lower = batch_size // devices * devices
        raise ValueError(
            f"A batch of {batch_size} images cannot be spread evenly over {devices} devices. Pass "
            f"batch_size={lower or devices} or another multiple of {devices}."
        )
    if images < devices:
        raise ValueError(
            f"{images} images are too few for {devices} devices: each needs one in every batch."
        )
    return batch_size


def check_image_shape(shape: tuple[int, ...], image_shape: tuple[int, ...]) -> None:
    """Raise a `ValueError` where images do not have the shape that a model draws."""
    if len(shape) == 3 and image_shape[-1] == 1:
        shape = (*shape, 1)
    if tuple(shape[1:]) == tuple(image_shape):
        return
    height, width, channels = image_shape
    advice = f"ImageDataset.resize({height}, {width})"
    advice += " and to_grayscale()" if channels == 1 else " and to_rgb()"
    raise ValueError(
        f"Expected images of shape (n, {height}, {width}, {channels}), got {tuple(shape)}. Convert "
        f"them with {advice}, or make the model with another image_shape."
    )
