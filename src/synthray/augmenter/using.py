"""Bringing drawn images into a user's own training data, whatever its kind."""

from __future__ import annotations

from typing import Any

from synthray._seeds import resolve_seed
from synthray._value_range import ValueRange
from synthray.augmenter import mixing
from synthray.augmenter.drawing import Drawing
from synthray.datasets.image_dataset import ImageDataset


class Using(Drawing):
    """How what a fitted `SyntheticAugmenter` draws joins training data."""

    random_state: int | None

    def augment(
        self,
        dataset: Any,
        *,
        ratio: float = 1.0,
        value_range: tuple[float, float] | None = None,
        seed: int | None = None,
    ) -> Any:
        """Mix drawn images into a training set and return the same kind of thing.

        The images are drawn once, in the shares that the classes had in training, and held as they
        are handed out. They take the user's scale, type, channels and label encoding. Batches keep
        their size, so an epoch has `1 + ratio` times as many.

        Args:
            dataset: `(x, y)` arrays, an `ImageDataset`, a `tf.data.Dataset` (batched or not) or a
                `PyDataset` of `(images, labels)`.
            ratio: Drawn images for each real one.
            value_range: Values of black and white, where floats leave them open. By default (0, 1),
                (-1, 1) or (0, 255), whichever fits the first batch.
            seed: Seed of drawing and order; by default `random_state`.

        Raises:
            ValueError: If sizes, classes or batches do not fit; the message says what to do.
            TypeError: If it is another kind of thing.
        """
        return self._use(dataset, ratio, value_range, seed, True)

    def pretrain_dataset(
        self,
        like: Any = None,
        *,
        ratio: float = 1.0,
        value_range: tuple[float, float] | None = None,
        seed: int | None = None,
    ) -> Any:
        """Return drawn images alone, for a warm start: train on them first, then on real ones.

        Args:
            like: The real training set, as for `augment`: the same kind of thing comes back. By
                default an `ImageDataset`.
            ratio: Drawn images for each real one; without `like`, for each one in training.
            value_range: As for `augment`.
            seed: As for `augment`.
        """
        if like is None:
            seed = self.random_state if seed is None else seed
            return self.sample(round(ratio * sum(self._fitted().n_train_.values())), seed=seed)
        return self._use(like, ratio, value_range, seed, False)

    def _use(
        self,
        dataset: Any,
        ratio: float,
        value_range: ValueRange | None,
        seed: int | None,
        keep_real: bool,
    ) -> Any:
        self._fitted()
        if not 0 <= ratio < float("inf"):
            raise ValueError(f"ratio must be 0 or more, got {ratio}.")
        seed = resolve_seed(self.random_state if seed is None else seed)

        def draw(n_real: int, class_names: Any) -> ImageDataset:
            if class_names is not None and tuple(class_names) != self.class_names_:
                raise ValueError(
                    f"The data set has classes {list(class_names)}, but the augmenter was fitted "
                    f"on {list(self.class_names_)}. Fit it on the same classes in the same order."
                )
            return self.sample(round(n_real * ratio), seed=seed)

        return mixing.use(
            dataset,
            draw,
            self.classes_,
            value_range=value_range,
            seed=seed,
            keep_real=keep_real,
            sources=getattr(self, "sources_", None),
        )
