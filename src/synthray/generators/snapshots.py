"""`Snapshots`: earlier states of a generator, to draw from all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._seeds import resolve_seed, spawn_seeds
from synthray._variables import assign, values_of


class Snapshots(keras.callbacks.Callback):
    """Keeps the weights that a generator draws with, as they were after its last epochs.

    A GAN does not settle: from epoch to epoch it draws other kinds of images better. Images drawn
    from several states vary more than those of the last one.

    Args:
        keep: How many states, the last ones.
        every: Epochs between them. Far apart they differ more, and the first are less trained.

    Raises:
        ValueError: If a number is below 1.

    Examples:
        >>> import synthray as sr
        >>> bones = sr.make_phantoms(8, image_shape=(16, 16, 1), seed=0)
        >>> snapshots = sr.Snapshots(keep=2)
        >>> gan = sr.DCGAN((16, 16, 1), width=0.125, seed=0)
        >>> _ = gan.fit(bones, epochs=3, verbose=0, callbacks=[snapshots])
        >>> snapshots.epochs, snapshots.sample(5, seed=0).shape
        ([2, 3], (5, 16, 16, 1))
    """

    def __init__(self, *, keep: int = 5, every: int = 1) -> None:
        super().__init__()
        if min(keep, every) < 1:
            raise ValueError(f"keep and every must be 1 or more, got {keep} and {every}.")
        self.epochs: list[int] = []
        self._keep = keep
        self._every = every
        self._states: list[list[NDArray[Any]]] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget other trainings."""
        self.epochs, self._states = [], []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep this state where it is due, and let the oldest go."""
        if (epoch + 1) % self._every == 0:
            self.epochs = [*self.epochs, epoch + 1][-self._keep :]
            state = values_of(self._weights())
            self._states = [*self._states, state][-self._keep :]

    def sample(self, n: int, *, seed: int | None = None, **arguments: Any) -> NDArray[np.uint8]:
        """Draw `n` images, as many from each state as from any other, within one.

        Args:
            n: How many; those of one state stand together, the oldest first.
            seed: Equal seeds give equal images; `None` for others at each call.
            **arguments: As for the `sample` of the generator; `labels` may hold one for each image.

        Raises:
            ValueError: If there are not as many labels as images.
            RuntimeError: If there is no state yet.
        """
        images = list(self.sample_batches(n, seed=seed, **arguments))
        gan: Any = self.model
        empty = np.zeros((0, *gan.image_shape), np.uint8)
        return np.concatenate([empty, *images])

    def sample_batches(
        self, n: int, *, seed: int | None = None, **arguments: Any
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the images of `sample` in batches, in bounded memory."""
        if not self._states:
            raise RuntimeError("No state has been kept. Pass this to fit(callbacks=[...]) first.")
        gan: Any = self.model
        count = len(self._states)
        labels = arguments.pop("labels", None)
        each = np.ndim(labels) == 1
        if each:
            labels = np.asarray(labels)  # of an empty share it keeps the type
            if len(labels) != n:
                raise ValueError(f"Expected a label for each of {n} images, got {len(labels)}.")
        seeds = spawn_seeds(resolve_seed(seed), count)
        for place, (state, own_seed) in enumerate(zip(self._states, seeds, strict=True)):
            start, stop = (n * place) // count, (n * (place + 1)) // count
            if labels is not None:
                arguments["labels"] = labels[start:stop] if each else labels
            batches = gan.sample_batches(stop - start, seed=own_seed, **arguments)
            while True:
                with self._in_place(state):
                    batch = next(batches, None)
                if batch is None:
                    break
                yield batch

    @contextmanager
    def _in_place(self, state: list[NDArray[Any]]) -> Iterator[None]:
        # For one batch at a time: whoever takes the batches may draw from the generator itself.
        weights = self._weights()
        own = values_of(weights)
        try:
            assign(weights, state)
            yield
        finally:
            assign(weights, own)

    def _weights(self) -> list[Any]:
        gan: Any = self.model
        return list(gan._generator_to_draw_with().weights)
