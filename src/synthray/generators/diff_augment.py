"""Differentiable augmentation: the discriminator sees real and fake images altered alike."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import keras
from keras import ops

from synthray._keras.devices import rows_of_replica

AUGMENTATIONS = ("brightness", "saturation", "contrast", "translation", "cutout")

Draws = dict[str, Any]


class DiffAugment:
    """Random changes of images through which gradients flow (Zhao et al. 2020, arXiv 2006.10738).

    A discriminator that only ever sees changed images cannot learn few training images by heart;
    as the fakes are changed in the same way, the generator does not learn the changes. At full
    strength, for pixels of -1 to 1, as in the paper's appendix: brightness moves by up to 0.5;
    saturation is multiplied by 0 to 2 (colour only) and contrast by 0.5 to 1.5; images shift by up
    to an eighth of each side; a square of half of each side is blanked. What a shift or a cutout
    leaves empty is 0, mid-gray.

    Args:
        kinds: Which changes, of `AUGMENTATIONS`; done in the order of that tuple.

    Raises:
        ValueError: If a kind is not known.

    Examples:
        >>> import keras, numpy as np
        >>> from synthray.generators.diff_augment import DiffAugment
        >>> augment = DiffAugment(("translation", "cutout"))
        >>> draws = augment.draw(2, seed=keras.random.SeedGenerator(0))
        >>> images = np.ones((2, 8, 8, 1), "float32")
        >>> changed = augment(images, draws, strength=1.0)
        >>> bool(keras.ops.all(augment(images, draws, strength=0.0) == images))
        True
    """

    def __init__(self, kinds: Iterable[str] = AUGMENTATIONS) -> None:
        kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        unknown = [kind for kind in kinds if kind not in AUGMENTATIONS]
        if unknown:
            raise ValueError(
                f"Unknown augmentations {unknown}; choose from {', '.join(AUGMENTATIONS)}."
            )
        self.kinds = tuple(kind for kind in AUGMENTATIONS if kind in kinds)

    def draw(self, n: Any, *, seed: keras.random.SeedGenerator) -> Draws:
        """Draw the changes of `n` images; the same draws change two batches in the same way.

        Args:
            n: Number of images, a Python integer or a scalar tensor.
            seed: Where the numbers come from.

        Returns:
            Numbers of -1 to 1, by kind: of shape `(n, 1, 1, 1)`, or `(n, 2)` for rows and columns.
        """

        def uniform(rows: Any, kind: str) -> Any:
            shape = (2,) if kind in ("translation", "cutout") else (1, 1, 1)
            return keras.random.uniform((rows, *shape), -1.0, 1.0, seed=seed)

        return {kind: rows_of_replica(partial(uniform, kind=kind), n) for kind in self.kinds}

    def __call__(self, images: Any, draws: Draws, *, strength: Any) -> Any:
        """Change images.

        Args:
            images: Pixels of -1 to 1, shape `(n, height, width, channels)`.
            draws: What `draw` returned.
            strength: 0 (no change) to 1, a number or a scalar tensor; held within these bounds.

        Returns:
            Images of the same shape.
        """
        images = ops.convert_to_tensor(images)
        strength = ops.clip(ops.cast(strength, images.dtype), 0.0, 1.0)
        for kind, value in draws.items():
            value = ops.cast(value, images.dtype)
            images = getattr(self, f"_{kind}")(images, value, strength)
        return images

    def _brightness(self, images: Any, value: Any, strength: Any) -> Any:
        return images + 0.5 * strength * value

    def _saturation(self, images: Any, value: Any, strength: Any) -> Any:
        if images.shape[-1] == 1:
            return images
        gray = ops.mean(images, axis=-1, keepdims=True)
        return images + strength * value * (images - gray)

    def _contrast(self, images: Any, value: Any, strength: Any) -> Any:
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        return images + 0.5 * strength * value * (images - mean)

    def _translation(self, images: Any, value: Any, strength: Any) -> Any:
        _, height, width, channels = images.shape
        # Shifts as products with 0/1 matrices: fast forth and back on every backend, where
        # gathering a window of its own for each image is slow to differentiate.
        rows = _shift_matrix(value[:, :1] * strength, height, images.dtype)
        columns = _shift_matrix(value[:, 1:] * strength, width, images.dtype)
        images = ops.matmul(rows, ops.reshape(images, (-1, height, width * channels)))
        images = ops.reshape(images, (-1, height, width, channels))
        images = ops.reshape(ops.transpose(images, (0, 1, 3, 2)), (-1, height * channels, width))
        images = ops.matmul(images, ops.transpose(columns, (0, 2, 1)))
        images = ops.reshape(images, (-1, height, channels, width))
        return ops.transpose(images, (0, 1, 3, 2))

    def _cutout(self, images: Any, value: Any, strength: Any) -> Any:
        _, height, width, _ = images.shape
        rows = _hole(value[:, :1], height, strength)[:, :, None, None]
        columns = _hole(value[:, 1:], width, strength)[:, None, :, None]
        return images * (1.0 - rows * columns)


def _shift_matrix(share: Any, size: int, dtype: Any) -> Any:
    # Row i of the product is row i - shift of the image, or nothing where there is none.
    shift = ops.round(share * (size / 8))[:, :, None]
    index = ops.arange(size, dtype=dtype)
    return ops.cast(ops.equal(index[None, :, None] - shift, index[None, None, :]), dtype)


def _hole(place: Any, size: int, strength: Any) -> Any:
    # Centres lie anywhere in the image, as in the paper, so part of a hole may fall outside.
    centre = (place + 1.0) * (size / 2)
    middle = ops.arange(size, dtype=place.dtype)[None, :] + 0.5
    return ops.cast(ops.abs(middle - centre) < strength * (size / 4), place.dtype)
