"""`predict` and `evaluate` that take image sets, and wait for nothing at their end."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray.datasets._streams import for_judging
from synthray.datasets.image_dataset import ImageDataset


class JudgingModel(keras.Model):
    """A `keras.Model` that reads what it judges as it reads what it trains on."""

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Return what `call` returns; the stock Keras `predict` underneath.

        Args:
            x: An `ImageDataset`, or whatever Keras takes.
            batch_size: Images at once; 32 by default.
            verbose: As in `keras.Model.predict`.
            steps: As there.
            callbacks: As there.
        """
        if isinstance(x, ImageDataset):
            x = x.images
        if isinstance(x, np.ndarray) and steps is None:
            x = self._streamed(x, batch_size)
        return super().predict(x, batch_size, verbose, steps, callbacks)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return loss and metrics; the stock Keras `evaluate` underneath.

        Args:
            x: An `ImageDataset`, or whatever Keras takes.
            y: Labels, where `x` does not hold them.
            batch_size: Images at once; 32 by default.
            verbose: As in `keras.Model.evaluate`.
            sample_weight: As there.
            steps: As there.
            **kwargs: As there.

        Raises:
            ValueError: If the data set has more classes than the model.
        """
        if isinstance(x, ImageDataset):
            if y is not None:
                raise ValueError("An ImageDataset holds its labels; leave y out.")
            x, y = self._arrays(x)
        if steps is None and y is not None:
            stream = self._streamed((x, y, sample_weight), batch_size)
            if not isinstance(stream, tuple):
                x, y, sample_weight = stream, None, None
        return super().evaluate(x, y, batch_size, verbose, sample_weight, steps, **kwargs)

    def _streamed(self, data: Any, batch_size: int | None) -> Any:
        """Return arrays as a stream of batches, where that is faster; anything else as it is."""
        arrays = data if isinstance(data, tuple) else (data,)
        arrays = tuple(array for array in arrays if array is not None)
        if not (arrays and all(isinstance(array, np.ndarray) for array in arrays)):
            return data
        stream = for_judging(self, arrays, batch_size)
        return data if stream is None else stream

    def _arrays(self, data: ImageDataset) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return images, and labels as the loss takes them."""
        return data.images, data.labels
