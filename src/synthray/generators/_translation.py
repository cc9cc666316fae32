"""What a trained `CycleGAN` does: translate images, keeping track of whose they are."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray.datasets.image_dataset import ImageDataset
from synthray.generators._inputs import check_image_shape
from synthray.generators._translation_data import to_pixels


class Translation:
    """Translates images of two classes by two networks."""

    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...] | None
    to_first: keras.Model
    to_second: keras.Model

    def translate(
        self,
        images: ImageDataset | ArrayLike,
        *,
        to: str | int | None = None,
        batch_size: int = 64,
        value_range: tuple[float, float] | None = None,
    ) -> Any:
        """Translate images into the other class.

        Args:
            images: An array `(n, h, w)` or `(n, h, w, c)` of images of one class, or an
                `ImageDataset`.
            to: The class that they become: its name, or 0 or 1. Of an `ImageDataset`, only the
                images that are not of it are translated; with `None`, all are, each into its other
                class.
            batch_size: Images translated at once; it does not change them.
            value_range: Range of float images, as for `fit`.

        Returns:
            For an array, `uint8 (n, *image_shape)`. For an `ImageDataset`, one in the same order
            with the new labels, marked as synthetic. A translated image keeps its name and group:
            it shows the same patient, and no split may part the two. Without groups, the place in
            `images` is the group. Annotations, which describe the source, are left out.

        Raises:
            ValueError: If shapes, values or classes do not fit the model.
        """
        if isinstance(images, ImageDataset):
            return self._translate_dataset(images, to, batch_size)
        pixels = to_pixels(images, self.image_shape, value_range)
        if to is None:
            raise ValueError("Say which class the images become: translate(images, to=1).")
        return self._translate_pixels(pixels, self.class_index(to), batch_size)

    def class_index(self, name: str | int) -> int:
        """Return 0 or 1 for a class name or index.

        Raises:
            ValueError: If the model has no such class.
        """
        names = self.class_names or ("0", "1")
        if name in names:
            return names.index(str(name))
        if isinstance(name, int | np.integer) and name in (0, 1):
            return int(name)
        raise ValueError(f"No class is called {name!r}. The classes are {list(names)}, or 0 and 1.")

    def _translate_dataset(
        self, data: ImageDataset, to: str | int | None, batch_size: int
    ) -> ImageDataset:
        check_same_names(data.class_names, self.class_names or data.class_names[:2])
        check_image_shape(data.images.shape, self.image_shape)
        if data.groups is None:
            data = data.with_groups(data.group_codes)
        if to is not None:
            data = data.select(data.labels != self.class_index(to))
        pixels = np.empty_like(data.images)
        for target in (0, 1):
            rows = np.flatnonzero(data.labels != target)
            pixels[rows] = self._translate_pixels(data.images[rows], target, batch_size)
        return ImageDataset.from_arrays(
            pixels,
            1 - data.labels,
            class_names=data.class_names,
            groups=data.groups,
            names=data.names,
            synthetic=True,
            provenance={
                "source": "synthray.CycleGAN.translate",
                "generator": type(self).__name__,
                "translated_from": dict(data.provenance),
            },
        )

    def _translate_pixels(
        self, pixels: NDArray[np.uint8], target: int, batch_size: int
    ) -> NDArray[np.uint8]:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        network = self.to_second if target == 1 else self.to_first
        translated = np.empty_like(pixels)
        for start in range(0, len(pixels), batch_size):
            chunk = pixels[start : start + batch_size].astype(np.float32) / 127.5 - 1.0
            count = len(chunk)
            if count < batch_size:  # filled up: one compiled shape, the same arithmetic for all
                fill = np.zeros((batch_size - count, *self.image_shape), np.float32)
                chunk = np.concatenate([chunk, fill])
            values = np.asarray(network.predict_on_batch(chunk)[:count], np.float32)
            rounded = np.rint((values + 1.0) * 127.5)
            translated[start : start + count] = np.clip(rounded, 0, 255).astype(np.uint8)
        return translated


def check_same_names(found: tuple[str, ...] | None, expected: tuple[str, ...] | None) -> None:
    """Refuse images of other classes than a model knows.

    Raises:
        ValueError: If both are known and differ.
    """
    if found is not None and expected is not None and found != expected:
        raise ValueError(
            f"Expected images of the classes {list(expected)}, in this order, got {list(found)}. "
            "Load them with the same class names, or make a new CycleGAN."
        )
