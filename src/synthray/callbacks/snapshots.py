"""`Snapshots`: earlier states of a generator, to sample from all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._keras.backend import assign, values_of
from synthray._seeds import resolve_seed, spawn_seeds


class Snapshots(keras.callbacks.Callback):
    """Keeps the weights that a generator samples with, as they were after its last epochs.

    A GAN does not settle: from epoch to epoch it generates other kinds of images better. Images of
    several states vary more than those of the last one.

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
        self._keep, self._every = keep, every
        self.on_train_begin()

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget other trainings."""
        self.epochs: list[int] = []
        self._states: list[list[NDArray[Any]]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep this state if it is due, and let the oldest go."""
        if (epoch + 1) % self._every == 0:
            self.epochs = [*self.epochs, epoch + 1][-self._keep :]
            state = values_of(self._weights())
            self._states = [*self._states, state][-self._keep :]

    def sample(self, n: int, *, seed: int | None = None, **arguments: Any) -> NDArray[np.uint8]:
        """Generate `n` images, as many from each state as from any other, within one.

        Args:
            n: How many; those of one state stand together, the oldest first.
            seed: Equal seeds give equal images; `None` for others at each call.
            **arguments: As for the `sample` of the generator; `labels` may hold one for each image.

        Raises:
            ValueError: If there are not as many labels as images.
            RuntimeError: If there is no state yet.
        """
        batches = self.sample_batches(n, seed=seed, **arguments)
        gan: Any = self.model
        return np.concatenate([np.zeros((0, *gan.image_shape), np.uint8), *batches])

    def sample_batches(
        self, n: int, *, seed: int | None = None, **arguments: Any
    ) -> Iterator[NDArray[np.uint8]]:
        """Return an iterator over the images of `sample` in batches, in bounded memory."""
        if not self._states:
            raise RuntimeError("No state has been kept. Pass this to fit(callbacks=[...]) first.")
        labels = np.asarray(arguments.pop("labels", None))
        if labels.ndim == 1 and len(labels) != n:
            raise ValueError(f"Expected a label for each of {n} images, got {len(labels)}.")
        return self._of_each_state(n, labels, resolve_seed(seed), arguments)

    def _of_each_state(
        self, n: int, labels: NDArray[Any], seed: int, arguments: dict[str, Any]
    ) -> Iterator[NDArray[np.uint8]]:
        gan: Any = self.model
        count = len(self._states)
        for place, own_seed in enumerate(spawn_seeds(seed, count)):
            start, stop = (n * place) // count, (n * (place + 1)) // count
            own = labels[start:stop] if labels.ndim else labels.item()
            batches = gan.sample_batches(stop - start, labels=own, seed=own_seed, **arguments)
            while (batch := self._next(batches, self._states[place])) is not None:
                yield batch

    def _next(self, batches: Iterator[Any], state: list[NDArray[Any]]) -> Any:
        # The state is in place for one batch at a time: whoever takes the batches may sample from
        # the generator itself.
        weights = self._weights()
        own = values_of(weights)
        try:
            assign(weights, state)
            return next(batches, None)
        finally:
            assign(weights, own)

    def _weights(self) -> list[Any]:
        gan: Any = self.model
        return list(gan.sampling_generator.weights)
