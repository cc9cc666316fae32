"""Drawing from a trained generator: whole sets, batches, given latents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Sampler:
    """The drawing half of a `GAN`, apart from its training."""

    OUTPUT_RANGE: ClassVar[tuple[float, float]] = (0.0, 1.0)

    latent_dim: int
    image_shape: tuple[int, ...]
    num_classes: int | None = None

    def generate(
        self, latents: ArrayLike, *, labels: ArrayLike | None = None, batch_size: int = 64
    ) -> NDArray[np.uint8]:
        """Draw the images of given latents.

        Args:
            latents: Standard normal values, shape `(n, latent_dim)`.
            labels: As in `sample`.
            batch_size: Images drawn at once.

        Returns:
            `uint8`, shape `(n, *image_shape)`.

        Raises:
            ValueError: If latents or labels do not fit.
        """
        z = np.asarray(latents, np.float32)
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"latents must have shape (n, {self.latent_dim}), got {z.shape}.")
        classes = self._label_of_each(labels, len(z))
        images = np.empty((len(z), *self.image_shape), np.uint8)
        for start in range(0, len(z), batch_size):
            rows = slice(start, start + batch_size)
            images[rows] = self._draw(
                z[rows], batch_size, None if classes is None else classes[rows]
            )
        return images

    def sample(
        self,
        n: int,
        *,
        labels: ArrayLike | None = None,
        seed: int | None = None,
        truncation: float = 1.0,
        batch_size: int = 64,
    ) -> NDArray[np.uint8]:
        """Draw `n` images.

        Args:
            n: How many.
            labels: Of a class-conditional model: a class for all images, or one for each, shape
                `(n,)`. By default the classes take turns.
            seed: Equal seeds give equal images, whatever the batch size; `None` for others at
                each call.
            truncation: Factor of the latents, above 0. Below 1 the images are more typical and
                vary less: the same image of the same seed, closer to the average one.
            batch_size: Images drawn at once.

        Returns:
            `uint8`, shape `(n, *image_shape)`.
        """
        images = np.empty((max(n, 0), *self.image_shape), np.uint8)
        start = 0
        for batch in self.sample_batches(
            n, labels=labels, seed=seed, truncation=truncation, batch_size=batch_size
        ):
            images[start : start + len(batch)] = batch
            start += len(batch)
        return images

    def sample_batches(
        self,
        n: int,
        *,
        labels: ArrayLike | None = None,
        seed: int | None = None,
        truncation: float = 1.0,
        batch_size: int = 64,
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the images of `sample` in batches, in bounded memory."""
        if n < 0 or batch_size < 1:
            raise ValueError(f"Expected n >= 0 and batch_size >= 1, got {n} and {batch_size}.")
        if truncation <= 0:
            raise ValueError(f"truncation must be positive, got {truncation}.")
        classes = self._label_of_each(labels, n)
        rng = np.random.default_rng(seed)
        for start in range(0, n, batch_size):
            count = min(batch_size, n - start)
            z = rng.standard_normal((count, self.latent_dim), dtype=np.float32)
            if truncation != 1.0:
                z *= np.float32(truncation)
            chosen = None if classes is None else classes[start : start + count]
            yield self._draw(z, batch_size, chosen)

    def _generator_to_draw_with(self) -> Any:
        raise NotImplementedError

    def _generator_inputs(
        self, latents: NDArray[np.float32], classes: NDArray[np.int64] | None
    ) -> Any:
        return latents

    def _draw(
        self, latents: NDArray[np.float32], batch_size: int, classes: NDArray[np.int64] | None
    ) -> NDArray[np.uint8]:
        # A short last batch is filled up: one compiled shape, and the same arithmetic for all.
        count = len(latents)
        if count < batch_size:
            missing = batch_size - count
            latents = np.concatenate([latents, np.zeros((missing, self.latent_dim), np.float32)])
            if classes is not None:
                classes = np.concatenate([classes, np.zeros(missing, np.int64)])
        inputs = self._generator_inputs(latents, classes)
        drawn = self._generator_to_draw_with().predict_on_batch(inputs)[:count]
        images = np.asarray(drawn, np.float32)
        low, high = self.OUTPUT_RANGE
        return np.clip(np.rint((images - low) * (255.0 / (high - low))), 0, 255).astype(np.uint8)

    def _label_of_each(self, labels: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
        if self.num_classes is None:
            if labels is not None:
                raise ValueError(
                    "labels are for a class-conditional model; this one draws one kind of image. "
                    "Leave labels out, or make the model with num_classes."
                )
            return None
        if labels is None:
            return np.arange(n) % self.num_classes
        given = np.asarray(labels)
        classes = np.broadcast_to(given, (n,)) if given.ndim == 0 else given
        whole = classes.dtype.kind in "iu"
        if (
            classes.shape != (n,)
            or not whole
            or (n and not 0 <= classes.min() <= classes.max() < self.num_classes)
        ):
            raise ValueError(
                f"labels must be an integer, or integers of shape ({n},), from 0 to "
                f"{self.num_classes - 1}; got {given.dtype} of shape {given.shape}."
            )
        return classes.astype(np.int64)
