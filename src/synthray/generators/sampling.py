"""Generating with a trained model: whole sets, batches, given latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray._keras.batches import checked_batch_size
from synthray._parts import slices
from synthray.datasets.pixels import to_uint8
from synthray.exceptions import DivergenceError


class Sampler:
    """The generating half of a `GAN`, apart from its training.

    Attributes:
        networks: Names of pretrained networks that it was trained against, which must not judge its
            images: the provenance of samples passes them on to `evaluate_samples`.
    """

    OUTPUT_RANGE: ClassVar[tuple[float, float]] = (0.0, 1.0)

    latent_dim: int
    image_shape: tuple[int, ...]
    num_classes: int | None = None
    networks: tuple[str, ...] = ()
    generator: keras.Model

    @property
    def sampling_generator(self) -> keras.Model:
        """The network that `sample` generates with."""
        return self.generator

    def generate(
        self, latents: ArrayLike, *, labels: ArrayLike | None = None, batch_size: int = 64
    ) -> NDArray[np.uint8]:
        """Generate the images of given latents.

        Args:
            latents: Standard normal values, shape `(n, latent_dim)`.
            labels: As in `sample`.
            batch_size: Images generated at once.

        Returns:
            `uint8`, shape `(n, *image_shape)`.

        Raises:
            ValueError: If latents or labels do not fit.
        """
        z = np.asarray(latents, np.float32)
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"latents must have shape (n, {self.latent_dim}), got {z.shape}.")
        return self._joined(self._batches(len(z), lambda rows: z[rows], labels, batch_size))

    def sample(
        self,
        n: int,
        *,
        labels: ArrayLike | None = None,
        seed: int | None = None,
        truncation: float = 1.0,
        batch_size: int = 64,
    ) -> NDArray[np.uint8]:
        """Generate `n` images.

        Args:
            n: How many.
            labels: Of a class-conditional model: a class for all images, or one for each, shape
                `(n,)`. By default the classes take turns.
            seed: Equal seeds give equal images, whatever the batch size; `None` for others at
                each call.
            truncation: Factor of the latents, above 0. Below 1 the images are more typical and
                vary less: the same image of the same seed, closer to the average one.
            batch_size: Images generated at once.

        Returns:
            `uint8`, shape `(n, *image_shape)`.

        Raises:
            ValueError: If a number is out of its range, or labels do not fit.
        """
        options: dict[str, Any] = {"labels": labels, "seed": seed, "truncation": truncation}
        return self._joined(self.sample_batches(n, batch_size=batch_size, **options))

    def sample_batches(
        self,
        n: int,
        *,
        labels: ArrayLike | None = None,
        seed: int | None = None,
        truncation: float = 1.0,
        batch_size: int = 64,
    ) -> Iterator[NDArray[np.uint8]]:
        """Return an iterator over the images of `sample` in batches, in bounded memory."""
        if n < 0 or truncation <= 0:
            raise ValueError(f"Expected n >= 0 and truncation > 0, got {n} and {truncation}.")
        rng = np.random.default_rng(seed)

        def latents(rows: slice) -> NDArray[np.float32]:
            z = rng.standard_normal((rows.stop - rows.start, self.latent_dim), dtype=np.float32)
            return np.float32(truncation) * z

        return self._batches(n, latents, labels, batch_size)

    def interpolate(
        self,
        n: int,
        steps: int = 8,
        *,
        labels: ArrayLike | None = None,
        seed: int | None = None,
        batch_size: int = 64,
    ) -> NDArray[np.uint8]:
        """Generate images on the way from one random latent to another.

        Smooth changes show a generator that has learnt a kind of image; jumps, one that has learnt
        single images. The way runs along a great circle, where latents keep a usual length (White
        2016, arXiv 1609.04468).

        Args:
            n: How many ways.
            steps: Images on each, both ends included.
            labels: As in `sample`: a class for all ways, or one for each.
            seed: Equal seeds give equal images; `None` for others at each call.
            batch_size: Images generated at once.

        Returns:
            `uint8`, shape `(n, steps, *image_shape)`.

        Raises:
            ValueError: If a number is out of its range, or labels do not fit.
        """
        if n < 1 or steps < 2:
            raise ValueError(f"Expected n >= 1 and steps >= 2, got {n} and {steps}.")
        classes = self._label_of_each(labels, n)
        ends = np.random.default_rng(seed).standard_normal((2, n, 1, self.latent_dim), np.float32)
        start, stop = ends / np.linalg.norm(ends, axis=-1, keepdims=True)
        angle = np.arccos(np.clip(np.sum(start * stop, axis=-1, keepdims=True), -1.0, 1.0))
        done = np.linspace(0.0, 1.0, steps, dtype=np.float32)[:, None]
        shares = np.sin((1 - done) * angle) / np.sin(angle), np.sin(done * angle) / np.sin(angle)
        latents = shares[0] * ends[0] + shares[1] * ends[1]
        images = self.generate(
            latents.reshape(n * steps, -1),
            labels=classes if classes is None else np.repeat(classes, steps),
            batch_size=batch_size,
        )
        return images.reshape(n, steps, *self.image_shape)

    def _batches(
        self,
        n: int,
        latents: Callable[[slice], NDArray[np.float32]],
        labels: ArrayLike | None,
        batch_size: int,
    ) -> Iterator[NDArray[np.uint8]]:
        classes = self._label_of_each(labels, n)
        for rows in slices(n, checked_batch_size(batch_size)):
            inputs = self._generator_inputs(
                latents(rows), classes if classes is None else classes[rows]
            )
            yield generate_batch(self.sampling_generator, inputs, batch_size, self.OUTPUT_RANGE)

    def _joined(self, batches: Iterator[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        return np.concatenate([np.zeros((0, *self.image_shape), np.uint8), *batches])

    def _generator_inputs(
        self, latents: NDArray[np.float32], classes: NDArray[np.int64] | None
    ) -> list[NDArray[np.float32]]:
        return [latents]

    def _label_of_each(self, labels: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
        if self.num_classes is None:
            if labels is not None:
                raise ValueError(
                    "labels are for a class-conditional model; this one generates one kind of "
                    "image. Leave labels out, or make the model with num_classes."
                )
            return None
        if labels is None:
            return np.arange(n) % self.num_classes
        given = np.asarray(labels)
        fits = given.shape in ((), (n,)) and given.dtype.kind in "iu"
        if not fits or (given.size and not 0 <= given.min() <= given.max() < self.num_classes):
            raise ValueError(
                f"labels must be an integer, or integers of shape ({n},), from 0 to "
                f"{self.num_classes - 1}; got {given.dtype} of shape {given.shape}."
            )
        return np.broadcast_to(given, (n,)).astype(np.int64)


def generate_batch(
    network: keras.Model,
    inputs: list[NDArray[np.float32]],
    batch_size: int,
    value_range: tuple[float, float],
) -> NDArray[np.uint8]:
    """Return what a network makes of a batch, as `uint8`.

    A short batch is filled up: one compiled shape, and the same arithmetic for all images.

    Raises:
        DivergenceError: If its values are not finite, which would become black.
    """
    count, (low, high) = len(inputs[0]), value_range
    filled = [np.pad(x, [(0, batch_size - count), *[(0, 0)] * (x.ndim - 1)]) for x in inputs]
    made = network.predict_on_batch(filled if len(filled) > 1 else filled[0])[:count]
    values = np.asarray(made, np.float32)
    if not np.isfinite(values).all():
        raise DivergenceError(
            f"The images of {network.name!r} are not finite: its training has broken down. Train "
            "it anew with a lower learning rate."
        )
    return to_uint8((values - low) * (255.0 / (high - low)))
