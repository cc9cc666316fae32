"""`predict` and `evaluate` that take image sets, and wait for nothing at their end."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from synthray.datasets._streams import for_judging
from synthray.datasets.image_dataset import ImageDataset


class JudgingModel(keras.Model):
    """A `keras.Model` that reads what it judges as it reads what it trains on.

    A subclass has `image_shape`, and `_arrays`, from an `ImageDataset` to images, and labels as its
    loss takes them.
    """

    image_shape: tuple[int, int, int]

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
        x = x.images if isinstance(x, ImageDataset) else self._with_channel(x)
        if isinstance(x, np.ndarray) and steps is None:
            x = for_judging(self, x, batch_size)
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
        x, y = self._unpacked(x, y)
        if steps is None and y is not None:
            stream = for_judging(self, (x, y, sample_weight), batch_size)
            if not isinstance(stream, tuple):
                x, y, sample_weight = stream, None, None
        return super().evaluate(x, y, batch_size, verbose, sample_weight, steps, **kwargs)

    def _unpacked(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return the arrays of an image set, labels as the loss takes them; others as they are."""
        if not isinstance(x, ImageDataset):
            return self._with_channel(x), y
        if y is not None:
            raise ValueError("An ImageDataset holds its labels; leave y out.")
        return self._arrays(x)

    def _with_channel(self, x: Any) -> Any:
        """Return an array of gray images `(n, h, w)` with its channel; others as they are.

        TensorFlow traces once for both forms, with images of no known shape.
        """
        gray = isinstance(x, np.ndarray) and x.ndim == 3 and self.image_shape[-1] == 1
        return x[..., None] if gray else x
